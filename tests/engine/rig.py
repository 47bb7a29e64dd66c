"""A processor without its worker: the engine's parts in two threads, each part exchangeable.

The tests of the engine's rules run a scenario on the real broker twice: with the parts as they are, and with one
part that breaks the rule.
"""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Decider, Meta, Record, Topology, topics
from foldlog.core.partitioning import partition_of
from foldlog.engine import clients
from foldlog.engine.batch import Assignment, Batch, Output
from foldlog.engine.deciding import Deciding
from foldlog.engine.feed import Feed
from foldlog.engine.partitions import Partitions
from foldlog.engine.processor import Parts, Processor
from foldlog.engine.restoring import Group, LogReader, topic_ids
from foldlog.engine.stats import Counters
from foldlog.engine.transactions import Transactions
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
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
        assert self.producer.flush(20) == 0

    def events(self) -> list[Written]:
        """What a read_committed reader sees of the log, in order."""
        entries = reading.read(self.cluster.bootstrap, self.log)
        return [self.codec.decode_with(entry.value) for entry in entries if entry.value]  # type: ignore[misc]

    def amounts(self) -> list[int]:
        """The amounts of the log's events, in order."""
        return [event.amount for event, _ in self.events()]

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
        producer.init_transactions(20)
        return producer


class Member:
    """A feed alone, in its poll thread; what it hands over is collected and handled by the test."""

    def __init__(self, context: Context, instance: str, feed: type[Feed] = Feed) -> None:
        config = clients.member(context.cluster.bootstrap, context.group, instance, context.settings)
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.feed = feed(config, (context.commands,), context.settings, self.items.put)
        self._thread = threading.Thread(target=self.feed.run, name=f"poll-{instance}", daemon=True)

    def assignment(self, seconds: float = 30) -> Assignment:
        """The next assignment; batches before it are passed over."""
        return cast(Assignment, self._next(Assignment, seconds))

    def batch(self, seconds: float = 30) -> Batch:
        """The next batch."""
        return cast(Batch, self._next(Batch, seconds))

    def has_item(self) -> bool:
        """Whether something was handed over that was not taken."""
        return not self.items.empty()

    @contextmanager
    def running(self) -> Iterator["Member"]:
        """Polls; leaves the group at the end."""
        self._thread.start()
        try:
            yield self
        finally:
            self.feed.stop()
            self._thread.join(90)
            assert not self._thread.is_alive()

    def _next(self, kind: type[Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                item = self.items.get(timeout=left)
                if isinstance(item, kind):
                    return item
        raise TimeoutError(f"no {kind.__name__} within {seconds} s")


@dataclass
class Made:
    """The classes that a line is made of."""

    feed: type[Feed] = Feed
    transactions: type[Transactions] = Transactions
    reader: type[LogReader] = LogReader
    processor: type[Processor] = Processor


class Line:
    """One processor with its poll thread and its process thread, as a worker has them.

    A line of another `directory` knows nothing of what was done before; `changed` are settings.
    """

    def __init__(
        self, context: Context, made: Made | None = None, instance: str = "a", directory: str = "one", **changed: Any
    ) -> None:
        made, bootstrap = made or Made(), context.cluster.bootstrap
        settings = context.settings.model_copy(update=changed)
        self.kind = Deciding(context.topology, context.decider, context.codec)
        self.counters = Counters()
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.feed = made.feed(
            clients.member(bootstrap, context.group, instance, settings), self.kind.inputs, settings, self.items.put
        )
        config = clients.transactional(bootstrap, settings)
        self.transactions = made.transactions(config, f"{context.group}.{instance}", settings.socket_timeout_ms)
        self.partitions = Partitions(self.kind, context.home / directory, 1000, self.counters)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        parts = Parts(
            context.name,
            self.kind,
            context.codec,
            self.feed,
            self.transactions,
            context.reach(instance),
            made.reader(bootstrap, settings),
            self.partitions,
            lambda names: topic_ids(admin, names),
        )
        self.processor = made.processor(parts, self.counters)
        self.failures: list[BaseException] = []
        self.rows: dict[bytes, bytes] = {}  # what the stores held at the end
        self._threads = [threading.Thread(target=self._guard, args=(run,), daemon=True) for run in self._runs()]

    @contextmanager
    def running(self) -> Iterator["Line"]:
        """Works until the end of the block, ends the batch in flight, and fails where a thread failed."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self.feed.stop()
            self._threads[0].join(90)
            self.items.put(None)
            self._threads[1].join(90)
        assert not self.failures, self.failures

    def _runs(self) -> tuple[Callable[[], None], ...]:
        return self.feed.run, self._process

    def _process(self) -> None:
        while (item := self.items.get()) is not None:
            self.processor.take(item)
        for rows in self.partitions.rows.values():
            self.rows.update(rows.store.rows())
        self.processor.close()

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:
            self.failures.append(error)
            self.feed.stop()


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until the condition holds; fails where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.02)


def committed(context: Context, partition: int = 0) -> TopicPartition:
    """The committed offset of the group with its metadata, as it stands."""
    consumer = Consumer({"bootstrap.servers": context.cluster.bootstrap, "group.id": context.group})
    try:
        found: TopicPartition = consumer.committed([TopicPartition(context.commands, partition)], 10)[0]
    finally:
        consumer.close()
    return found
