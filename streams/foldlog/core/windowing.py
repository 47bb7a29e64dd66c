"""The fold of a windowed view: one event, the rows of its windows."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, NamedTuple, Protocol

from foldlog.core import signatures
from foldlog.core.enriching import Look, evolution, nothing
from foldlog.core.errors import TopologyError
from foldlog.core.meta import Meta
from foldlog.core.record import replace
from foldlog.core.view import View
from foldlog.core.window import Sessions, Span, Windowed, name_of


class Table(Protocol):
    """The rows as they are: of a name, and the names of a key's sessions."""

    def get(self, name: str) -> Any: ...
    def sessions(self, key: str) -> Iterable[str]: ...


def check_windows(view: View[Any, Any]) -> None:
    """TopologyError where a view with windows has no row for them, or would delete one itself."""
    if view.window is None:
        return
    if not issubclass(view.row, Windowed):
        raise TopologyError(f"{view.name}: {view.row.__name__} must inherit from Windowed, as its view has windows")
    if signatures.may_return_none(view.evolve):
        raise TopologyError(f"{view.name}: evolve may return None, but rows of windows are deleted by `keep` alone")


class Arrival(NamedTuple):
    """An event that belongs to a key; without `meta` where nobody asks when it was recorded."""

    key: str
    event: Any
    meta: Meta | None


class Change(NamedTuple):
    """Rows by name, None for one to delete; `late` where the event came too late for one of its windows."""

    rows: dict[str, Any]
    late: bool


class Windowing:
    """Folds events into the rows of their windows, all or none."""

    def __init__(self, view: View[Any, Any], look: Look = nothing) -> None:
        assert view.window is not None
        self._window = view.window
        self._initial = view.initial
        self._evolve = evolution(view, look)

    def change(self, arrival: Arrival, table: Table, gone: datetime | None = None) -> Change:
        """What becomes of the rows; windows that end at `gone` or before are over, as if their rows were deleted."""
        moment = self._window.time(arrival.event, arrival.meta)
        if isinstance(self._window, Sessions):
            return self._session(self._window, moment, arrival, table, gone)
        rows, late = {}, False
        for span in self._window.spans(moment):
            if not self._window.is_open(span, arrival.meta) or _is_gone(span, gone):
                late = True
                continue
            name = name_of(arrival.key, span.start)
            rows[name] = self._evolved(table.get(name), span, arrival)
        return Change(rows, late)

    def _session(
        self, window: Sessions, moment: datetime, arrival: Arrival, table: Table, gone: datetime | None
    ) -> Change:
        span = Span(moment, moment + window.gap)
        found = ((name, table.get(name)) for name in table.sessions(arrival.key))
        met = {name: row for name, row in found if row is not None and row.start < span.end and span.start < row.end}
        starts, ends = {row.start for row in met.values()}, {row.end for row in met.values()}
        whole = Span(min(starts | {span.start}), max(ends | {span.end}))
        if not window.is_open(span, arrival.meta) or _is_gone(whole, gone):
            return Change({}, late=True)
        in_order = sorted(met.values(), key=lambda row: row.start)
        row = self._evolved(reduce(window.merge, in_order) if in_order else None, whole, arrival)
        return Change({**dict.fromkeys(met), name_of(arrival.key, whole.start): row}, late=False)

    def _evolved(self, row: Any, span: Span, arrival: Arrival) -> Any:
        before = self._initial if row is None else row
        after = self._evolve(_bounded(before, span), arrival.event, arrival.meta)
        if not isinstance(after, Windowed):
            raise TypeError(
                f"a window's row becomes {type(after).__name__}; rows of windows are deleted by `keep` alone"
            )
        return _bounded(after, span)


def expired(rows: Mapping[str, Windowed], keep: timedelta | None) -> list[str]:
    """The names of the rows that are no longer kept beside the others."""
    if keep is None or not rows:
        return []
    gone = max(row.end for row in rows.values()) - keep
    return [name for name, row in rows.items() if row.end <= gone]


def _bounded(row: Any, span: Span) -> Any:
    return row if (row.start, row.end) == span else replace(row, start=span.start, end=span.end)


def _is_gone(span: Span, gone: datetime | None) -> bool:
    return gone is not None and span.end <= gone
