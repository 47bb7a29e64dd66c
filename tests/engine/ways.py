"""A decider both ways, the compiled short one and the long one: whatever comes in, what they make of it is the same."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from confluent_kafka import Message
from hypothesis import settings
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Decider, Record, Topology, replace
from foldlog.core.errors import StateError
from foldlog.core.partitioning import partition_of
from foldlog.engine.batch import Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.remembered import item_of, items_of
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.engine.store import Store
from foldlog.engine.work import LONGEST_ID, Work

WAYS = {"short": True, "long": False}
ACCOUNTS = ("ada", "bob", "çelik", "d" * 130, "")


class Add(Record):
    """Types that are read and written in the compiled module, at their ends."""

    counter: str
    amount: int
    loud: bool = False


class Added(Record):
    counter: str
    amount: int
    loud: bool
    total: int


class Count(Record):
    total: int = 0
    loud: bool = False


def decide(command: Add, count: Count) -> Sequence[Added]:
    """As many events as are asked for by an amount of 1 to 3; nothing for 0, a fault for 7, no sequence for 8."""
    if command.amount == 7:
        raise ZeroDivisionError
    if command.amount == 8:
        return {Added(command.counter, 8, command.loud, count.total): 1}.keys()  # type: ignore[return-value]
    times = command.amount if 0 <= command.amount <= 3 else 1
    added = Added(command.counter, command.amount, command.loud, count.total + command.amount)
    return (added,) * times if command.loud else [added] * times


def evolve(count: Count, event: Added) -> Count:
    """The total, which an event may carry beyond what Avro's long holds."""
    return replace(count, total=event.total, loud=event.loud)


counter = Decider("counter", Count(), key=lambda command: command.counter, decide=decide, evolve=evolve)


class Sides(NamedTuple):
    """One decider, both ways."""

    codec: Codec
    kinds: dict[str, Deciding]
    stores: dict[str, dict[int, Store]]
    topology: Topology

    def rows(self) -> dict[str, dict[int, Rows[Any]]]:
        """Empty rows for each way."""
        for store in (store for stores in self.stores.values() for store in stores.values()):
            store.apply({key: None for key, _ in store.rows()}, 0, 0)
        return {
            way: {number: kind.rows(self.stores[way][number], 1 << 20) for number in self.stores[way]}
            for way, kind in self.kinds.items()
        }

    def outcome(self, way: str, messages: list[Message], rows: dict[int, Rows[Any]]) -> tuple[Any, ...]:
        """What a batch comes to: records, replies, rows, rows as bytes."""
        kind = self.kinds[way]
        work = Work(self.topology.name, kind.name, self.codec, kind.log)
        kind.handle_all(cast(list[Received], messages), rows, work)
        packed = [each.pack() for each in rows.values()]
        return (
            [output._replace(value=self._timeless(output.value)) for output in work.outputs],
            {partition: events for partition, events in work.events.items() if events},
            work.replies,
            {number: _overlay(each) for number, each in rows.items()},
            packed,
            {number: each.packed for number, each in rows.items() if all(packed)},
        )

    def _timeless(self, value: bytes | None) -> Any:
        """An output's record; a dead letter tells when it was put aside, and that is left out."""
        record = self.codec.decode(value or b"")
        return (*(getattr(record, name) for name in record.__struct_fields__ if name != "time"), type(record))


def _overlay(rows: Rows[Any]) -> dict[bytes, Any]:
    """What a batch has changed; remembered ids may lie in two parts or in one."""
    changed = {key: rows.get(key) for key in {**rows.changed, **rows.packed}}
    return {key: row and (row.version, row.known[0], items_of(row.known), row.state) for key, row in changed.items()}


@contextmanager
def sides(cluster: Cluster, home: Path, decider: Decider[Any, Any, Any]) -> Iterator[Sides]:
    topology = Topology(f"short_{uuid.uuid4().hex[:10]}", deciders=(decider,), partitions=2)
    with closing(Registry(cluster.registry)) as registry:
        push(topology, registry)
        codec = Codec(topology, registry)
        codec.prepare()
        kinds = {way: Deciding(topology, decider, codec, compiled=compiled) for way, compiled in WAYS.items()}
        stores = {way: {number: Store(home / way / str(number), "log") for number in range(2)} for way in WAYS}
        yield Sides(codec, kinds, stores, topology)


