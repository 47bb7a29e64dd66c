"""A context of one decider, with topics of its own: what the tests of the engine's rules work on."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Decider, Meta, Record, Topology, topics
from foldlog.core.partitioning import partition_of
from foldlog.engine import clients
from foldlog.engine.batch import Output
from foldlog.engine.restoring import Group
from foldlog.engine.transactions import Transactions
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from foldlog.kafka.connection import partition_count
from foldlog.kafka.reading import Entry
from foldlog.settings import Settings


class Add(Record):
    tally: str
    amount: int


class Added(Record):
    tally: str
    amount: int


class Tally(Record):
    total: int = 0


def decide(command: Add, tally: Tally) -> list[Added]:
    del tally
    return [Added(command.tally, command.amount)]


def evolve(tally: Tally, event: Added) -> Tally:
    return Tally(tally.total + event.amount)


tally = Decider("tally", Tally(), key=lambda command: command.tally, decide=decide, evolve=evolve)

EPOCH = datetime.fromtimestamp(0, UTC)

Written = tuple[Added, Meta]


@dataclass
class Context:
    """A context of one decider with its topics and schemas; its name is new."""

    cluster: Cluster
    home: Path
    partitions: int = 1
    decider: Decider[Any, Any, Any] = tally
    name: str = field(default_factory=lambda: f"rule_{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.topology = Topology(self.name, deciders=(self.decider,), partitions=self.partitions)
        apply(self.cluster.bootstrap, topics.topics(self.topology), 1)
        self.registry = Registry(self.cluster.registry)
        push(self.topology, self.registry)
        self.codec = Codec(self.topology, self.registry)
        self.codec.prepare()
        self.commands = topics.commands(self.name, self.decider.name)
        self.log = topics.events(self.name, self.decider.name)
        self.group = f"{self.name}.{self.decider.name}"
        self.settings = Settings(home=self.home, session_timeout_ms=6000, transaction_timeout_ms=60_000)

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self.registry.close()

    @cached_property
    def producer(self) -> Producer:
        """Writes commands."""
        return Producer({"bootstrap.servers": self.cluster.bootstrap, "enable.idempotence": True, "log_level": 0})

    def key(self, partition: int) -> str:
        """A tally that lives on this partition."""
        return next(f"t{n}" for n in range(1000) if partition_of(b"t%d" % n, self.partitions) == partition)

    def send(self, *commands: Record, headers: dict[str, str] | None = None, timestamp: int = 0) -> None:
        """Writes commands to their partitions; returns when they are there."""
        named: list[tuple[str, str | bytes | None]] = [
            (name, value.encode()) for name, value in (headers or {}).items()
        ]
        for command in commands:
            key = self.decider.key(command).encode()
            place = partition_of(key, self.partitions)
            value = self.codec.encode(command)
            self.producer.produce(self.commands, value, key, place, headers=named, timestamp=timestamp)
        assert self.producer.flush(60) == 0

    def events(self, seconds: float = 30) -> list[Written]:
        """What a read_committed reader sees of the log, in order, once no transaction is open or after so many s."""
        entries = committed_records(self.cluster.bootstrap, self.log, seconds)
        return [self.codec.decode_with(entry.value) for entry in entries if entry.value]  # type: ignore[misc]

    def amounts(self, seconds: float = 30) -> list[int]:
        """The amounts of the log's events, in order."""
        return [event.amount for event, _ in self.events(seconds)]

    def event(self, amount: int, version: int, partition: int = 0) -> Output:
        """A record for the log as the engine would write it."""
        id_ = self.key(partition)
        meta = Meta(f"tally:{id_}@{version}", id_, version, EPOCH, "test", "test")
        return Output(self.log, partition, f"{id_}@{version}".encode(), self.codec.encode(Added(id_, amount), meta))

    def transactions(self, instance: str) -> Transactions:
        """The transactions of a worker of that name."""
        config = clients.transactional(self.cluster.bootstrap, self.settings)
        return Transactions(config, f"{self.group}.{instance}", self.settings.socket_timeout_ms)

    def reach(self, instance: str) -> Group:
        """How a worker of that name reaches the group."""
        return Group(self.cluster.bootstrap, self.group, f"{self.group}.{instance}", self.settings)

    def plain(self, name: str) -> Producer:
        """A transactional producer that is not the engine's."""
        config = {"bootstrap.servers": self.cluster.bootstrap, "transaction.timeout.ms": 60_000, "linger.ms": 0}
        producer = Producer({**config, "transactional.id": f"{self.name}.{name}"})
        producer.init_transactions(60)
        return producer


def eventually(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Waits until the condition holds; fails where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.02)


def committed_records(bootstrap: str, topic: str, seconds: float = 30) -> Iterator[Entry]:
    """What a read_committed reader sees once the transactions that were ended are, or after so many seconds.

    A commit is answered before its markers are written: until they are, nobody sees what was committed.
    """
    deadline = time.monotonic() + seconds
    while _ends(bootstrap, topic, "read_committed") < _ends(bootstrap, topic, "read_uncommitted"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return reading.read(bootstrap, topic)


def _ends(bootstrap: str, topic: str, isolation: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends", "isolation.level": isolation})
    try:
        found = reading.ends(consumer, topic, range(partition_count(bootstrap, topic)))
    finally:
        consumer.close()
    return sum(end for _, end in found.values())


def committed(context: Context, partition: int = 0) -> TopicPartition:
    """The committed offset of the group with its metadata; a fresh cluster has no coordinator at first."""
    consumer = Consumer({"bootstrap.servers": context.cluster.bootstrap, "group.id": context.group})
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                found: TopicPartition = consumer.committed([TopicPartition(context.commands, partition)], 60)[0]
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_COORDINATOR or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return found
    finally:
        consumer.close()
