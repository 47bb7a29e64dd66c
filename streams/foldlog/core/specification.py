"""Specifications: given what has happened, when this comes, then that follows. No broker, no thread, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from foldlog.core.decider import Decider
from foldlog.core.enriching import evolution
from foldlog.core.errors import Rejected
from foldlog.core.folding import folded, with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.saga import Saga
from foldlog.core.timers import Action
from foldlog.core.view import View
from foldlog.core.window import key_of
from foldlog.core.windowing import Arrival, Windowing, expired

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
Subject = Decider[Any, Any, Any] | Saga[Any, Any, Any] | View[Any, Any]
Beside = Mapping[str, Record]
NOTHING: Beside = {}


def meta_of(version: int, aggregate: str = "test") -> Meta:
    """The Meta that a specification hands to the functions that ask for it; each message has a cause of its own."""
    return Meta(f"{aggregate}@{version}", aggregate, version, EPOCH, f"test:{version}", "test")


def fold(subject: Subject, *events: Record, beside: Beside = NOTHING) -> Any:
    """The state or row after these events; `beside` are the rows of the view that it looks into."""
    evolve = evolution(subject, beside.get) if isinstance(subject, View) else with_meta(subject.evolve)
    return folded(subject.initial, evolve, ((event, meta_of(n)) for n, event in enumerate(events, 1)))


def rows(view: View[Any, Any], *events: Record | tuple[datetime, Record], beside: Beside = NOTHING) -> dict[str, Any]:
    """The rows of a view after these events, by key; an event may come with the time at which it was recorded.

    Of a windowed view they are what a partition holds to which all these keys belong.
    """
    table = _Table()
    window = Windowing(view, beside.get) if view.window is not None else None
    evolve = evolution(view, beside.get)
    for number, told in enumerate(events, 1):
        recorded, event = told if isinstance(told, tuple) else (EPOCH, told)
        key = view.key(event) if type(event) in view.events else None
        meta = replace(meta_of(number), time=recorded)
        if key is None:
            continue
        if window is not None:
            table.take(window.change(Arrival(key, event, meta), table).rows)
        else:
            table.take({key: evolve(table.rows.get(key, view.initial), event, meta)})
    if view.window is not None:
        table.take(dict.fromkeys(expired(table.rows, view.window.keep)))
    return table.rows


class _Table:
    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        return self.rows.get(name)

    def sessions(self, key: str) -> list[str]:
        return [name for name in self.rows if key_of(name) == key]

    def take(self, changed: dict[str, Any]) -> None:
        self.rows = {name: row for name, row in {**self.rows, **changed}.items() if row is not None}


@dataclass(frozen=True)
class Given:
    """What has happened so far."""

    subject: Decider[Any, Any, Any] | Saga[Any, Any, Any]
    history: tuple[Record, ...]

    def when(self, message: Record) -> "When":
        """Hands a command to the decider, or a step to the saga."""
        count = len(self.history)
        state, meta = fold(self.subject, *self.history), replace(meta_of(count), causation=f"test:{count + 1}")
        try:
            match self.subject:
                case Decider(decide=decide):
                    return When(tuple(with_meta(decide)(message, state, meta)))
                case Saga(react=react):
                    return When(tuple(with_meta(react)(state, message, meta)))
        except Rejected as rejected:
            return When(rejected=rejected)


@dataclass(frozen=True)
class When:
    """What came of it."""

    outcome: Sequence[Action] = ()
    rejected: Rejected | None = field(default=None)

    def then(self, *expected: Action) -> None:
        """Exactly these events, or commands and timers, follow, in this order; none where nothing is given."""
        if self.rejected is not None:
            raise AssertionError(f"rejected: {self.rejected}") from self.rejected
        assert tuple(self.outcome) == expected, f"\n  expected {expected}\n  but got  {tuple(self.outcome)}"

    def then_rejected(self, reason: str = "") -> None:
        """The command is rejected, with a reason that contains this text."""
        assert self.rejected is not None, f"not rejected; got {tuple(self.outcome)}"
        assert reason in str(self.rejected), f"`{reason}` is not in `{self.rejected}`"


def given(subject: Decider[Any, Any, Any] | Saga[Any, Any, Any], *history: Record) -> Given:
    """Starts a specification from the events (or steps) so far."""
    return Given(subject, history)
