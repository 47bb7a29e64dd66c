"""The bench's own topics: made for a run, watched while it runs, removed after it."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, but not re-exported

from foldlog.core.errors import ClusterError
from foldlog.core.topics import Topic
from foldlog.kafka.admin import apply
from foldlog.kafka.connection import METADATA_S, admin, client_config, reaching
from foldlog.kafka.reading import BATCH, ends, is_record, open_consumer

LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
STALL_S = 60.0


@dataclass
class Kafka:
    """A broker, and a name that is in the name of everything this run makes there."""

    bootstrap: str
    run: str = field(default_factory=lambda: f"bench_{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self._admin: AdminClient = admin(self.bootstrap)

    def name(self, of: str) -> str:
        """A name that nobody else has: `bench_<run>_<of>_<random>`; fit for a context, a topic and a group."""
        return f"{self.run}_{of}_{uuid.uuid4().hex[:6]}"

    def create(self, topic: str, partitions: int) -> None:
        """Makes a plain topic."""
        apply(self.bootstrap, [Topic(topic, partitions)], 1)

    def end(self, topic: str, partitions: int) -> int:
        """The sum of the stable ends of a topic's partitions; the markers of transactions count."""
        asked = {TopicPartition(topic, number): LATEST for number in range(partitions)}
        with reaching(self.bootstrap):
            found = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
            return sum(answer.result(METADATA_S).offset for answer in found.values())

    def remove(self, name: str) -> None:
        """Deletes every topic and group whose name has this in it; what is in use or gone already is let be."""
        with reaching(self.bootstrap):
            groups = self._admin.list_consumer_groups(request_timeout=METADATA_S).result().valid
            topics = [topic for topic in self._admin.list_topics(timeout=METADATA_S).topics if name in topic]
        stale = [group.group_id for group in groups if name in group.group_id]
        answers = [*self._admin.delete_topics(topics).values()] if topics else []
        answers += self._admin.delete_consumer_groups(stale).values() if stale else []
        for answer in answers:
            with suppress(KafkaException):
                answer.result(METADATA_S)

    def values(self, topic: str, partitions: int) -> Iterator[bytes]:
        """The values of a topic up to its present end, committed ones only; ClusterError where reading stalls."""
        with closing(open_consumer(self.bootstrap)) as consumer, reaching(self.bootstrap):
            bounds = ends(consumer, topic, range(partitions))
            left = {number: end for number, (start, end) in bounds.items() if end > start}
            consumer.assign([TopicPartition(topic, number, bounds[number][0]) for number in left])
            heard = time.monotonic()
            while left:
                messages = consumer.consume(BATCH, 0.1)
                heard = time.monotonic() if messages else heard
                if time.monotonic() - heard > STALL_S:
                    raise ClusterError(f"{topic}: Kafka sent nothing for {STALL_S:.0f} s")
                yield from _taken(messages, left)


def _taken(messages: Sequence[Message], left: dict[int, int]) -> Iterator[bytes]:
    """The values before the ends; a partition that is at its end, which only its own notice tells, is done."""
    for message in messages:
        number = message.partition() or 0
        if not is_record(message):
            if (message.offset() or 0) >= left.get(number, 0):
                left.pop(number, None)
        elif (value := message.value()) is not None and number in left:
            yield value


@contextmanager
def loading(bootstrap: str, transactional_id: str | None = None) -> Iterator[Producer]:
    """A producer for large loads; at the end everything is delivered, else ClusterError."""
    transaction = {"transactional.id": transactional_id, "transaction.timeout.ms": 600_000} if transactional_id else {}
    producer = Producer(
        {
            **transaction,
            **client_config(bootstrap),
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.num.messages": 10_000,
            "batch.size": 1 << 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
        }
    )
    yield producer
    if left := producer.flush(STALL_S):
        raise ClusterError(f"Kafka at {bootstrap}: {left:,} records were not delivered in {STALL_S:.0f} s")


def reading(bootstrap: str, topic: str, partitions: int) -> Consumer:
    """A consumer of committed records from the topic's present end on, which hears of each as soon as may be."""
    consumer = Consumer(
        {
            **client_config(bootstrap),
            "group.id": "foldlog-bench",  # librdkafka wants one; nothing is ever committed under it
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
            "fetch.queue.backoff.ms": 5,
        }
    )
    bounds = ends(consumer, topic, range(partitions))
    consumer.assign([TopicPartition(topic, number, end) for number, (_, end) in bounds.items()])
    return consumer
