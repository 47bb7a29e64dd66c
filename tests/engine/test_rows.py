"""Rows: a dictionary with a transaction, over a cache of any size, over a store."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foldlog.engine import ahead
from foldlog.engine import committed as module
from foldlog.engine.ahead import Ahead
from foldlog.engine.assembly import _cached
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.settings import Settings
from tests.engine.accounts import balances, wealth
from tests.engine.plain_rows import UNPACKABLE, fresh, look_at, pack, unpack

keys = st.sampled_from([b"a", b"b", b"c", b"d"])
row = st.sampled_from(["1", "22", UNPACKABLE, ""])
step = st.one_of(
    st.tuples(st.sampled_from(["set", "fetch and set"]), keys, st.none() | row),
    st.tuples(st.just("get"), keys, st.none()),
    st.tuples(
        st.sampled_from(["commit", "write", "drop", "forget", "reopen", "fill", "read ahead", "begin"]),
        st.just(b""),
        st.none(),
    ),
)


AGAIN = [("set", b"c", "1"), ("commit", b"", None), ("set", b"c", "22"), ("get", b"d", None), ("commit", b"", None)]


CHANGED_SINCE = [
    *[("set", b"a", "1"), ("commit", b"", None), ("write", b"", None), ("read ahead", b"", None)],
    *[("set", b"a", "22"), ("commit", b"", None), ("begin", b"", None), ("get", b"a", None)],
]

READ_AMID_CHANGES = [
    *[("set", b"b", "1"), ("commit", b"", None), ("write", b"", None), ("read ahead", b"", None), ("begin", b"", None)],
    *[("set", b"b", "22"), ("get", b"d", None), ("commit", b"", None)],
]

AGAIN_IN_THE_NEXT_PORTION = [
    *[("read ahead", b"", None), ("begin", b"", None), ("get", b"d", None), ("set", b"d", "1"), ("commit", b"", None)],
    ("get", b"d", None),
]


class Model:
    """Does a step with rows and with dictionaries, and compares them."""

    def __init__(self, rows: Rows[str], room: int) -> None:
        self.rows = rows
        self.room = room
        self.written: tuple[dict[bytes, str], int] = ({}, 0)  # what the store has, up to which position
        self.committed: dict[bytes, str] = {}
        self.current: dict[bytes, str] = {}
        self.position = 0
        self.ahead: Ahead | None = None

    def do(self, what: str, key: bytes, value: str | None) -> None:
        match what:
            case "set" | "fetch and set":
                look_at(self.rows, key, together=what != "set")
                self.rows.set(key, value)
                self.current = {**self.current, key: value} if value is not None else without(self.current, key)
            case "get":
                if not self.rows.take_ahead():
                    self.rows.fetch([b"a", b"b", b"none", b"a"])  # the others are read one by one
                assert self.rows.get(key) == self.current.get(key)
            case "commit":
                self.commit()
            case "write" | "fill":
                self.write(fill=what == "fill")
            case "drop":
                self.drop()
            case "read ahead":
                self.ahead = self.rows.read_ahead([b"a", b"c", b"none", b"a"], self.room)
            case "begin":  # of a batch: nothing is left of the one before
                self.drop()
                self.rows.adopt(self.ahead)
                self.ahead = None
            case _:
                self.forget(reopen=what == "reopen")
        if self.rows.store.position == self.position:
            self.written = self.committed, self.position

    def commit(self) -> None:
        if UNPACKABLE in self.current.values():
            assert not self.rows.pack()
            self.drop()
        else:
            self.position += 1
            assert self.rows.pack()
            self.rows.apply(self.position)
            self.committed = self.current

    def write(self, *, fill: bool) -> None:
        self.rows.write()
        if fill:
            self.rows.fill(4)

    def drop(self) -> None:
        self.rows.drop()
        self.current = self.committed

    def forget(self, *, reopen: bool) -> None:
        if reopen:
            self.rows.store.close()
            self.rows.store = Store(self.rows.store.path, "log")
        self.rows.forget()
        self.current = self.committed = self.written[0]
        self.position = self.written[1]
        self.ahead = None  # its batch is of an epoch that is over

    def check(self) -> None:
        rows, written = self.rows, self.written
        assert {key: unpack(row) for key, row in rows.store.rows()} == written[0]
        assert (rows.store.position, rows.store.count) == (written[1], len(written[0]))
        assert (rows.position, rows.count) == (self.position, len(self.committed))
        if rows.recent.complete:
            found, missing = rows.recent.find(self.committed)
            assert ({key: unpack(row) for key, row in found.items() if row is not None}, missing) == (
                self.committed,
                [],
            )


@settings(max_examples=100, deadline=None)
@given(st.lists(step, max_size=40), st.sampled_from([0, 1000, 100_000]), st.sampled_from([1, 1000]))
@example(AGAIN, 0, 1000)
@example(CHANGED_SINCE, 0, 1000)
@example(READ_AMID_CHANGES, 0, 1000)
@example(AGAIN_IN_THE_NEXT_PORTION, 0, 1000)
def test_rows_are_a_dictionary_that_can_be_committed_and_rolled_back(
    steps: list[tuple[str, bytes, str | None]], memory: int, room: int
) -> None:
    with fresh(memory) as rows, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "_FIRST", 1)
        model = Model(rows, room)
        for what, key, value in steps:
            model.do(what, key, value)
            model.check()
        for key in (b"a", b"b", b"c", b"d"):
            assert rows.get(key) == model.current.get(key)


def test_a_store_whose_rows_have_room_is_read_whole() -> None:
    with fresh(4 * 135) as rows:
        rows.store.apply({b"%d" % number: pack("row") for number in range(4)}, 1, 4)
        for most, filled in ((3, False), (4, True)):
            rows.forget()
            rows.fill(most)
            assert rows.recent.complete == filled
        rows.cache.memory -= 1
        rows.forget()
        rows.fill(4)
        assert not rows.recent.complete, "the last has no room"


def test_where_all_rows_are_in_memory_the_store_is_not_asked() -> None:
    with fresh(1 << 20) as rows:
        rows.store.apply({b"a": pack("row")}, 1, 1)
        rows.forget()
        rows.fill(1)
        rows.store.close()
        rows.fetch([b"a", b"new"])
        rows.set(b"a", "changed")
        rows.set(b"new", "row")
        assert rows.pack()
        rows.apply(2)
        rows.adopt(rows.read_ahead([b"a", b"newer"], 1 << 20))
        assert rows.take_ahead()
        assert [rows.get(key) for key in (b"a", b"new", b"newer")] == ["changed", "row", None]
        assert (rows.count, rows.misses) == (2, 0)


def without(table: dict[bytes, str], key: bytes) -> dict[bytes, str]:
    return {other: value for other, value in table.items() if other != key}


loads = st.lists(st.dictionaries(keys, st.none() | st.sampled_from([b"1", b"2"]), max_size=4), max_size=8)


@settings(max_examples=60, deadline=None)
@given(loads, st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.booleans())
def test_rows_that_are_loaded_as_they_are_are_counted(
    batches: list[dict[bytes, bytes | None]], most: int, least: int, heaviest: int, full: bool
) -> None:
    """Into an empty store and into one with rows; written as they come, or as a table, or at the end."""
    with fresh(1 << 16) as rows, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_UNLOADED", most)
        patch.setattr(module, "_LEAST_LOADED", least)
        patch.setattr(module, "_HEAVIEST", heaviest)
        table: dict[bytes, bytes] = {b"a": b"0", b"x": b"0"} if full else {}
        rows.store.apply(table, 0, len(table))
        rows.forget()
        for position, batch in enumerate(batches, 1):
            rows.load(batch, position)
            table = {key: row for key, row in (table | batch).items() if row is not None}
            assert (rows.count, rows.position) == (len(table), position)
            waiting = rows.recent.waiting
            assert len(waiting) < most
            assert sum(len(row) for row in waiting.values() if row is not None) < heaviest
        rows.loaded(9)
        assert {key: rows.get(key) for key in table} == {key: unpack(row) for key, row in table.items()}
        rows.store.close()
        rows.store = Store(rows.store.path, "log")
        assert dict(rows.store.rows()) == table
        assert (rows.store.count, rows.store.position, rows.store.since) == (len(table), 9, 9)


def test_what_a_row_typically_weighs_rises_at_once_and_falls_slowly() -> None:
    with fresh(1 << 16) as rows:
        seen = [rows.cache.typical]
        for position, row in enumerate(["x" * 10_000, *[""] * 200, *[None] * 100], 1):
            rows.get(b"a")
            rows.set(b"a", row)
            assert rows.pack()
            rows.apply(position)
            seen.append(rows.cache.typical)
    least = len(pack(""))
    assert seen[:3] == [200, 10_000 + least, 10_000 + least - 1250]
    assert (seen[201], seen[-1]) == (least, 1)  # rows that go leave nothing, which still can be divided by


@pytest.mark.parametrize(("memory", "decoded"), [(0, {}), (1 << 16, {b"a": "1"})])
def test_rows_that_have_no_room_are_not_kept_decoded(memory: int, decoded: dict[bytes, str]) -> None:
    with fresh(memory) as rows:
        rows.get(b"a")
        rows.set(b"a", "1")
        assert rows.pack()
        rows.apply(1)
        assert rows.cached == decoded
        assert rows.get(b"a") == "1"


def test_a_view_says_itself_how_much_room_its_rows_have() -> None:
    settings = Settings(cache_mb=7)
    assert (_cached(balances, settings), _cached(wealth, settings)) == (7 << 20, 0)


def test_the_fault_of_a_row_is_told() -> None:
    with fresh(1 << 16) as rows:
        assert rows.fault("1") is None
        assert rows.fault(None) is None
        assert str(rows.fault(UNPACKABLE)) == "this row cannot be made bytes"
