"""Shapes: what a record's annotations mean on the wire, read once; schemas, encoders and decoders follow them."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

from foldlog.core.errors import ContractError
from foldlog.core.meta import Meta
from foldlog.core.record import Record, Scale

ALLOWED = (
    "str, int, float, bool, bytes, Annotated[Decimal, Scale(precision, scale)] (Money), datetime, date, UUID, "
    "an Enum, Literal strings, a Record, tuple[T, ...], list[T], dict[str, T], T | None, a union of Records"
)
# An event's position is known only to its reader; it is not stored.
UNSTORED: dict[type[Record], frozenset[str]] = {Meta: frozenset({"position"})}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Leaf:
    """One of LEAVES, as it stands in Python."""

    kind: type


@dataclass(frozen=True)
class Words:
    """A string that is one of these."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Symbols:
    """An enum; its symbols are the members' names, its default the member UNKNOWN where there is one."""

    enum: type[Enum]


@dataclass(frozen=True)
class Nested:
    """A record inside a record."""

    record: type[Record]


@dataclass(frozen=True)
class Items:
    """A sequence: `kind` is tuple or list."""

    kind: type
    item: "Shape"


@dataclass(frozen=True)
class Mapped:
    """A dict with string keys."""

    item: "Shape"


@dataclass(frozen=True)
class Choice:
    """One of several records, or one other shape; None stands for null. The order is that of Avro's branches:
    the default's first, as Avro wants it, else null first."""

    options: "tuple[Shape | None, ...]"


Shape = Leaf | Scale | Words | Symbols | Nested | Items | Mapped | Choice
LEAVES = (str, int, float, bool, bytes, datetime, date, UUID)


@dataclass(frozen=True)
class Field:
    """A field of a record; `default` and `factory` are msgspec.NODEFAULT where there is none."""

    name: str
    shape: Shape
    default: Any = msgspec.NODEFAULT
    factory: Any = msgspec.NODEFAULT

    @property
    def required(self) -> bool:
        """True where the record states no default."""
        return self.default is msgspec.NODEFAULT and self.factory is msgspec.NODEFAULT

    def fresh(self) -> Any:
        """The default's value."""
        return self.default if self.factory is msgspec.NODEFAULT else self.factory()


@cache
def fields_of(record: type[Record]) -> tuple[Field, ...]:
    """The stored fields of a record in order; ContractError names the field whose type Avro cannot say."""
    try:
        found = msgspec.structs.fields(record)
    except (NameError, TypeError) as error:
        raise ContractError(f"{record.__name__}: annotations cannot be read: {error}") from error
    hidden = UNSTORED.get(record, frozenset())
    return tuple(_field(record, field) for field in found if field.name not in hidden)


def _field(record: type[Record], info: msgspec.structs.FieldInfo) -> Field:
    place = f"{record.__name__}.{info.name}"
    field = Field(_checked(info.name, place), shape_of(info.type, place), info.default, info.default_factory)
    if field.required or not isinstance(field.shape, Choice):
        return field
    return replace(field, shape=_default_first(field.shape, field.fresh()))


def _default_first(choice: Choice, default: Any) -> Choice:
    first = [option for option in choice.options if _holds(option, default)]
    return Choice((*first, *(option for option in choice.options if option not in first)))


def _holds(option: Shape | None, value: Any) -> bool:
    if isinstance(option, Nested):
        return type(value) is option.record
    return (option is None) == (value is None)


def called(shape: Shape | None) -> str:
    """What a shape is called in an error."""
    match shape:
        case Leaf(kind) | Items(kind, _):
            return kind.__name__
        case Scale(precision, scale):
            return f"decimal({precision}, {scale})"
        case Nested(inner) | Symbols(inner):
            return inner.__name__
        case Choice(options):
            return " | ".join(called(option) for option in options)
        case _:
            return {Words: "str", Mapped: "dict"}.get(type(shape), "None")


def shape_of(hint: Any, place: str) -> Shape:
    """The shape of one annotation; ContractError names `place` and what is allowed."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _annotated(hint, place)
    if origin in (Union, UnionType):
        return _choice(get_args(hint), place)
    if origin is Literal and all(isinstance(word, str) for word in get_args(hint)):
        return Words(get_args(hint))
    if origin in (tuple, list, dict):
        return _container(origin, get_args(hint), place)
    if hasattr(hint, "__supertype__"):
        return shape_of(hint.__supertype__, place)
    if isinstance(hint, type) and not origin:
        return _class(hint, place)
    raise _refused(hint, place)


def _class(hint: type, place: str) -> Shape:
    if issubclass(hint, Enum) and not issubclass(hint, Flag):
        for name in hint.__members__:
            _checked(name, f"{place}: {hint.__name__}.{name}")
        return Symbols(hint)
    if issubclass(hint, Record):
        return Nested(hint)
    if hint in LEAVES:
        return Leaf(hint)
    raise _refused(hint, place)


def _annotated(hint: Any, place: str) -> Shape:
    inner, *notes = get_args(hint)
    if inner is not Decimal:
        return shape_of(inner, place)
    scale = next((note for note in notes if isinstance(note, Scale)), None)
    if scale is None or not 0 <= scale.scale <= scale.precision or scale.precision < 1:
        raise _refused(hint, place)
    return scale


def _container(origin: type, inner: tuple[Any, ...], place: str) -> Shape:
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        return Items(tuple, _item(inner[0], place))
    if origin is list and len(inner) == 1:
        return Items(list, _item(inner[0], place))
    if origin is dict and inner[0] is str:
        return Mapped(shape_of(inner[1], place))
    raise _refused(origin[inner], place)  # type: ignore[index]


def _item(hint: Any, place: str) -> Shape:
    shape = shape_of(hint, place)
    # Such an item takes no byte, so that a few corrupt bytes could claim a billion of them.
    if isinstance(shape, Nested) and not msgspec.structs.fields(shape.record):
        raise ContractError(f"{place}: {shape.record.__name__} has no field; a sequence needs items with content")
    return shape


def _choice(hints: tuple[Any, ...], place: str) -> Shape:
    options = tuple(shape_of(hint, place) for hint in hints if hint is not NoneType)
    if len(options) > 1 and not all(isinstance(option, Nested) for option in options):
        raise _refused(" | ".join(getattr(hint, "__name__", str(hint)) for hint in hints), place)
    if any(isinstance(option, Choice) for option in options):
        raise _refused(hints, place)
    return Choice((None, *options) if NoneType in hints else options)


def _checked(name: str, place: str) -> str:
    if not _NAME.fullmatch(name):
        raise ContractError(f"{place}: an Avro name has only A-Z, a-z, 0-9 and _, and no digit first")
    return name


def _refused(hint: Any, place: str) -> ContractError:
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return ContractError(f"{place}: {name.replace('typing.', '')} has no Avro type; allowed are {ALLOWED}")
