"""The compiled short way: whatever comes in, what it makes of a batch is what the long way makes of it."""

import shutil
import sysconfig
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import Message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Decider, Record, Topology, replace
from foldlog.core.errors import DecodeError, EncodeError, StateError
from foldlog.core.outcome import DeadLetter, Reply
from foldlog.core.partitioning import partition_of
from foldlog.engine import shortcut
from foldlog.engine.aggregates import Aggregate
from foldlog.engine.batch import Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.remembered import MOST
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.engine.store import Store
from foldlog.engine.work import LONGEST_ID, Work
from tests.engine.accounts import Close, Misbehave, Open, Post, account

WAYS = {"short": True, "long": False}
ACCOUNTS = ("ada", "bob", "çelik", "d" * 130, "")
HOWS = ("reject", "raise", "event too fine", "state too fine", "large event", "two", "unhappily")


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
            {number: each.changed for number, each in rows.items()},
            packed,
            {number: each.packed for number, each in rows.items() if all(packed)},
        )

    def _timeless(self, value: bytes | None) -> Any:
        """An output's record; a dead letter tells when it was put aside, and that is left out."""
        record = self.codec.decode(value or b"")
        return (*(getattr(record, name) for name in record.__struct_fields__ if name != "time"), type(record))


def sides(cluster: Cluster, home: Path, decider: Decider[Any, Any, Any]) -> Sides:
    topology = Topology(f"short_{uuid.uuid4().hex[:10]}", deciders=(decider,), partitions=2)
    registry = Registry(cluster.registry)
    push(topology, registry)
    codec = Codec(topology, registry)
    codec.prepare()
    kinds = {way: Deciding(topology, decider, codec, compiled=compiled) for way, compiled in WAYS.items()}
    stores = {way: {number: Store(home / way / str(number), "log") for number in range(2)} for way in WAYS}
    return Sides(codec, kinds, stores, topology)


