"""The compiled short way: whatever comes in, what it makes of a batch is what the long way makes of it."""

import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.core import Decider, Record, replace
from foldlog.core.errors import DecodeError, EncodeError
from foldlog.core.outcome import DeadLetter, Reply
from foldlog.core.partitioning import partition_of
from foldlog.engine import remembered, shortcut
from foldlog.engine.aggregates import Aggregate
from foldlog.engine.batch import Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.remembered import MOST, NOTHING, items_of
from foldlog.engine.rows import Rows
from foldlog.engine.work import Work
from tests.engine.accounts import Close, Misbehave, Open, Post, account
from tests.engine.ways import (
    WAYS,
    Add,
    Count,
    Sent,
    Sides,
    additions,
    amounts,
    assert_same,
    counter,
    counts,
    message_of,
    names,
    relaxed,
    sent,
    sides,
)

HOWS = ("reject", "raise", "event too fine", "state too fine", "large event", "two", "unhappily")
orders = st.one_of(
    st.builds(Open, names, st.text(max_size=3)),
    st.builds(Post, names, st.decimals(-100, 100, places=2), st.none() | st.just("t")),
    st.builds(Close, names),
    st.builds(Misbehave, names, st.sampled_from(HOWS)),
)


@pytest.fixture(scope="module")
def accounts(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with sides(cluster, tmp_path_factory.mktemp("accounts"), account) as found:
        yield found


@relaxed
@given(st.lists(sent(additions), max_size=3), st.booleans())
def test_counters_come_out_the_same(counters: Sides, batches: list[list[Sent]], cold: bool) -> None:
    assert_same(counters, batches, cold)


@relaxed
@given(st.lists(sent(orders), max_size=3), st.booleans())
def test_accounts_come_out_the_same(accounts: Sides, batches: list[list[Sent]], cold: bool) -> None:
    assert_same(accounts, batches, cold)


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


def read_ahead(found: Sides, commands: list[Sent]) -> Rows[Any]:
    """The rows after a batch for "ada" alone that was read ahead, the short way where that can be."""
    kind, rows = found.kinds["short"], found.rows()["short"]
    for own in rows.values():
        own.adopt(own.read_ahead([b"ada"], 1 << 20))
    messages = [message_of(each, found, kind, number) for number, each in enumerate(commands)]
    work = Work(found.topology.name, kind.name, found.codec, kind.log)
    kind.handle_all(cast(list[Received], messages), rows, work)
    return rows[partition_of(b"ada", len(rows))]


@pytest.mark.parametrize("ways", ["short", "short short", "short long", "short long short", "long short"])
def test_a_row_is_bytes_as_soon_as_it_changes_where_none_is_cached(counters: Sides, ways: str) -> None:
    actors = {"short": b"a", "long": "é".encode()}  # the short way leaves what is not ASCII to the long one
    commands = [Sent(Add("ada", 5), [("actor", actors[way])], 9, "", 0) for way in ways.split()]
    own = read_ahead(counters, commands)
    changed, packed = (not shortcut.AVAILABLE or "long" in ways), (shortcut.AVAILABLE and ways.startswith("short"))
    assert (b"ada" in own.changed, b"ada" in own.packed) == (changed, packed)
    assert own.pack()
    assert own.pack()  # once more changes nothing
    assert own.size == len(own.packed[b"ada"] or b"")
    row = own.unpack(own.packed[b"ada"] or b"")
    assert (row.version, row.state) == (len(commands), Count(5 * len(commands)))
    own.apply(1)
    assert (own.count, own.get(b"ada")) == (1, row)


def test_a_row_that_functions_read_stays_decoded(accounts: Sides) -> None:
    own = read_ahead(accounts, [Sent(Open("ada", "o"), [], 9, "", 0)])
    assert ([*own.changed], own.packed) == ([b"ada"], {})


class Write(Record):
    page: str
    text: str


class Wrote(Record):
    page: str
    text: str


class Page(Record):
    text: str = ""


def write(command: Write, page: Page) -> list[Wrote]:
    return [Wrote(command.page, page.text + command.text)]


def wrote(page: Page, event: Wrote) -> Page:
    return replace(page, text=event.text)


page = Decider("page", Page(), key=lambda command: command.page, decide=write, evolve=wrote)


def test_a_large_row_stays_decoded_while_its_batch_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    """It would be read and written anew for each of the commands."""
    with sides(cluster, tmp_path, page) as found:
        own = read_ahead(found, [Sent(Write("ada", "x" * 3000), [], 9, "", 0)] * 4)
    before = own.packed.get(b"ada") or b""
    assert (len(before) // 3000, b"ada" in own.changed) == (2 if shortcut.AVAILABLE else 0, True)
    assert own.pack()
    assert own.size == len(own.packed[b"ada"] or b"")
    assert own.unpack(own.packed[b"ada"] or b"").state == Page("x" * 12_000)


@relaxed
@given(counts, st.binary(max_size=12), st.booleans())
@example(Count(), b"\0\0\1\0", False)  # a version below 0
def test_rows_are_read_alike(counters: Sides, count: Count, cut: bytes, long: bool) -> None:
    """Rows as they are written, and rows that are damaged."""
    short, long_way = (counters.kinds[way].rows(counters.stores[way][0], 0) for way in WAYS)
    written = long_way._pack(Aggregate(3, (1, b"\2c\2\0", 0, b"") if long else NOTHING, count))
    row = short.unpack(written)
    assert row == long_way.unpack(written)
    assert (row.version, row.known[0], items_of(row.known), row.state) == (3, int(long), b"\2c\2" * long, count)
    assert short._pack(row) == long_way._pack(row) == written
    for damaged in (cut, written[:5] + cut, written + cut, written[: -len(cut)]):
        assert read(short, damaged) == read(long_way, damaged)


def test_a_large_state_is_not_kept_for_the_sake_of_its_ids(counters: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shortcut, remembered):
        monkeypatch.setattr(module, "MOST_BEFORE", 3)
    short, long_way = (counters.kinds[way].rows(counters.stores[way][0], 0) for way in WAYS)
    aggregate = Aggregate(3, (1, b"\2c\2\0", 0, b""), Count(5))
    written = long_way._pack(aggregate)
    assert short.unpack(written) == long_way.unpack(written) == aggregate


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
