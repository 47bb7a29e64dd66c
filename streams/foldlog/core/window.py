"""Windows: the rows of a view by key and by time.

All that is asked about time stands in the log: when an event took place, and when it was recorded. No clock is read,
so a replay, a rebuild and any number of workers come to the same rows.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from foldlog.core.errors import TopologyError
from foldlog.core.meta import Meta
from foldlog.core.record import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = timedelta(0)
_ENDING = re.compile(r"@\d{4}-\d\d-\d\dT[\d:.]+Z$")


class Windowed(Record):
    """A row of a windowed view: its window lasts from `start` until before `end`, UTC; the engine sets both."""

    start: datetime = EPOCH
    end: datetime = EPOCH


class Span(NamedTuple):
    """A window of time, from `start` until before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What all kinds of windows have in common.

    `at` says when an event took place, as a date or a datetime with a time zone; without it that is when its command
    was recorded. An event that was recorded more than `late` after its window's end is not counted there. A row is
    deleted once its partition has a window that ends `keep` or more after its own.
    """

    at: Callable[[Any], date] | None = None
    late: timedelta | None = None
    keep: timedelta | None = None

    def time(self, event: Any, meta: Meta | None) -> datetime:
        """When an event took place; ValueError where it says so without a time zone."""
        if self.at is None:
            return _recorded(meta)
        found = self.at(event)
        if not isinstance(found, datetime):
            return datetime.combine(found, time(tzinfo=UTC))
        if found.tzinfo is None:
            raise ValueError(f"{found.isoformat()} has no time zone; the windows' times are UTC")
        return found.astimezone(UTC)

    def is_open(self, span: Span, meta: Meta | None) -> bool:
        """Whether an event that was recorded when its Meta says still counts in a window."""
        return self.late is None or _recorded(meta) <= span.end + self.late

    @property
    def asks_meta(self) -> bool:
        """Whether it matters when an event was recorded."""
        return self.at is None or self.late is not None

    def check(self, longest: timedelta) -> None:
        """TopologyError where the bounds make no sense for windows of this length."""
        if longest <= _NOTHING:
            raise TopologyError(f"a window must last longer than {longest}")
        if self.late is not None and self.late < _NOTHING:
            raise TopologyError(f"late is {self.late}; it must be 0 or more")
        latest = longest + (self.late or _NOTHING)
        if self.keep is not None and self.keep < latest:
            raise TopologyError(f"keep is {self.keep}, but an event may come {latest} after its window's start")


@dataclass(frozen=True)
class Hopping(Windows):
    """Windows of one size, a new one `every` so often since 1970-01-01 UTC: an event counts in each that holds it."""

    size: timedelta
    every: timedelta

    def __post_init__(self) -> None:
        self.check(self.size)
        if not _NOTHING < self.every <= self.size:
            raise TopologyError(f"windows of {self.size} cannot follow each other every {self.every}")

    def spans(self, moment: datetime) -> Iterator[Span]:
        """The windows that hold a moment, the latest first."""
        start = EPOCH + (moment - EPOCH) // self.every * self.every
        while start + self.size > moment:
            yield Span(start, start + self.size)
            start -= self.every


@dataclass(frozen=True)
class Tumbling(Windows):
    """Windows of one size, side by side since 1970-01-01 UTC: an event counts in one."""

    size: timedelta

    def __post_init__(self) -> None:
        self.check(self.size)

    def spans(self, moment: datetime) -> Iterator[Span]:
        """The window that holds a moment."""
        start = EPOCH + (moment - EPOCH) // self.size * self.size
        yield Span(start, start + self.size)


@dataclass(frozen=True)
class Sessions(Windows):
    """Windows of activity: a session of a key ends when nothing happened for `gap`.

    An event between two sessions makes one of them, which is what `merge` does with their rows.
    """

    gap: timedelta
    merge: Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        self.check(self.gap)


Window = Tumbling | Hopping | Sessions


def name_of(key: str, start: datetime) -> str:
    """The key of a window's row: `<key>@<start>`, as in `lp@2026-11-27T03:00:00Z`."""
    return f"{key}@{start.replace(tzinfo=None).isoformat()}Z"


def key_of(name: str) -> str:
    """The key to which a window's row belongs; a key that is no window's row is its own."""
    return _ENDING.sub("", name)


def _recorded(meta: Meta | None) -> datetime:
    if meta is None:
        raise ValueError("an event without Meta does not say when it was recorded")
    return meta.time
