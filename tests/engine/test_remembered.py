"""Remembered commands: a dictionary of the latest 64 ids, in the bytes of an Avro array."""

from hypothesis import given
from hypothesis import strategies as st

from foldlog.contracts.varint import text
from foldlog.engine.remembered import NOTHING, REMEMBERED, remember, remember_event, version_of

# Few letters, and those that look like the lengths of short ids: an id may be part of another one's bytes.
ids = st.text("ab\x02\x04\x06", max_size=4)


@given(st.lists(st.tuples(ids, st.integers(1, 3)), max_size=3 * REMEMBERED))
def test_the_latest_ids_are_known_with_their_versions(commands: list[tuple[str, int]]) -> None:
    known: dict[str, int] = {}
    run = replayed = NOTHING
    version = 0
    for id_, events in commands:
        assert version_of(text(id_), *run) == known.get(id_)
        if id_ in known:
            continue
        for _ in range(events):
            version += 1
            replayed = remember_event(text(id_), version, *replayed)
        run = remember(text(id_), version, *run)
        known[id_] = version
        known = dict(list(known.items())[-REMEMBERED:])
        assert run == replayed
    assert all(version_of(text(id_), *run) == version for id_, version in known.items())
