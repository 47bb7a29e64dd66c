"""A log that is folded again, the compiled short way: its rows, or why there are none, are what the long way says."""

from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.engine import shortcut
from foldlog.engine.batch import Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.rows import Rows
from tests.engine.ways import WAYS, Add, Sent, Sides, additions, assert_same, counter, folded, relaxed, sent

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
