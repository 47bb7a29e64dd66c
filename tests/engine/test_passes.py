"""Passes over many rows: the compiled ones give what those in Python give."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.core.errors import EncodeError
from foldlog.engine import passes

keys = st.sampled_from([b"a", b"b", b"c", b"d", b""])
packed = st.dictionaries(keys, st.none() | st.binary(max_size=3))
BOTH: Any = (
    (passes.pack_all, passes._pack_all),
    (passes.find_all, passes._find_all),
    (passes.renew, passes._renew),
    (passes.count_new, passes._count_new),
)
(pack_all, find_all, renew, count_new) = BOTH


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except EncodeError as error:
        return str(error)


def packed_or_not(text: str) -> bytes:
    if text == "no":
        raise EncodeError("this one does not fit", "oversized")
    return text.encode()


@given(st.dictionaries(keys, st.none() | st.sampled_from(["", "row", "no"])))
def test_rows_are_packed_and_weighed(rows: dict[bytes, str | None]) -> None:
    first, second = (outcome(way, rows, packed_or_not) for way in pack_all)
    assert first == second
    if isinstance(first, tuple):
        assert first == (
            {key: None if row is None else row.encode() for key, row in rows.items()},
            passes.weight(first[0]),
        )


@given(st.lists(keys), packed, packed)
def test_rows_are_looked_for_in_one_place_and_then_in_another(
    wanted: list[bytes], first: dict[bytes, bytes | None], then: dict[bytes, bytes | None]
) -> None:
    found, missing = find_all[0](wanted, first, then)
    assert (found, missing) == find_all[1](wanted, first, then)
    assert found == {key: (then | first)[key] for key in wanted if key in then | first}
    assert missing == [key for key in wanted if key not in found]


@given(packed, st.lists(keys), packed, packed, st.integers(0, 9))
def test_rows_are_taken_anew_while_there_is_room(
    rows: dict[bytes, bytes | None],
    named: list[bytes],
    first: dict[bytes, bytes | None],
    then: dict[bytes, bytes | None],
    room: int,
) -> None:
    taken = dict(rows), dict(rows)
    left = {way(each, named, first, then, room) for way, each in zip(renew, taken, strict=True)}
    assert (taken[0], len(left)) == (taken[1], 1)
    assert 0 <= left.pop() <= room
    both = then | first
    for key, row in rows.items():
        assert taken[0].get(key, "left out") in ([both.get(key), "left out"] if key in named else [row])


@given(packed, packed, packed)
def test_new_rows_are_counted(
    changed: dict[bytes, Any], cached: dict[bytes, Any], fetched: dict[bytes, bytes | None]
) -> None:
    new = {key for key in changed if key not in cached and fetched.get(key) is None}
    assert {way(changed, cached, fetched) for way in count_new} == {len(new)}


@pytest.mark.parametrize("ways", BOTH)
def test_they_are_compiled_where_that_can_be_done(ways: tuple[Any, Any]) -> None:
    assert (ways[0] is not ways[1]) == passes.AVAILABLE
