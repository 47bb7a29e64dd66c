"""Records as JSON that says every value exactly, and back.

| annotation | JSON |
|---|---|
| str, int, bool, Literal strings; finite float | itself |
| Annotated[Decimal, Scale(p, s)] | its digits as text, without an exponent |
| bytes | Base64 as text |
| datetime, date, UUID | ISO 8601 or RFC 4122 as text |
| Enum | the value of an enum of strings, else the member's name |
| Record; dict[str, T] | an object |
| tuple[T, ...], list[T] | an array |
| A \\| B of records | an object of one name, the record's: `{"Card": {"number": "1"}}` |
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from foldlog.contracts.shapes import Choice, Field, Items, Leaf, Mapped, Nested, Shape, Symbols, Words, fields_of
from foldlog.core.record import Record, Scale

R = TypeVar("R", bound=Record)
Write = Callable[[Any], Any]


def to_json(record: Record) -> dict[str, Any]:
    """A record as an object; ValueError names the field that JSON cannot say: a float that is no number."""
    written = {}
    for name, write in _writers(type(record)):
        try:
            written[name] = write(getattr(record, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return written


def from_json(kind: type[R], data: dict[str, Any]) -> R:
    """The record of an object that `to_json` wrote, by this version of its class or an older one.

    A field that is not there has its default. Raises ValueError where it has none, or a value is none of its type.
    """
    return kind(**{field.name: _read_field(field, data) for field in fields_of(kind)})


def _read_field(field: Field, data: dict[str, Any]) -> Any:
    if field.name not in data:
        if field.required:
            raise ValueError(f"{field.name}: is missing, and has no default")
        return field.fresh()
    try:
        return read(field.shape, data[field.name])
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise ValueError(f"{field.name}: {error}") from error


@cache
def _writers(record: type[Record]) -> tuple[tuple[str, Write], ...]:
    return tuple((field.name, writer(field.shape)) for field in fields_of(record))


def writer(shape: Shape) -> Write:  # noqa: PLR0911 — one return a shape
    """What makes JSON of a value of a shape."""
    match shape:
        case Leaf(kind):
            return _WRITTEN.get(kind, _same)
        case Words():
            return _same
        case Scale():
            return _digits
        case Symbols(enum):
            return symbols(enum).__getitem__
        case Nested():
            return to_json
        case Items(_, item):
            return _array(writer(item))
        case Mapped(item):
            return _object(writer(item))
        case Choice(options):
            return _optional(_tagged if sum(option is not None for option in options) > 1 else _only(options))


def read(shape: Shape, data: Any) -> Any:  # noqa: PLR0911 — one return a shape
    """The value of a shape that `writer` made JSON of."""
    match shape:
        case Leaf(kind):
            return _READ[kind](data) if kind in _READ else _expected(kind, data)
        case Words(words):
            return words[words.index(data)]
        case Scale():
            return Decimal(_expected(str, data))
        case Symbols(enum):
            return {text: member for member, text in symbols(enum).items()}[data]
        case Nested(record):
            return from_json(record, _expected(dict, data))
        case Items(kind, item):
            return kind(read(item, inner) for inner in _expected(list, data))
        case Mapped(item):
            return {name: read(item, inner) for name, inner in _expected(dict, data).items()}
        case Choice(options):
            return None if data is None and None in options else _read_choice(options, data)


@cache
def symbols(enum: type[Enum]) -> dict[Enum, str]:
    """The text of each member: its value in an enum of strings, else its name."""
    by_value = all(isinstance(member.value, str) for member in enum)
    return {member: str(member.value) if by_value else member.name for member in enum}


def _read_choice(options: tuple[Shape | None, ...], data: Any) -> Any:
    shapes = [option for option in options if option is not None]
    if len(shapes) == 1:
        return read(shapes[0], data)
    ((name, inner),) = _expected(dict, data).items()
    records = {shape.record.__name__: shape.record for shape in shapes if isinstance(shape, Nested)}
    return from_json(records[name], inner)


def _only(options: tuple[Shape | None, ...]) -> Write:
    (shape,) = (option for option in options if option is not None)
    return writer(shape)


def _optional(write: Write) -> Write:
    return lambda value: None if value is None else write(value)


def _array(write: Write) -> Write:
    return lambda values: [write(value) for value in values]


def _object(write: Write) -> Write:
    return lambda values: {name: write(value) for name, value in values.items()}


def _tagged(value: Record) -> dict[str, Any]:
    return {type(value).__name__: to_json(value)}


def _same(value: Any) -> Any:
    return value


def _digits(value: Decimal) -> str:
    return format(value, "f")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON has")
    return value


def _expected(kind: type, data: Any) -> Any:
    if type(data) is not kind:
        raise ValueError(f"is {type(data).__name__}, not {kind.__name__}")
    return data


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


_WRITTEN: dict[type, Write] = {
    float: _finite,
    bytes: _base64,
    datetime: datetime.isoformat,
    date: date.isoformat,
    UUID: str,
}
_READ: dict[type, Write] = {
    float: float,
    bytes: b64decode,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    UUID: UUID,
}
