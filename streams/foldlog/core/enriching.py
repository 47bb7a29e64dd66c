"""Enrichment: a view's fold with a row of another view beside the event."""

from collections.abc import Callable, Collection
from typing import Any

from foldlog.core import signatures
from foldlog.core.errors import TopologyError
from foldlog.core.folding import Three, with_meta
from foldlog.core.record import Record
from foldlog.core.view import View

Look = Callable[[str], Record | None]


def nothing(_key: str) -> None:
    """Looks where there is nothing."""


def evolution(view: View[Any, Any], look: Look) -> Three:
    """A view's `evolve` as a function of row, event and Meta; `look` gives the other view's row of a key."""
    if view.lookup is None:
        return with_meta(view.evolve)
    evolve: Callable[..., Any] = view.evolve
    key_of = view.lookup.key

    def found(event: Any) -> Record | None:
        key = key_of(event)
        return None if key is None else look(key)

    if signatures.wants_meta(evolve):
        return lambda row, event, meta: evolve(row, event, found(event), meta)
    return lambda row, event, _: evolve(row, event, found(event))


def check_lookup(view: View[Any, Any], views: Collection[View[Any, Any]]) -> None:
    """TopologyError where a view looks something up that its context has not, or does not take what may be found."""
    if view.lookup is None:
        return
    other = view.lookup.view
    if other is view or other not in views:
        raise TopologyError(f"{view.name}: it looks up `{other.name}`, which is no other view of its context")
    if signatures.accepted(view.evolve, 2) != (other.row,) or not signatures.may_be_none(view.evolve, 2):
        raise TopologyError(f"{view.name}: the third parameter of evolve must be a `{other.row.__name__} | None`")
