"""What a handler accepts and returns, read from its annotations."""

import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from foldlog.core.errors import TopologyError
from foldlog.core.meta import Meta
from foldlog.core.record import Record

Handler = Callable[..., Any]


def accepted(handler: Handler, position: int) -> tuple[type[Record], ...]:
    """The record types of one parameter, a union flattened; raises TopologyError where it is not annotated."""
    parameter = _parameter(handler, position)
    hint = _hints(handler).get(parameter)
    found = records(hint)
    if not found:
        raise TopologyError(f"{_place(handler)}: parameter `{parameter}` needs an annotation of Record types")
    return found


def returned(handler: Handler) -> tuple[type[Record], ...]:
    """The record types in a handler's `list[...]`, `tuple[...]` or `Sequence[...]` return annotation."""
    hint = _hints(handler).get("return")
    if hint is None:
        raise TopologyError(f"{_place(handler)}: the return annotation is missing, for example `-> list[Event]`")
    return tuple(dict.fromkeys(kind for inner in get_args(hint) for kind in records(inner)))


def made(handler: Handler) -> tuple[type[Record], ...]:
    """The record types in a handler's return annotation of one record or none; TopologyError where there is none."""
    found = records(_hints(handler).get("return"))
    if not found:
        raise TopologyError(f"{_place(handler)}: needs a return annotation of Record types, as in `-> Event | None`")
    return tuple(dict.fromkeys(found))


def returns(handler: Handler, kind: type) -> bool:
    """True where a handler's `list[...]`, `tuple[...]` or `Sequence[...]` return annotation names a type."""
    hint = _hints(handler).get("return")
    return any(kind in (inner, *get_args(inner)) for inner in get_args(hint))


def may_be_none(handler: Handler, position: int) -> bool:
    """True where a parameter's annotation is a union with None."""
    return type(None) in get_args(_hints(handler).get(_parameter(handler, position)))


def may_return_none(handler: Handler) -> bool:
    """True where the return annotation is None, or a union with it."""
    hint = _hints(handler).get("return")
    return hint is type(None) or type(None) in get_args(hint)


def wants_meta(handler: Handler) -> bool:
    """True where a parameter is annotated `Meta`."""
    return any(hint is Meta for name, hint in _hints(handler).items() if name != "return")


def records(hint: Any) -> tuple[type[Record], ...]:
    """The Record classes of an annotation: a class, a union, or an optional."""
    if isinstance(hint, type) and issubclass(hint, Record):
        return (hint,)
    if isinstance(hint, TypeVar):
        return records(hint.__bound__)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for inner in get_args(hint) for kind in records(inner))
    return ()


def _parameter(handler: Handler, position: int) -> str:
    names = list(inspect.signature(handler).parameters)
    if position >= len(names):
        raise TopologyError(f"{_place(handler)}: needs at least {position + 1} parameters, has {len(names)}")
    return names[position]


def _hints(handler: Handler) -> dict[str, Any]:
    try:
        return get_type_hints(handler)
    except (NameError, TypeError) as error:
        raise TopologyError(f"{_place(handler)}: annotations cannot be read: {error}") from error


def _place(handler: Handler) -> str:
    return f"{getattr(handler, '__module__', '?')}.{getattr(handler, '__qualname__', repr(handler))}"
