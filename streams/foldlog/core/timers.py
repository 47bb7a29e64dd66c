"""Timers: what a saga asks to be told later. They are part of its row, so they last as long as the saga."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from foldlog.core.errors import TopologyError
from foldlog.core.record import Record

LONGEST_NAME = 64  # characters: it becomes part of ids


@dataclass(frozen=True)
class Schedule:
    """Asks for a step of the saga itself: once, no earlier than `at`, or `after` the time of the present step.

    A saga has one timer of a name: another one takes its place. `step` is a type of `evolve` that no source has.
    Raises TopologyError where the name is empty or long, or where not exactly one of `at` and `after` is given.
    """

    name: str
    step: Record
    at: datetime | None = None
    after: timedelta | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if (self.at is None) == (self.after is None):
            raise TopologyError(f"timer `{self.name}`: say either `at` or `after`")
        if self.at is not None and self.at.tzinfo is None:
            raise TopologyError(f"timer `{self.name}`: `at` needs a time zone")

    def due(self, now: datetime) -> datetime:
        """When it is due, if it is asked for at a time."""
        return self.at if self.at is not None else now + (self.after or timedelta())


@dataclass(frozen=True)
class Cancel:
    """Drops the timer of a name; where there is none, nothing happens."""

    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= LONGEST_NAME:
        raise TopologyError(f"`{name[:80]}`: the name of a timer has 1 to {LONGEST_NAME} characters")


# What `react` returns: commands to deciders, and timers.
Action = Record | Schedule | Cancel
