"""The poll thread: the only one that touches the group's consumer.

Every call of librdkafka's consumer from another thread waits for a running `consume()`, and inside a rebalance
callback that waits for ever. So others speak to the feed through a lock: they say where to go on, or that work ended.
"""

import threading
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from foldlog.core.errors import EngineError
from foldlog.engine.absent import Absent
from foldlog.engine.batch import Assignment, Batch, Place, Received, sorted_out
from foldlog.settings import Settings

log = structlog.get_logger()

_POLL = 0.05  # s: the longest that one call holds the consumer
_SOON = 0.005  # s: the shortest, where something is due and the process thread has not come to it yet
_PATIENCE = 1.0  # s: work that runs longer has its partitions paused, so that polling can go on
_AHEAD = 1  # batches handed over whose work has not begun
_LAST_CHANCE = 60.0  # s: how long a revocation waits for the batch in flight


class Feed:
    """A consumer's records as batches, each of one epoch.

    The epoch changes with every assignment, revocation and abort; a batch of an older epoch is dropped unread,
    because its records will be delivered again, here or elsewhere.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: tuple[str, ...],
        settings: Settings,
        deliver: Callable[[Any], None],
    ) -> None:
        self._config = dict(config)
        self._topics = topics
        self._absent = Absent(config["bootstrap.servers"], topics)
        self._records = settings.batch_records
        self._fill = settings.batch_ms / 1000
        self._deliver = deliver  # called by the poll thread, which does not poll meanwhile
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._credit = threading.Semaphore(_AHEAD)
        self._stopping = threading.Event()
        self._go_on: tuple[int, dict[Place, int]] | None = None
        self._paused = False
        self._reading = -1  # the epoch whose records may be delivered
        self.epoch = 0
        self.lags: dict[Place, int] = {}  # of the partitions that were read since their assignment
        self.assigned: tuple[Place, ...] = ()
        self.turned = time.monotonic()  # when the poll thread last began a turn
        self.due = inf  # Unix s at which the process thread wants a batch even if it is empty; it says so after each

    def run(self) -> None:
        """Polls until stopped; EngineError where the member is fenced or the group is lost for good."""
        consumer = Consumer(self._config)
        try:
            consumer.subscribe(
                list(self._topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._stopping.is_set():
                self._turn(consumer)
            _leave(consumer)
        except KafkaException as error:
            raise EngineError(f"consumer of {', '.join(self._topics)}: {error.args[0].str()}") from error
        finally:
            self._stopping.set()
            consumer.close()

    def stop(self) -> None:
        """Lets the poll thread leave the group after the batch in flight."""
        self._stopping.set()

    def begin(self, item: Assignment | Batch) -> bool:
        """Says that work on an item begins; False where its epoch is over and nothing must be done.

        The next batch is read from now on, not when the work ends: the threads' hand-over would wait for that.
        """
        if isinstance(item, Batch):
            self._credit.release()
        with self._lock:
            if item.epoch != self.epoch or self._stopping.is_set():
                return False
            self._idle.clear()
            return True

    def end(self) -> None:
        """Says that the work is done, whatever came of it."""
        self._idle.set()

    def rewind(self, epoch: int) -> int:
        """Ends an epoch after an abort: what was read and not committed is dropped. Gives the new epoch.

        Where the epoch is over already (a revocation waits for this work to end) it stays over: to begin another one
        would read partitions that are being given away.
        """
        with self._lock:
            if epoch != self.epoch:
                return epoch
            self.epoch += 1
            return self.epoch

    def go_on(self, epoch: int, offsets: dict[Place, int]) -> None:
        """Reads on from these offsets, if the epoch is still that of the one who says so."""
        with self._lock:
            if epoch == self.epoch:
                self._go_on = epoch, offsets

    def lag(self) -> int:
        """Records that were not read yet, control records of transactions included; 0 at the end of every partition."""
        return sum(self.lags.values())

    def is_current(self, epoch: int) -> bool:
        """False where the epoch is over; long work stops then."""
        return epoch == self.epoch and not self._stopping.is_set()

    def _turn(self, consumer: Consumer) -> None:
        self.turned = time.monotonic()
        self._absent.check()
        self._position(consumer)
        if not self._credit.acquire(timeout=_PATIENCE if not self._paused else 0):
            self._wait_paused(consumer)
            return
        self._resume(consumer)
        epoch = self._reading
        messages = _consume(consumer, 1, min(_POLL, max(_SOON, self.due - time.time())))
        if messages and self._records > 1:
            messages += _consume(consumer, self._records - 1, self._fill)
        batch = self._batch(consumer, epoch, messages)
        # An epoch that ended meanwhile (rebalance, abort) takes its records with it: they are read again. So does a
        # membership whose loss the client knows of and has not told: without one, an empty group refuses nothing.
        wanted = batch.messages or self.due <= time.time()
        if epoch != self.epoch or not wanted or not consumer.memberid():
            self._credit.release()
            return
        self._deliver(batch)

    def _batch(self, consumer: Consumer, epoch: int, messages: list[Received]) -> Batch:
        records, offsets, errors = sorted_out(messages)
        ends = set()
        for message, error in errors:
            if error.code() == KafkaError._PARTITION_EOF:
                ends.add((message.topic(), message.partition()))
            elif error.code() in _OUT_OF_RANGE:
                self._begin_again(consumer, error)
            elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._absent.told(error)
            elif error.fatal() or error.code() in _HOPELESS:
                raise KafkaException(error)
            else:
                log.debug("consumer", error=error.str())
        self._measure(consumer, offsets, ends)
        return Batch(epoch, records, offsets, consumer.consumer_group_metadata())

    def _begin_again(self, consumer: Consumer, error: KafkaError) -> None:
        """The place to read is gone: a new owner has emptied the inbox behind us, or retention has been faster.

        The committed offsets say where to go on; if the partitions are no longer ours, the next poll will say that.
        """
        log.warning("reading again from the committed offsets", topics=self._topics, because=error.str())
        with self._lock:
            if self._reading != self.epoch:
                return
            self.epoch += 1
            epoch = self.epoch
        self._deliver(Assignment(epoch, self.assigned, consumer.consumer_group_metadata()))

    def _position(self, consumer: Consumer) -> None:
        """Reads nothing between the end of an epoch and the word where the next one begins."""
        with self._lock:
            target, self._go_on = self._go_on, None
            current = self.epoch
        if target is not None and target[0] == current:
            marks = [TopicPartition(topic, partition, offset) for (topic, partition), offset in target[1].items()]
            consumer.assign(marks)
            consumer.resume(marks)  # librdkafka remembers a pause beyond the assignment in which it was made
            self._paused = False
            self._reading = current
        elif self._reading != current and consumer.assignment():
            consumer.assign([])

    def _wait_paused(self, consumer: Consumer) -> None:
        """Work takes long: keep polling, so that the group does not take us for dead, and read nothing."""
        if not self._paused:
            consumer.pause(consumer.assignment())
            self._paused = True
        epoch = self.epoch
        left = self._batch(consumer, epoch, _consume(consumer, 1, _POLL))
        if left.messages and epoch == self.epoch:
            raise EngineError("a paused partition delivered a record")

    def _resume(self, consumer: Consumer) -> None:
        if self._paused:
            consumer.resume(consumer.assignment())
            self._paused = False

    def _measure(self, consumer: Consumer, offsets: dict[Place, int], ends: set[Place]) -> None:
        for place, offset in offsets.items():
            _, high = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            self.lags[place] = max(0, high - offset)
        self.lags |= dict.fromkeys(ends, 0)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Takes the partitions without reading them: they are read once they are restored."""
        consumer.assign([])
        places = tuple(sorted((each.topic, each.partition) for each in partitions))
        with self._lock:
            self.epoch += 1
            epoch = self.epoch
        self.assigned = places
        self.lags = {}
        self._paused = False
        self._deliver(Assignment(epoch, places, consumer.consumer_group_metadata()))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Gives the partitions away only when the batch in flight has ended, one way or the other."""
        del partitions
        with self._lock:
            self.epoch += 1
        if not self._idle.wait(_LAST_CHANCE):
            log.error("the batch in flight does not end; it will be fenced")
        self.assigned = ()
        self.lags = {}
        self._paused = False
        consumer.unassign()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("membership lost", topics=self._topics)
        self._on_revoke(consumer, partitions)


def _leave(consumer: Consumer) -> None:
    """Leaves the group before closing: by closing alone a static member keeps its partitions until its session ends.

    The client leaves once the revocation has been served, which polling does; then it has no member id any more.
    """
    consumer.unsubscribe()
    until = time.monotonic() + _LAST_CHANCE
    while consumer.memberid() and time.monotonic() < until:
        _consume(consumer, 1, _POLL)


def _consume(consumer: Consumer, most: int, seconds: float) -> list[Received]:
    return cast(list[Received], consumer.consume(most, seconds))


_OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
_HOPELESS = frozenset(
    {
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._FATAL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)
