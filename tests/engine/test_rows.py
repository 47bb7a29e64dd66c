"""Rows: a dictionary with a transaction, over a cache of any size, over a store."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from foldlog.core.errors import EncodeError
from foldlog.engine import rows as module
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store

UNPACKABLE = "!"

keys = st.sampled_from([b"a", b"b", b"c", b"d"])
row = st.sampled_from(["1", "22", UNPACKABLE, ""])
step = st.one_of(
    st.tuples(st.sampled_from(["set", "fetch and set"]), keys, st.none() | row),
    st.tuples(st.just("get"), keys, st.none()),
    st.tuples(st.sampled_from(["commit", "write", "drop", "forget", "reopen"]), st.just(b""), st.none()),
)


def pack(row: str) -> bytes:
    if row == UNPACKABLE:
        raise EncodeError("this row cannot be made bytes")
    return b"packed:" + row.encode()


def unpack(packed: bytes) -> str:
    return packed.removeprefix(b"packed:").decode()


@contextmanager
def fresh(memory: int) -> Iterator[Rows[str]]:
    """Rows over a store in a directory that goes with the test."""
    with tempfile.TemporaryDirectory() as directory:
        rows = Rows(Store(Path(directory) / "0", "log"), pack, unpack, memory)
        try:
            yield rows
        finally:
            rows.store.close()


AGAIN = [("set", b"c", "1"), ("commit", b"", None), ("set", b"c", "22"), ("get", b"d", None), ("commit", b"", None)]


@settings(max_examples=60, deadline=None)
@given(st.lists(step, max_size=40), st.sampled_from([0, 1000, 100_000]))
@example(AGAIN, 0)
def test_rows_are_a_dictionary_that_can_be_committed_and_rolled_back(
    steps: list[tuple[str, bytes, str | None]], memory: int
) -> None:
    with fresh(memory) as rows:
        written: tuple[dict[bytes, str], int] = ({}, 0)  # what the store has, up to which position
        committed: dict[bytes, str] = {}
        current: dict[bytes, str] = {}
        position = 0
        for what, key, value in steps:
            match what:
                case "set" | "fetch and set":
                    look_at(rows, key, together=what != "set")
                    rows.set(key, value)
                    current = {**current, key: value} if value is not None else without(current, key)
                case "get":
                    rows.fetch([b"a", b"b", b"none", b"a"])  # the others are read one by one
                    assert rows.get(key) == current.get(key)
                case "commit" if UNPACKABLE in current.values():
                    assert not rows.pack()
                    rows.drop()
                    current = committed
                case "commit":
                    position += 1
                    assert rows.pack()
                    rows.apply(position)
                    committed = current
                case "write":
                    rows.write()
                case "drop":
                    rows.drop()
                    current = committed
                case _:
                    if what == "reopen":
                        rows.store.close()
                        rows.store = Store(rows.store.path, "log")
                    rows.forget()
                    current = committed = written[0]
                    position = written[1]
            if rows.store.position == position:
                written = (committed, position)
            assert {k: unpack(v) for k, v in rows.store.rows()} == written[0]
            assert (rows.store.position, rows.store.count) == (written[1], len(written[0]))
            assert (rows.position, rows.count) == (position, len(committed))
        assert {key: rows.get(key) for key in (b"a", b"b", b"c", b"d")} == {
            key: current.get(key) for key in (b"a", b"b", b"c", b"d")
        }


def look_at(rows: Rows[str], key: bytes, *, together: bool) -> None:
    """What the engine does before it changes a row; the short way asks for it only where it was not fetched."""
    if together:
        rows.fetch([key])
    if key not in rows.fetched:
        rows.get(key)


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
            waiting = [row for row in rows._unwritten.values() if row is not None]
            assert len(rows._unwritten) < most
            assert sum(map(len, waiting)) < heaviest
        rows.loaded(9)
        assert {key: rows.get(key) for key in table} == {key: unpack(row) for key, row in table.items()}
        rows.store.close()
        rows.store = Store(rows.store.path, "log")
        assert dict(rows.store.rows()) == table
        assert (rows.store.count, rows.store.position, rows.store.since) == (len(table), 9, 9)


def test_what_a_row_typically_weighs_rises_at_once_and_falls_slowly() -> None:
    with fresh(1 << 16) as rows:
        seen = [rows.typical]
        for position, row in enumerate(["x" * 10_000, *[""] * 200, *[None] * 100], 1):
            rows.get(b"a")
            rows.set(b"a", row)
            assert rows.pack()
            rows.apply(position)
            seen.append(rows.typical)
    least = len(pack(""))
    assert seen[:3] == [200, 10_000 + least, 10_000 + least - 1250]
    assert (seen[201], seen[-1]) == (least, 1)  # rows that go leave nothing, which still can be divided by


def test_the_fault_of_a_row_is_told() -> None:
    with fresh(1 << 16) as rows:
        assert rows.fault("1") is None
        assert rows.fault(None) is None
        assert str(rows.fault(UNPACKABLE)) == "this row cannot be made bytes"
