"""What a saga may ask for: timers by name, at a time or after one."""

from datetime import UTC, datetime, timedelta

import pytest

from foldlog.core import Cancel, Record, Saga, Schedule
from foldlog.core.errors import TopologyError
from foldlog.testing import given
from tests.core.counter import Added, Seen, counter, echo

NOON = datetime(2000, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Remind(Record):
    counter: str


def react(seen: Seen, step: Added | Remind) -> list[Schedule | Cancel]:
    match step:
        case Added(name):
            return [Schedule("reminder", Remind(name), after=MINUTE)]
        case Remind():
            return [Cancel("reminder")]


def evolve(seen: Seen, step: Added | Remind) -> Seen:
    return Seen(seen.steps + 1)


reminded = Saga("reminded", counter, Seen(), correlate=lambda step: step.counter, react=react, evolve=evolve)


def test_a_timer_is_due_at_a_time_or_after_that_of_the_step() -> None:
    assert Schedule("t", Remind("a"), at=NOON).due(NOON + MINUTE) == NOON
    assert Schedule("t", Remind("a"), after=MINUTE).due(NOON) == NOON + MINUTE


@pytest.mark.parametrize("when", [{}, {"at": NOON, "after": MINUTE}, {"at": NOON.replace(tzinfo=None)}])
def test_a_timer_needs_one_time_that_everybody_understands(when: dict[str, datetime]) -> None:
    with pytest.raises(TopologyError, match="timer `t`"):
        Schedule("t", Remind("a"), **when)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_timer_has_a_name_that_fits_an_id(name: str) -> None:
    with pytest.raises(TopologyError, match="1 to 64 characters"):
        Schedule(name, Remind("a"), after=MINUTE)
    with pytest.raises(TopologyError, match="1 to 64 characters"):
        Cancel(name)


def test_a_specification_shows_timers_beside_commands() -> None:
    given(reminded).when(Added("a", 1)).then(Schedule("reminder", Remind("a"), after=MINUTE))
    given(reminded, Added("a", 1)).when(Remind("a")).then(Cancel("reminder"))
    with pytest.raises(AssertionError, match=r"but got .*Schedule"):
        given(reminded).when(Added("a", 1)).then()


def test_a_saga_says_whether_it_has_timers_and_what_their_steps_are() -> None:
    assert (reminded.timed, reminded.commands, reminded.sends) == (True, (Remind,), ())
    assert not echo.timed
