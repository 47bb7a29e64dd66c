"""The cache of decoded rows: its room, and when it is worth it."""

import random
from collections.abc import Iterator
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from foldlog.engine.cache import Cache

ROOM = 1000  # rows of the size that a row has before any was seen
MEMORY = ROOM * 500


def even(rows: int) -> Iterator[bytes]:
    draw = random.Random(1)
    while True:
        yield b"%d" % draw.randrange(rows)


def skewed(rows: int) -> Iterator[bytes]:
    """Nine of ten look-ups are of a twentieth of the rows."""
    draw = random.Random(1)
    while True:
        yield b"%d" % draw.randrange(rows if draw.random() < 0.1 else rows // 20)


def used(cache: Cache[str], keys: Iterator[bytes], look_ups: int, *, ahead: bool = True) -> int:
    """Looks rows up in batches, as the engine does, and gives how many look-ups hit."""
    hits = 0
    for _ in range(look_ups // 100):
        batch = [*islice(keys, 100)]
        found = sum(key in cache.rows for key in batch)
        cache.take(dict.fromkeys(batch, "a row"), deletes=False)
        cache.shrink()
        cache.judge(found, len(batch) - found, ahead=ahead)
        hits += found
    return hits


def test_rows_that_have_room_are_cached() -> None:
    cache: Cache[str] = Cache(MEMORY)
    used(cache, even(ROOM), 30_000)
    assert (cache.on, cache.suffices, len(cache.rows)) == (True, True, ROOM)


def test_rows_of_which_too_few_have_room_are_not_cached_for_a_while() -> None:
    cache: Cache[str] = Cache(MEMORY)
    used(cache, even(4 * ROOM), 20_000)
    assert (cache.on, cache.suffices, len(cache.rows)) == (False, False, 0)
    assert used(cache, even(ROOM), 1_000_000) == 0
    used(cache, even(ROOM), 20_000)
    assert (cache.on, cache.suffices, len(cache.rows)) == (True, True, ROOM)


def test_rows_that_are_read_one_by_one_are_cached_however_few_hit() -> None:
    cache: Cache[str] = Cache(MEMORY)
    used(cache, even(4 * ROOM), 50_000, ahead=False)
    assert (cache.on, cache.suffices, len(cache.rows)) == (True, False, ROOM)


def test_rows_that_are_asked_for_again_and_again_are_cached_among_many() -> None:
    cache: Cache[str] = Cache(MEMORY)
    hits = used(cache, skewed(10 * ROOM), 50_000)
    assert cache.on
    assert hits > 35_000


def test_a_cache_that_is_cleared_suffices_for_nothing() -> None:
    cache: Cache[str] = Cache(MEMORY)
    used(cache, even(ROOM), 30_000)
    cache.clear()
    assert (cache.suffices, cache.rows) == (False, {})


def test_a_cache_without_room_keeps_nothing() -> None:
    cache: Cache[str] = Cache(0)
    assert used(cache, even(10), 30_000) == 0


changes = st.lists(st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.text(max_size=1)), max_size=9)


@given(changes)
def test_what_is_cached_is_what_was_taken_last(batches: list[dict[bytes, str | None]]) -> None:
    cache: Cache[str] = Cache(MEMORY)
    table: dict[bytes, str | None] = {}
    for batch in batches:
        cache.take(batch, deletes=None in batch.values())
        table |= batch
    assert cache.rows == {key: row for key, row in table.items() if row is not None}
