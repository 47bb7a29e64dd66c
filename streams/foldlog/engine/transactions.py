"""Kafka transactions of one processor: one producer, thrown away whenever an outcome is not known.

librdkafka has no KIP-890: a commit or abort request that it repeats after a timeout can arrive twice, and the late
copy then ends the *next* transaction of the same producer epoch. Only a new epoch (init_transactions) makes the late
copy harmless, so a producer is tainted by any answer that was late, lost or not sure, or that never comes.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from foldlog.core.errors import AbortError, EngineError, TaintError
from foldlog.engine.batch import Output, Place, Received, Run
from foldlog.engine.bounded import Bounded

log = structlog.get_logger()

_UNSURE = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})
_LOST_MEMBERSHIP = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS}
)

_INIT = 30.0  # s
_GRACE = 2.0  # s beyond the client's own timeout, before it is taken for hung
_REASON = 1.0  # s for the client to say why it has given up; its own thread answers, no broker is asked

Then = Callable[[Mapping[Place, int]], Iterable[Output | Run]]


class Transactions:
    """The transactions of one `transactional.id`; used by the process thread alone."""

    def __init__(self, config: Mapping[str, Any], transactional_id: str, socket_timeout_ms: int) -> None:
        self.transactional_id = transactional_id
        self._config = {
            **config,
            "transactional.id": transactional_id,
            "socket.timeout.ms": socket_timeout_ms,
            "error_cb": self._on_error,
        }
        self._limit = socket_timeout_ms / 1000
        self._producer: Producer | None = None
        self._calls: Bounded | None = None
        self._open = False
        self._unsure = False
        self._ends: dict[Place, int] = {}
        self.taints = 0
        self.meanwhile: Callable[[], None] = lambda: None  # called while the broker takes the records

    def write(
        self, outputs: Iterable[Output | Run], offsets: Mapping[Place, int], group: Any, then: Then | None = None
    ) -> dict[Place, int]:
        """Commits records and offsets as one; gives the offset after the last record written to each partition.

        `then` makes more records from those offsets; it costs one round trip, so it is given only where needed.
        Raises AbortError where nothing of it will ever be seen, TaintError where that is not known, EngineError
        where there are no offsets (nothing would fence the records of a member that lost its partitions) and where
        the member itself is fenced: the process must end.
        """
        if not offsets:
            raise EngineError(
                f"{self.transactional_id}: a transaction without offsets is not fenced; give the next ones"
            )
        producer = self._ready()
        try:
            self._begin(producer)
            self._produce(producer, outputs)
            self.meanwhile()
            # The records go before the offsets: where the markers of the transaction before are not written yet, the
            # client tries again to register partitions after 20 ms, to register offsets after 100.
            producer.flush(self._limit)
            if then is not None:
                self._produce(producer, then(self._ends))
            self._commit(producer, offsets, group)
        except KafkaException as error:
            told = _told(producer, error)
            raise self._failure(told) from told
        except SystemError as error:
            # The client's way to say that its error came up while it was calling back: a producer fenced in a flush.
            raise TaintError(f"the client failed in a callback: {error.__cause__ or error}") from error
        return self._ends

    def open(self) -> None:
        """Takes the transactional id: what an earlier process of this name left open is ended."""
        try:
            self._ready()
        except KafkaException as error:
            raise self._failure(error) from error

    def discard(self) -> None:
        """Throws the producer away, with a call that may still wait; the next transaction starts with a new epoch."""
        if self._calls is not None:
            self._calls.close()
        self.taints += self._producer is not None
        self._producer = self._calls = None
        self._open = False

    def abort(self) -> None:
        """Ends the open transaction without a trace; raises TaintError where the answer is not sure."""
        if not self._open or self._producer is None:
            return
        self._open = False
        started = time.monotonic()
        producer = self._producer
        try:
            self._call(lambda: producer.abort_transaction(self._limit), self._limit)
        except KafkaException as error:
            raise TaintError(f"abort: {error}") from error
        self._check_sure(producer, started, "abort")

    def _ready(self) -> Producer:
        if self._producer is None:
            producer = Producer(self._config)
            self._call(lambda: producer.init_transactions(_INIT), _INIT)
            self._producer = producer
        return self._producer

    def _call(self, function: Callable[[], None], limit: float) -> None:
        if self._calls is None:
            self._calls = Bounded(self.transactional_id)
        try:
            self._calls.call(function, limit + _GRACE)
        except TimeoutError as error:
            raise TaintError(f"no answer in {limit + _GRACE:.0f} s") from error

    def _begin(self, producer: Producer) -> None:
        producer.poll(0)  # an error from between two transactions says nothing about this one
        self._unsure = False
        self._ends = {}
        producer.begin_transaction()
        self._open = True

    def _produce(self, producer: Producer, outputs: Iterable[Output | Run]) -> None:
        """Only the last record of a partition reports its offset: a callback a record costs a third of the rate."""
        last: dict[Place, Output] = {}
        for output in outputs:
            if isinstance(output, Run):
                self._run(producer, output)
                continue
            place = (output.topic, output.partition)
            before = last.get(place)
            if before is not None:
                _send(producer, before, None)
            last[place] = output
        for output in last.values():
            _send(producer, output, self._on_delivery)

    def _run(self, producer: Producer, run: Run) -> None:
        topic, partition, records = run
        produce, left = producer.produce, len(records)
        for key, value in records:
            left -= 1
            if left:
                try:
                    produce(topic, value, key, partition)
                except BufferError:
                    _send(producer, Output(topic, partition, key, value), None)
            else:
                _send(producer, Output(topic, partition, key, value), self._on_delivery)

    def _commit(self, producer: Producer, offsets: Mapping[Place, int], group: Any) -> None:
        started = time.monotonic()
        marks = [
            TopicPartition(topic, partition, offset, metadata=self.transactional_id)
            for (topic, partition), offset in offsets.items()
        ]

        def commit() -> None:
            producer.send_offsets_to_transaction(marks, group, self._limit)
            producer.commit_transaction(self._limit)

        self._call(commit, 2 * self._limit)
        self._open = False
        self._check_sure(producer, started, "commit")

    def _check_sure(self, producer: Producer, started: float, what: str) -> None:
        producer.poll(0)  # serves errors that are waiting to be told
        took = time.monotonic() - started
        if self._unsure or took >= self._limit:
            raise TaintError(f"{what} took {took:.1f} s and may have been sent twice")

    def _failure(self, error: KafkaException) -> EngineError:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError.FENCED_INSTANCE_ID:
            return EngineError(f"another process runs as {self.transactional_id}: {cause.str()}")
        if cause.fatal() or cause.retriable() or cause.code() in _UNSURE:
            return TaintError(f"{cause.name()}: {cause.str()}")
        if cause.txn_requires_abort() or cause.code() in _LOST_MEMBERSHIP:
            return AbortError(f"{cause.name()}: {cause.str()}")
        return TaintError(f"{cause.name()}: {cause.str()}")

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _UNSURE:
            self._unsure = True

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            written = cast(Received, message)
            self._ends[written.topic(), written.partition()] = written.offset() + 1


def _send(producer: Producer, output: Output, on_delivery: Any) -> None:
    while True:
        try:
            producer.produce(
                output.topic,
                output.value,
                output.key,
                output.partition,
                on_delivery,
                timestamp=output.timestamp,
                headers=cast(Any, output.headers),
            )
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _told(producer: Producer, error: KafkaException) -> KafkaException:
    """What made the client give up: a record that it refuses then says no more than that it has."""
    if error.args[0].code() != KafkaError._FATAL:
        return error
    try:
        producer.commit_transaction(_REASON)
    except KafkaException as reason:
        return reason
    return error


def fence(config: Mapping[str, Any], transactional_id: str) -> None:
    """Ends the open transaction of a dead owner, so that its successor need not wait for its timeout."""
    producer = Producer({**config, "transactional.id": transactional_id})
    producer.init_transactions(10)
