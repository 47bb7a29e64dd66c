"""What is kept of rows in memory: decoded ones, and packed ones on their way to the store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.engine import recent as module
from foldlog.engine.cache import Cache
from foldlog.engine.passes import weight
from foldlog.engine.recent import MANY, Recent

changes = st.lists(st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.text(max_size=1)), max_size=9)


def take(recent: Recent, rows: dict[bytes, bytes | None]) -> None:
    recent.take(rows, weight(rows))


@given(changes)
def test_what_is_cached_is_what_was_taken_last(batches: list[dict[bytes, str | None]]) -> None:
    cache: Cache[str] = Cache(1 << 20)
    table: dict[bytes, str | None] = {}
    for batch in batches:
        cache.take(batch, deletes=None in batch.values())
        table |= batch
    assert cache.rows == {key: row for key, row in table.items() if row is not None}


def test_rows_that_were_cached_first_are_dropped_first() -> None:
    cache: Cache[str] = Cache(10 * 500)
    for number in range(15):
        cache.take({b"%d" % number: "a row"}, deletes=False)
    cache.shrink()
    assert [*cache.rows] == [b"%d" % number for number in range(5, 15)]


def test_a_cache_that_is_off_keeps_nothing() -> None:
    cache: Cache[str] = Cache(1 << 20)
    cache.take({b"a": "1"}, deletes=False)
    cache.turn(on=False)
    cache.take({b"b": "2", b"c": None}, deletes=True)
    assert cache.rows == {}
    cache.turn(on=True)
    cache.take({b"b": "3"}, deletes=False)
    assert cache.rows == {b"b": "3"}


def test_what_was_written_is_found_while_there_is_room() -> None:
    recent = Recent()
    take(recent, {b"a": b"1", b"b": None})
    recent.turn(1 << 20)
    take(recent, {b"c": b"3", b"a": b"2"})
    assert recent.find([b"a", b"b", b"c", b"d"]) == ({b"a": b"2", b"b": None, b"c": b"3"}, [b"d"])
    recent.turn(1 << 20)
    assert recent.find([b"a", b"b", b"c"]) == ({b"a": b"2", b"b": None, b"c": b"3"}, [])
    take(recent, {b"a": b"4"})
    recent.turn(375)
    assert recent.find([b"a", b"b", b"c"]) == ({b"a": b"4"}, [b"b", b"c"]), "the older ones have no room"
    take(recent, {b"a": b"5" * 251})
    recent.turn(375)
    assert recent.find([b"a"]) == ({}, [b"a"]), "it has no room"
    take(recent, {b"a": b"6"})
    recent.clear()
    assert recent.find([b"a"]) == ({}, [b"a"])


def test_room_is_counted_by_the_heaviest_rows() -> None:
    recent = Recent()
    take(recent, {b"heavy": b"x" * 500})
    recent.turn(1000)
    take(recent, {b"light": b"x"})
    recent.turn(1000)
    assert recent.find([b"heavy", b"light"]) == ({b"light": b"x"}, [b"heavy"])


def test_every_row_is_there_until_one_has_no_room() -> None:
    recent = Recent()
    recent.fill([(b"a", b"1"), (b"b", b"2")], 251)
    assert (recent.complete, recent.find([b"a"])) == (False, ({}, [b"a"]))
    recent.fill([(b"a", b"1"), (b"b", b"2")], 252)
    assert (recent.complete, recent.find([b"a", b"b"])) == (True, ({b"a": b"1", b"b": b"2"}, []))
    take(recent, {b"a": b"3"})
    recent.turn(252)
    assert (recent.complete, recent.find([b"a", b"b"])) == (True, ({b"a": b"3", b"b": b"2"}, []))
    take(recent, {b"c": b"4"})
    recent.turn(252)
    assert (recent.complete, recent.find([b"c"])) == (False, ({b"c": b"4"}, []))
    recent.fill([], 0)
    assert recent.complete, "nothing is all there is"


def test_rows_are_taken_anew_as_they_are_now() -> None:
    recent = Recent()
    take(recent, {b"written": b"1", b"both": b"1"})
    recent.turn(1 << 20)
    take(recent, {b"both": b"2", b"deleted": None, b"other": b"2"})
    rows: dict[bytes, bytes | None] = dict.fromkeys([b"written", b"both", b"deleted", b"unknown", b"left"], b"0")
    assert recent.renew(rows, [b"written", b"both", b"deleted", b"unknown", b"other"], 10) == 8
    assert rows == {b"written": b"1", b"both": b"2", b"deleted": None, b"left": b"0"}


def test_many_rows_are_written_at_once_few_and_busy_ones_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = Recent()
    take(recent, {b"%d" % number: b"row" for number in range(MANY - 1)})
    assert (recent.ripe(again=False), recent.ripe(again=True)) == (0, 0)
    take(recent, {b"one more": b"row"})
    assert (recent.ripe(again=False), recent.ripe(again=True)) == (MANY, 0)
    monkeypatch.setattr(module, "_WAIT", 0.0)
    recent.turn(1 << 20)
    take(recent, {b"a": b"row"})
    assert (recent.ripe(again=False), recent.ripe(again=True)) == (1, 1)


def test_no_more_waits_than_there_is_room_for() -> None:
    recent = Recent()
    take(recent, {b"a": b"x" * (15 << 20), b"gone": None})
    assert not recent.is_full(0)
    take(recent, {b"b": b"x" * (1 << 20)})
    assert (recent.is_full(0), recent.is_full(20 << 20)) == (True, False)
    recent.turn(1 << 20)
    assert not recent.is_full(0)
