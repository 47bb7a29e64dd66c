"""Folds over deciders, views and sagas, whether or not their functions ask for Meta."""

from collections.abc import Callable, Iterable
from typing import Any

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.view import View

Two = Callable[[Any, Any], Any]
Three = Callable[[Any, Any, Any], Any]


def with_meta(function: Callable[..., Any]) -> Three:
    """The function as one of three parameters; one that does not ask for Meta never sees it."""
    if signatures.wants_meta(function):
        return function
    return lambda first, second, _: function(first, second)


def translating(function: Callable[..., Any]) -> Two:
    """A `translate` as a function of a record and its Meta; one that does not ask for Meta never sees it."""
    if signatures.wants_meta(function):
        return function
    return lambda record, _: function(record)


def fold(
    of: Decider[Any, Any, Any] | View[Any, Any] | Saga[Any, Any, Any], events: Iterable[tuple[Record, Meta]]
) -> Any:
    """The state or row after these events of one key; None where a view deleted the row."""
    return folded(of.initial, with_meta(of.evolve), events)


def folded(initial: Any, evolve: Three, events: Iterable[tuple[Record, Meta]]) -> Any:
    """What `evolve` makes of these events; what it deletes begins anew."""
    state = initial
    for event, meta in events:
        state = evolve(initial if state is None else state, event, meta)
    return state
