"""A context of its own on the tests' cluster: what is sent to it, and what it wrote."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Meta, Record, Topology, topics
from foldlog.core.outcome import DeadLetter, Reply
from foldlog.core.partitioning import partition_of
from foldlog.core.repair import Parked, ParkedKey, Repair
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from foldlog.kafka.marks import GroupOffsets
from tests.engine.bank import bank
from tests.engine.tail import Tail

T = TypeVar("T")
PATIENCE = 90.0  # s: a worker's start, or its hand-over, on a busy machine

Headers = list[tuple[str, str | bytes | None]]


def eventually(look: Callable[[], T | None], what: str = "it", patience: float = PATIENCE) -> T:
    """What `look` gives once it gives something true; fails after 90 s, or as many as are said."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen in {patience:.0f} s"
        time.sleep(0.02)
    return found


@dataclass
class Bank:
    """The bank, or another context of the tests, under a name of its own."""

    topology: Topology
    cluster: Cluster
    registry: Registry
    _tails: dict[str, Tail] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.topology.name

    @property
    def commands(self) -> str:
        return topics.commands(self.name, "account")

    @cached_property
    def codec(self) -> Codec:
        codec = Codec(self.topology, self.registry)
        codec.prepare()
        return codec

    @cached_property
    def _offsets(self) -> GroupOffsets:
        return GroupOffsets(self.cluster.bootstrap)

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 0})

    @cached_property
    def producer(self) -> Producer:
        return Producer(
            {"bootstrap.servers": self.cluster.bootstrap, "log_level": 0, "linger.ms": 5, "message.max.bytes": 2 << 20}
        )

    def home(self, key: bytes) -> int:
        """The partition of a key."""
        return partition_of(key, self.topology.partitions)

    def account_on(self, partition: int) -> str:
        """A new account whose home is this partition."""
        return next(id for id in map(str, iter(uuid.uuid4, None)) if self.home(id.encode()) == partition)

    def put(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        topic: str | None = None,
        partition: int | None = None,
    ) -> str:
        """Writes one record of any bytes, to the key's home unless told otherwise; its place."""
        written: list[Message] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            written.append(message)

        to = partition if partition is not None else self.home(key or b"")
        self.producer.produce(topic or self.commands, value, key, to, delivered, headers=list(headers or []))
        self.producer.flush(PATIENCE)
        return f"{written[0].topic()}:{written[0].partition()}:{written[0].offset()}"

    def send(self, *commands: Record, id: str | None = None) -> None:
        """Writes commands, in one batch of the producer; with an id, their replies are asked for."""
        headers: Headers = [("command-id", id.encode()), ("reply-to", b"")] if id else []
        for command in commands:
            topic = topics.commands(self.name, self.codec.contract(type(command)).owner)
            key = str(getattr(command, command.__struct_fields__[0])).encode()
            self.producer.produce(topic, self.codec.encode(command), key, self.home(key), headers=headers)
        assert self.producer.flush(PATIENCE) == 0

    def ask(self, command: Record, id: str | None = None) -> Reply:
        """Writes a command and waits for its reply, the first that this call brings about."""
        id = id or uuid.uuid4().hex
        before = len(self.replies(id))
        self.send(command, id=id)
        reply = eventually(lambda: self.replies(id)[before:], f"a reply to {command}")[0]
        self._seen(reply.position)
        return reply

    def _seen(self, place: str | None) -> None:
        """Waits until a place can be read: a transaction's end is written to one partition after the other."""
        if place is not None:
            topic, number, offset = place.rsplit(":", 2)
            eventually(lambda: self.tail(topic).bounds(int(number))[1] > int(offset), f"{place} to be seen")

    def replies(self, id: str) -> list[Reply]:
        """Every reply to a command id."""
        entries = self.tail(topics.replies(self.name)).entries()
        return [self._decoded(entry, Reply) for entry in entries if entry.key == id.encode()]

    def events(self, id: str) -> list[tuple[Record, Meta]]:
        """The log of one account."""
        return [both for both in self.log() if both[1].aggregate_id == id]

    def log(self, decider: str = "account") -> list[tuple[Record, Meta]]:
        """The log of every aggregate, without what a test put there that is no event."""
        entries = self.tail(topics.events(self.name, decider)).entries()
        return [self.codec.decode_with(entry.value or b"") for entry in entries if b"@" in (entry.key or b"")]

    def letters(self) -> list[DeadLetter]:
        """Every dead letter."""
        entries = self.tail(topics.dead_letters(self.name)).entries()
        return [self._decoded(entry, DeadLetter) for entry in entries]

    def letters_of(self, place: str) -> list[DeadLetter]:
        """The dead letters of the record at a place, once there is one."""
        return eventually(
            lambda: [found for found in self.letters() if f"{found.topic}:{found.partition}:{found.offset}" == place],
            f"a dead letter of {place}",
        )

    def letters_about(self, id: str) -> list[DeadLetter]:
        """The dead letters of records with this text in key or value, once there is one."""
        wanted = id.encode()
        return eventually(
            lambda: [found for found in self.letters() if wanted in (found.key or b"") + (found.value or b"")],
            f"a dead letter about {id}",
        )

    def parked(self, processor: str) -> dict[str, ParkedKey]:
        """The parked keys of a processor."""
        table = reading.latest(self.tail(topics.parked(self.name, processor)).entries())
        heads = [self.codec.decode(entry.value or b"") for name, entry in table.items() if name.endswith("@0")]
        return {head.key: head for head in heads if isinstance(head, ParkedKey)}

    def waiting(self, processor: str, key: str) -> list[Record]:
        """The records that wait behind a parked key, in order."""
        table = reading.latest(self.tail(topics.parked(self.name, processor)).entries())
        numbered = {name.rpartition("@"): entry for name, entry in table.items()}
        own = sorted((int(number), entry) for (name, _, number), entry in numbered.items() if name == key)
        records = [self._decoded(entry, Parked) for number, entry in own if number > 0]
        return [self.codec.decode(record.value or b"") for record in records]

    def repair(self, action: str, processor: str, key: str, **more: int | Parked) -> None:
        """Asks for a repair of a parked key, as the command line does."""
        asked = Repair(action, processor, "ops", datetime.now(UTC), key, **more)  # type: ignore[arg-type]
        self.put(key.encode(), self.codec.encode(asked), topic=topics.repairs(self.name))

    def rows(self, processor: str) -> dict[str, Record]:
        """The rows of a view, or the states of a saga, as their topic has them."""
        table = reading.latest(self.tail(topics.table(self.name, processor)).entries())
        return {key: self.codec.decode(entry.value or b"") for key, entry in table.items()}

    def row(self, processor: str, key: str, wanted: Record) -> None:
        """Waits until a row is as it should be."""
        eventually(lambda: self.rows(processor).get(key) == wanted, f"{processor} of {key}: {wanted}")

    def owners(self, processor: str) -> set[str]:
        """The instances that last committed an offset of a processor: their names stand beside the offsets."""
        group, declared = f"{self.name}.{processor}", topics.topics(self.topology)
        places = [(topic.name, number) for topic in declared for number in range(topic.partitions)]
        marks = self._offsets.marks(group, places)
        return {mark.metadata.removeprefix(f"{group}.") for mark in marks if mark.metadata}

    def passed(self, processor: str, topic: str, number: int) -> int:
        """The records of a partition that a processor has done with, as its committed offset says."""
        place = (topic, number)
        return max(0, self._offsets.of(f"{self.name}.{processor}", [place])[place])

    def members(self, processor: str) -> set[str]:
        """The instances that are in a processor's group now."""
        group = f"{self.name}.{processor}"
        found = self.admin.describe_consumer_groups([group])[group].result(PATIENCE)
        return {str(member.group_instance_id) for member in found.members}

    def tail(self, topic: str) -> Tail:
        """What committed readers see of a topic."""
        if topic not in self._tails:
            counts = {each.name: each.partitions for each in topics.topics(self.topology)}
            self._tails[topic] = Tail(self.cluster.bootstrap, topic, counts[topic])
        return self._tails[topic]

    def remove(self, names: list[str]) -> None:
        """Deletes topics, and waits until they are gone."""
        for name, answer in self.admin.delete_topics(names).items():
            answer.result(PATIENCE)
            eventually(lambda name=name: name not in self.admin.list_topics(timeout=10).topics)  # type: ignore[misc]

    def remake(self, names: list[str], partitions: int = 3) -> None:
        """Deletes topics and creates them anew, empty."""
        self.remove(names)
        declared = {each.name: replace(each, partitions=partitions) for each in topics.topics(self.topology)}
        apply(self.cluster.bootstrap, [declared[name] for name in names], 1)
        for name in names:
            if tail := self._tails.pop(name, None):
                tail.close()

    def close(self) -> None:
        """Ends what it holds open."""
        for tail in self._tails.values():
            tail.close()
        self._offsets.close()

    def _decoded(self, entry: reading.Entry, kind: type[T]) -> T:
        record = self.codec.decode(entry.value or b"")
        assert isinstance(record, kind)
        return record


@contextmanager
def fresh_bank(cluster: Cluster, apply_all: bool = True) -> Iterator[Bank]:
    """A bank with a name that was never used; its topics and schemas are applied unless told otherwise."""
    with fresh(cluster, bank, apply_all) as made:
        yield made


@contextmanager
def fresh(cluster: Cluster, declared: Topology, apply_all: bool = True) -> Iterator[Bank]:
    """A context under a name that was never used."""
    topology = replace(declared, name=f"{declared.name}_{uuid.uuid4().hex[:10]}")
    with closing(Registry(cluster.registry)) as registry:
        push(topology, registry)
        if apply_all:
            apply(cluster.bootstrap, topics.topics(topology), 1)
        with closing(Bank(topology, cluster, registry)) as made:
            yield made
