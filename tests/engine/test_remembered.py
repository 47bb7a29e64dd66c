"""Remembered commands: a dictionary of the latest 64 ids, in the bytes of an Avro array."""

import base64
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from foldlog.contracts.skipping import zigzag
from foldlog.contracts.varint import text
from foldlog.engine.remembered import NOTHING, REMEMBERED, item_of, items_of, remember, remember_event, version_of

# Few letters, and those that look like the lengths of short ids: an id may be part of another one's bytes.
short = st.text("ab\x02\x04\x06", max_size=4)
uuids = st.uuids().map(str) | st.uuids().map(lambda each: each.hex)
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


def kept_of(id_: str) -> str:
    """An id as it is kept."""
    item = item_of(id_)
    _, last = zigzag(item, 0)
    return item[last + 1 :].decode()


def original(kept: str) -> str:
    """The id that is kept so."""
    match kept[:1]:
        case "#":
            return base64.b85decode(kept[1:]).hex()
        case "~":
            return str(UUID(bytes=base64.b85decode(kept[1:])))
        case "=":
            return kept[1:]
        case _:
            return kept


@given(st.text(max_size=90) | uuids | st.text("#~=-0aA", min_size=30, max_size=38))
@example(NUMBER)
@example(NUMBER.upper())
@example(str(UUID(NUMBER)))
@example(str(UUID(NUMBER)).upper())
@example(f"{NUMBER[:8]}-{NUMBER[8:]}---")
def test_no_two_ids_are_kept_as_one(id_: str) -> None:
    kept = kept_of(id_)
    assert original(kept) == id_
    assert original(kept_of(kept)) == kept  # an id may look as if it were kept already


def test_a_uuid_is_kept_in_21_characters() -> None:
    assert item_of(NUMBER) == text("#" + base64.b85encode(bytes.fromhex(NUMBER)).decode())
    assert {len(item_of(id_)) for id_ in (NUMBER, str(UUID(NUMBER)))} == {22}