@pytest.fixture(scope="module")
def counters(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    found = sides(cluster, tmp_path_factory.mktemp("counters"), counter)
    yield found
    found.codec._registry.close()


@pytest.fixture(scope="module")
def accounts(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    found = sides(cluster, tmp_path_factory.mktemp("accounts"), account)
    yield found
    found.codec._registry.close()


WRONG = ("key", "no key", "no value", "cut", "long", "garbage", "no utf-8", "schema", "elsewhere")
OTHERS = ("correlation-id", "actor", "reply-to", "forwarded-from", "timer", "traceparent")
names = st.sampled_from(ACCOUNTS) | st.text(max_size=3)
amounts = st.sampled_from((0, 1, 2, 3, 7, 8, -1, 63, 64, -65, 8191, 1 << 40, (1 << 63) - 1, -1 << 63, 1 << 62))
additions = st.builds(Add, names, amounts, st.booleans())
orders = st.one_of(
    st.builds(Open, names, st.text(max_size=3)),
    st.builds(Post, names, st.decimals(-100, 100, places=2), st.none() | st.just("t")),
    st.builds(Close, names),
    st.builds(Misbehave, names, st.sampled_from(HOWS)),
)
counts = st.builds(Count, amounts, st.booleans())
texts = st.none() | st.sampled_from((b"", b"a", b"b" * 70, "é".encode(), b"\xff", b"x" * LONGEST_ID, b"x" * 201))
ids = texts | st.sampled_from((b"c1", b"c2", b"c3"))
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

    And so has each way where the log that has come about, which is given back, is folded again.
    """
    rows, log = found.rows(), Log({0: [], 1: []})
    for number, batch in enumerate(batches):
        outcomes = []
        for way, kind in found.kinds.items():
            messages = [message_of(each, found, kind, 100 * number + place) for place, each in enumerate(batch)]
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


@relaxed
@given(st.lists(sent(additions), max_size=3), st.booleans())
def test_counters_come_out_the_same(counters: Sides, batches: list[list[Sent]], cold: bool) -> None:
    assert_same(counters, batches, cold)


@relaxed
@given(st.lists(sent(orders), max_size=3), st.booleans())
def test_accounts_come_out_the_same(accounts: Sides, batches: list[list[Sent]], cold: bool) -> None:
    assert_same(accounts, batches, cold)


harms = st.sampled_from(("cut", "long", "garbage", "no utf-8", "schema", "none", "twice", "missing", "no key"))


@relaxed
@given(st.lists(sent(additions), max_size=3), harms, st.randoms(use_true_random=False), st.booleans())
def test_a_log_that_is_not_in_order_is_told_alike(
    counters: Sides, batches: list[list[Sent]], harm: str, draw: Random, cold: bool
) -> None:
    """An event that is damaged, missing, or there twice; a refusal must say the same."""
    log = assert_same(counters, batches, cold)
    for events in log.values():
        if events:
            harmed(events, draw.randrange(len(events)), harm)
    short, long = (folded(counters, way, log, cold) for way in WAYS)
    assert short == long


def harmed(events: list[tuple[bytes, bytes | None]], at: int, harm: str) -> None:
    key, value = events[at]
    assert value is not None
    match harm:
        case "cut":
            events[at] = key, value[:-1]
        case "long":
            events[at] = key, value + b"\0"
        case "garbage":
            events[at] = key, value[:5] + b"\xff" * 12
        case "no utf-8":
            own = key.rpartition(b"@")[0]
            events[at] = key, value.replace(own, b"\xff" * len(own)) if own else value
        case "schema":
            events[at] = key, b"\0\x7f\xff\xff\xff" + value[5:]
        case "none":
            events[at] = key, None
        case "twice":
            events.insert(at, events[at])
        case "missing":
            del events[at]
        case _:
            events[at] = cast(bytes, None), value


def test_events_go_the_short_way(counters: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the later ones of a command that had several, whose id is known by then."""
    commands = [
        Sent(Add(name, amount), [("command-id", b"%d" % place)], 0, "", 0)
        for place, (name, amount) in enumerate((("ada", 1), ("bob", 1), ("ada", 2), ("ada", 1)))
    ]
    log = assert_same(counters, [commands])
    long_way: list[bytes | None] = []
    real = Deciding.replay

    def replay(self: Deciding, message: Received, rows: Rows[Any]) -> None:
        long_way.append(message.key())
        real(self, message, rows)

    monkeypatch.setattr(Deciding, "replay", replay)
    fresh = Deciding(counters.topology, counter, counters.codec)
    for cold in (False, True):
        long_way.clear()
        folded(counters._replace(kinds={"short": fresh}), "short", log, cold, size=2)
        assert long_way == ([b"ada@3"] if shortcut.AVAILABLE else [key for events in log.values() for key, _ in events])


@pytest.mark.parametrize("cold", [False, True])
def test_ids_are_forgotten_alike(counters: Sides, cold: bool) -> None:
    """More commands than are remembered, then each of them once more."""
    commands = [
        Sent(Add("busy", 1), [("command-id", f"{'c' * (number % 70)}{number}".encode())], 0, "", 0)
        for number in range(2 * MOST)
    ]
    assert_same(counters, [commands[:MOST], commands[MOST:], commands[::-1]], cold)


def test_what_goes_the_usual_way_goes_the_short_one(counters: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = counters.kinds["short"]
    long_way: list[Any] = []
    monkeypatch.setattr(Deciding, "handle", lambda _, message, *__: long_way.append(message.offset()))
    fresh = Deciding(counters.topology, counter, counters.codec)
    rows = counters.rows()["short"]
    usual = [
        Sent(Add("ada", 5, True), [("command-id", f"i{n}".encode()), ("reply-to", b"")], 9, "", 0) for n in range(3)
    ]
    refused = [Sent(Add("ada", 7), [], 9, "", 0), usual[0]]  # a fault, and a repetition
    messages = [message_of(each, counters, kind, n) for n, each in enumerate((*usual, *refused))]
    fresh.handle_all(
        cast(list[Received], messages), rows, Work(counters.topology.name, fresh.name, counters.codec, fresh.log)
    )
    assert long_way == ([3, 4] if shortcut.AVAILABLE else [0, 1, 2, 3, 4])


@relaxed
@given(counts, st.binary(max_size=12), st.booleans())
@example(Count(), b"\0\0\1\0", False)  # a version below 0
def test_rows_are_read_alike(counters: Sides, count: Count, cut: bytes, long: bool) -> None:
    """Rows as they are written, and rows that are damaged."""
    short, long_way = (counters.kinds[way].rows(counters.stores[way][0], 0) for way in WAYS)
    written = long_way._pack(Aggregate(3, 1, b"\2c\2", count) if long else Aggregate(3, 0, b"", count))
    assert short.unpack(written) == long_way.unpack(written) == Aggregate(3, int(long), b"\2c\2" * long, count)
    for damaged in (cut, written[:5] + cut, written + cut, written[: -len(cut)]):
        assert read(short, damaged) == read(long_way, damaged)


def read(rows: Rows[Any], packed: bytes) -> Any:
    """What a row is read as, or why it is not."""
    try:
        return rows.unpack(packed)
    except (DecodeError, IndexError) as error:
        return str(error)


@given(st.binary(max_size=40), st.integers(1, 1 << 40))
def test_keys_have_the_same_partition(key: bytes, partitions: int) -> None:
    assert shortcut.partition_of(key, partitions) == partition_of(key, partitions)


strings = st.text(max_size=5) | st.sampled_from(("é", "\ud800"))
replies = st.builds(Reply, strings, strings, amounts, st.none() | strings, st.none() | strings, st.booleans())


@relaxed
@given(replies)
def test_replies_are_written_alike(counters: Sides, reply: Reply) -> None:
    assert encoded(shortcut.encoding(Reply, counters.codec), reply) == encoded(counters.codec.encode, reply)


def encoded(encode: Callable[[Reply], bytes], reply: Reply) -> Any:
    """The bytes of a reply, or why there are none."""
    try:
        return encode(reply)
    except EncodeError as error:
        return str(error)


def test_it_is_there_where_it_can_be_compiled() -> None:
    """Where a compiler and Python's headers are, an installation without the module is one that went wrong."""
    compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0])
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    assert shortcut.AVAILABLE or not (compiler and headers)


def test_a_record_that_is_no_utf_8_is_refused_alike(counters: Sides) -> None:
    batch = [Sent(Add("ada", 1), [], 0, wrong, 0) for wrong in ("", "no utf-8")]
    rows, results = counters.rows(), []
    for way, kind in counters.kinds.items():
        messages = [message_of(each, counters, kind, place) for place, each in enumerate(batch)]
        results.append(counters.outcome(way, messages, rows[way]))
    assert results[0] == results[1]
    assert [letter[-1] for letter in (output.value for output in results[0][0])] == [DeadLetter]