WRONG = ("key", "no key", "no value", "cut", "long", "garbage", "no utf-8", "schema", "elsewhere")
OTHERS = ("correlation-id", "actor", "reply-to", "forwarded-from", "timer", "traceparent")
names = st.sampled_from(ACCOUNTS) | st.text(max_size=3)
amounts = st.sampled_from((0, 1, 2, 3, 7, 8, -1, 63, 64, -65, 8191, 1 << 40, (1 << 63) - 1, -1 << 63, 1 << 62))
additions = st.builds(Add, names, amounts, st.booleans())
counts = st.builds(Count, amounts, st.booleans())
texts = st.none() | st.sampled_from((b"", b"a", b"b" * 70, "é".encode(), b"\xff", b"x" * LONGEST_ID, b"x" * 201))
uuids = st.uuids().flatmap(lambda each: st.sampled_from((each.hex, str(each)))).map(str.encode)
SAME = "0123456789abcdef0123456789abcdef"
OTHER_FORMS = (str(uuid.UUID(SAME)), SAME.upper(), f"{SAME[:-1]}g", f"{SAME[:-1]}-", f"{SAME}-abc")
KEPT = item_of(SAME)[1:].decode()  # an id that looks like a kept one
ids = texts | uuids | st.sampled_from((b"c1", b"c2", b"c3", *map(str.encode, (SAME, *OTHER_FORMS, KEPT))))
headers = st.lists(
    st.tuples(st.just("command-id"), ids) | st.tuples(st.sampled_from(OTHERS), texts),
    max_size=4,
)
times = st.sampled_from((0, 1, 1_700_000_000_000, -62_135_596_800_001, 253_402_300_800_000))


class Sent(NamedTuple):
    """A record on the commands topic, and what is wrong with it."""

    command: Record
    headers: list[tuple[str, bytes | None]]
    time: int
    wrong: str
    partition: int


def sent(commands: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Sent]]:
    wrong = st.sampled_from(("",) * 12 + WRONG)
    return st.lists(st.builds(Sent, commands, headers, times, wrong, st.integers(0, 1)), max_size=12)


def message_of(each: Sent, found: Sides, kind: Deciding, offset: int) -> Message:
    key: bytes | None = str(getattr(each.command, each.command.__struct_fields__[0])).encode()
    value: bytes | None = found.codec.encode(each.command)
    assert value is not None
    match each.wrong:
        case "key":
            key = CHECKPOINT
        case "no key":
            key = None
        case "no value":
            value = None
        case "cut":
            value = value[:-1]
        case "long":
            value += b"\0"
        case "garbage":
            value = value[:5] + b"\xff" * 12
        case "no utf-8" if key:
            value = value.replace(key, b"\xff" * len(key))
        case "schema":
            value = b"\0\x7f\xff\xff\xff" + value[5:]
        case _:
            pass
    home = partition_of(key or b"", 2)
    partition = 1 - home if each.wrong == "elsewhere" else home
    place: dict[str, Any] = {"topic": kind.commands, "partition": partition, "offset": offset, "headers": each.headers}
    return Message(**place, key=key, value=value, timestamp=(1, each.time))


Log = dict[int, list[tuple[bytes, bytes | None]]]


def assert_same(found: Sides, batches: list[list[Sent]], cold: bool = False) -> Log:
    """Both ways have the same outcome, also where each batch finds its rows in the `cold` store alone.

    Every other batch is read ahead, so that its rows are bytes as soon as they change and none is cached. And so has
    each way where the log that has come about, which is given back, is folded again.
    """
    rows, log = found.rows(), Log({0: [], 1: []})
    for number, batch in enumerate(batches):
        outcomes = []
        for way, kind in found.kinds.items():
            messages = [message_of(each, found, kind, 100 * number + place) for place, each in enumerate(batch)]
            for own in rows[way].values():
                keys = [key for message in messages if (key := message.key()) is not None]
                own.adopt(None if number % 2 else own.read_ahead(keys, 1 << 20))
            outcomes.append(found.outcome(way, messages, rows[way]))
        assert outcomes[0] == outcomes[1]
        for partition, events in outcomes[0][1].items() if all(outcomes[0][4]) else ():
            log[partition] += events
        for way in WAYS:
            for own in rows[way].values():
                own.drop() if not all(outcomes[0][4]) else own.apply(number + 1)
                if cold:
                    own.write()
                    own.forget()
    live = written(rows["long"])
    assert [folded(found, way, log, cold) for way in WAYS] == [live, live]
    return log


def written(rows: dict[int, Rows[Any]]) -> Any:
    """What the stores have in the end, and how many rows that is."""
    for own in rows.values():
        own.write()
    return {number: (dict(own.store.rows()), own.count) for number, own in rows.items()}


def folded(found: Sides, way: str, log: Log, cold: bool, size: int = 5) -> Any:
    """The rows of a log, folded so many events at a time; or why it cannot be folded."""
    kind, rows = found.kinds[way], found.rows()[way]
    for number, events in log.items():
        place: dict[str, Any] = {"topic": kind.log, "partition": number, "timestamp": (1, 0)}
        records = [Message(**place, offset=at, key=key, value=value) for at, (key, value) in enumerate(events)]
        for first in range(0, len(records), size):
            try:
                kind.take(cast(list[Received], records[first : first + size]), rows[number], first + size)
            except StateError as error:
                return str(error)
            if cold:
                rows[number].write()
                rows[number].forget()
    return written(rows)


relaxed = settings(deadline=None, max_examples=150)
