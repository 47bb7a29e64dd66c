"""The view: rows folded from events."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.serving import AS_CONFIGURED, Serving
from foldlog.core.window import Window, key_of

E = TypeVar("E", bound=Record)
Row = TypeVar("Row", bound=Record)
Source = Decider[Any, Any, Any] | tuple[Decider[Any, Any, Any], ...]


def sources_of(source: Source) -> tuple[Decider[Any, Any, Any], ...]:
    """The deciders of one source or of several, always as a tuple."""
    return source if isinstance(source, tuple) else (source,)


@dataclass(frozen=True)
class View(Generic[E, Row]):
    """A materialized view: one row a key, folded from the events of its sources.

    `key` names the row that an event belongs to, None where the view does not want the event.
    `evolve` returns the new row, or None to delete it; it may take `Meta` as a third parameter.
    A view over several sources must not depend on the order in which their events arrive. A view that is declared
    otherwise than before needs the next `version`: then its rows are folded anew, beside those that readers have.
    With a `window` there is a row for each key and window; its key is `<key>@<start of the window>`. With a `lookup`
    the third parameter of `evolve` is a row of another view, or None, and Meta the fourth. `serving` says how the rows
    are kept for those who read them.
    """

    name: str
    source: Source
    initial: Row
    key: Callable[[E], str | None]
    evolve: (
        Callable[[Row, E], Row | None]
        | Callable[[Row, E, Meta], Row | None]
        | Callable[[Row, E, Any], Row | None]
        | Callable[[Row, E, Any, Meta], Row | None]
    )
    version: int = 1
    window: Window | None = None
    lookup: "Lookup | None" = None
    serving: Serving = AS_CONFIGURED

    @property
    def generation(self) -> str:
        """The name of the rows of this version: the view's own, from version 2 on with its number."""
        return self.name if self.version == 1 else f"{self.name}.g{self.version}"

    def home(self, key: str) -> str:
        """What says in which partition the row of a key is: all windows of a key are in that of the key."""
        return key_of(key) if self.window is not None else key

    @property
    def sources(self) -> tuple[Decider[Any, Any, Any], ...]:
        """The deciders whose events the view reads."""
        return sources_of(self.source)

    @cached_property
    def events(self) -> tuple[type[Record], ...]:
        """The event types that `evolve` accepts; others of the source pass by."""
        return signatures.accepted(self.evolve, 1)

    @property
    def row(self) -> type[Record]:
        """The type of a row."""
        return type(self.initial)


@dataclass(frozen=True)
class Lookup:
    """A row of another view beside each event: that of `key`, as it is when the event is handled.

    The other view is copied to every worker and follows a moment behind. Folded again, an event finds the rows of that
    day, not those that it found at first.
    """

    view: View[Any, Any]
    key: Callable[[Any], str | None]
