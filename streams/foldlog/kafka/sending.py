"""Sending commands as any well-behaved producer does: idempotent, in order, to the partition of the key."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from foldlog.core.errors import ClusterError
from foldlog.kafka.connection import METADATA_S, client_config, reaching

Headers = Sequence[tuple[str, bytes]]
Delivered = Callable[[KafkaError | None, Message], None]
LINGER_MS = 20


class Outgoing(NamedTuple):
    """A record that is to be written."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def write_together(bootstrap: str, records: Iterable[Outgoing]) -> None:
    """Writes records in one transaction: all are there, or none; ClusterError where Kafka does not take them."""
    name = f"foldlog-{uuid.uuid4()}"
    config = {"transactional.id": name, "transaction.timeout.ms": 60_000, "message.max.bytes": 4 << 20}
    producer = Producer({**client_config(bootstrap), **config, "compression.type": "lz4"})
    with reaching(bootstrap):
        producer.init_transactions(METADATA_S)
        producer.begin_transaction()
        for record in records:
            queue(producer, record)
        producer.commit_transaction(60)


def queue(producer: Producer, record: Outgoing) -> None:
    """Hands a record to a producer; waits while its queue is full."""
    topic, partition, key, value, headers = record
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=cast(Any, list(headers)))
        except BufferError:
            producer.poll(0.05)
        else:
            return


class CommandProducer:
    """A producer that counts: `sent` handed over, `delivered` acknowledged by all replicas, `failures` why not.

    An interrupt comes before or after a call of the client, or in place of a callback. So a record is counted before
    it is handed over, and what is acknowledged is what is neither given up nor still outstanding.
    """

    def __init__(self, bootstrap: str, compression: str = "lz4", linger_ms: int = LINGER_MS) -> None:
        self.sent = 0
        self.failures: Counter[str] = Counter()
        self._bootstrap = bootstrap
        self._producer = Producer(
            {
                **client_config(bootstrap),
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "compression.type": compression,
                "linger.ms": linger_ms,
                "delivery.timeout.ms": 60_000,
            }
        )

    def send(
        self, topic: str, key: str, value: bytes, headers: Headers = (), delivered: Delivered | None = None
    ) -> None:
        """Queues one record; waits while the queue is full. ClusterError where the broker can never take it.

        With `delivered` a record's failure is told there, and is not counted here.
        """
        told, key_, headers_ = delivered or self._on_delivery, key.encode(), cast(Any, list(headers))
        while True:
            self.sent += 1
            try:
                self._producer.produce(topic, value, key_, on_delivery=told, headers=headers_)
                break
            except BufferError:
                self.sent -= 1
                self.wait(0.05)
            except KafkaException as error:
                self.sent -= 1
                raise ClusterError(f"{topic}, key {key}: {_reason(error.args[0])}") from error
        self.wait(0)

    @property
    def delivered(self) -> int:
        """How many records are acknowledged by all replicas."""
        return self.sent - len(self._producer) - self.failures.total()

    def wait(self, seconds: float) -> None:
        """Serves acknowledgements for at most that long: the pause of a paced sender."""
        try:
            self._producer.poll(seconds)
        except SystemError as error:
            _interrupt(error)
            raise

    def drain(self) -> None:
        """Waits until each queued record is delivered or given up."""
        try:
            while self._producer.flush(0.2):  # short, so that an interrupt is heard
                pass
        except SystemError as error:
            _interrupt(error)
            raise

    def flush(self) -> None:
        """Drains, and raises ClusterError where records had to be given up."""
        self.drain()
        if self.failures:
            reason, _ = self.failures.most_common(1)[0]
            raise ClusterError(
                f"Kafka at {self._bootstrap}: {self.failures.total()} of {self.sent} not delivered: {reason}"
            )

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.failures[_reason(error)] += 1


def _interrupt(error: SystemError) -> None:
    """Raises the interrupt that the client, called while it calls back itself, tells of as a failure of its own."""
    if "without setting an exception" in str(error):
        raise KeyboardInterrupt from error


def _reason(error: KafkaError) -> str:
    return error.str()
