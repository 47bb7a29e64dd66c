"""Remembered commands: a dictionary of the latest 64 ids, in the bytes of an Avro array."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.engine.remembered import (
    NOTHING,
    REMEMBERED,
    _mixed,
    item_of,
    items_of,
    remember,
    remember_event,
    version_of,
)

short = st.text("ab", max_size=4)
ids = short | st.sampled_from([f"{number:032x}" for number in range(8)])
NUMBER = "00112233445566778899aabbccddeeff"


@given(st.lists(st.tuples(ids, st.integers(1, 3)), max_size=3 * REMEMBERED))
def test_the_latest_ids_are_known_with_their_versions(commands: list[tuple[str, int]]) -> None:
    known: dict[str, int] = {}
    run = replayed = NOTHING
    version = 0
    for id_, events in commands:
        assert version_of(item_of(id_), run) == known.get(id_)
        if id_ in known:
            continue
        for _ in range(events):
            version += 1
            replayed = remember_event(item_of(id_), version, replayed)
        run = remember(item_of(id_), version, run)
        known[id_] = version
        known = dict(list(known.items())[-REMEMBERED:])
        assert (run[0], items_of(run)) == (replayed[0], items_of(replayed))
    assert all(version_of(item_of(id_), run) == version for id_, version in known.items())


words = st.text(st.characters(codec="ascii"), min_size=8, max_size=8)


@given(st.lists(words, max_size=4), words, words, st.lists(words, max_size=4))
def test_ids_of_one_length_that_differ_in_one_word_are_kept_as_two(
    before: list[str], one: str, other: str, after: list[str]
) -> None:
    first, second = ("".join([*before, word, *after]) for word in (one, other))
    assert (item_of(first) == item_of(second)) == (first == second)


def test_numbers_are_mixed_as_splitmix64_does() -> None:
    """The first numbers that it gives from 0, as they are published with it."""
    assert [_mixed(number * 0x9E3779B97F4A7C15 & (1 << 64) - 1) for number in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_an_id_is_kept_in_ten_characters_that_stay_the_same() -> None:
    """Other releases read them."""
    assert [item_of(id_) for id_ in ("x", NUMBER, str(UUID(NUMBER)))] == [
        b"\x14D8Gt;ygsW^",
        b"\x14@nX((og{m_",
        b"\x14{CK7Hkt@kf",
    ]


@pytest.mark.parametrize("form", [str, lambda number: f"{number:032x}", lambda number: str(UUID(int=number))])
def test_ids_that_count_upwards_are_all_kept(form: Callable[[int], str]) -> None:
    assert len({item_of(form(number)) for number in range(100_000)}) == 100_000
