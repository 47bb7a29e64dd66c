"""Why a value does not fit its shape: the slow path that words an error after an encoder has refused."""

from decimal import Decimal
from typing import Any

from foldlog.contracts.shapes import Choice, Field, Items, Leaf, Mapped, Nested, Shape, Symbols, Words, fields_of
from foldlog.core.record import Record, Scale

INT64 = 1 << 63


def fault_in(record: Record) -> str | None:
    """The first field of a record that does not fit, as `path: reason`; None where all fit."""
    for field in fields_of(type(record)):
        found = _field(record, field)
        if found is not None:
            return found
    return None


def fault(shape: Shape, value: Any) -> str | None:  # noqa: PLR0911 — one return a shape
    """Why a value does not fit: `: reason`, or `.inner.path: reason`; None where it fits."""
    match shape:
        case Choice(options):
            return None if value is None and None in options else _choice(options, value)
        case Nested(record):
            return _expected(record, value) or _within("", fault_in(value))
        case Items(kind, item):
            return _expected(kind, value) or _first(item, enumerate(value))
        case Mapped(item):
            return _expected(dict, value) or _keys(value) or _first(item, value.items())
        case Words(words):
            return None if value in words else f": {value!r} is none of {', '.join(map(repr, words))}"
        case Symbols(enum):
            return _expected(enum, value)
        case Scale():
            return _expected(Decimal, value) or _decimal(shape, value)
        case Leaf(kind):
            return _leaf(kind, value)


def _field(record: Record, field: Field) -> str | None:
    found = fault(field.shape, getattr(record, field.name))
    return None if found is None else field.name + found


def _within(prefix: str, found: str | None) -> str | None:
    return None if found is None else f"{prefix}.{found}"


def _first(item: Shape, values: Any) -> str | None:
    for key, value in values:
        found = fault(item, value)
        if found is not None:
            return f"[{key!r}]{found}"
    return None


def _keys(value: dict[Any, Any]) -> str | None:
    wrong = next((key for key in value if not isinstance(key, str)), None)
    return None if wrong is None else f": key {wrong!r} is {_name(wrong)}, not str"


def _choice(options: tuple[Shape | None, ...], value: Any) -> str | None:
    shapes = [option for option in options if option is not None]
    for shape in shapes:
        if len(shapes) == 1 or (isinstance(shape, Nested) and type(value) is shape.record):
            return fault(shape, value)
    names = [shape.record.__name__ for shape in shapes if isinstance(shape, Nested)]
    return f": is {_name(value)}, not {' or '.join(names)}"


def _expected(kind: type, value: Any) -> str | None:
    return None if type(value) is kind else f": is {_name(value)}, not {kind.__name__}"


def _name(value: Any) -> str:
    return type(value).__name__


def _decimal(scale: Scale, value: Decimal) -> str | None:
    limits = f"decimal({scale.precision}, {scale.scale})"
    if not value.is_finite():
        return f": {value} is no number for {limits}"
    _, digits, exponent = value.as_tuple()
    while len(digits) > 1 and digits[-1] == 0:
        digits, exponent = digits[:-1], int(exponent) + 1
    if int(exponent) < -scale.scale:
        return f": {value} has more than {scale.scale} decimal places; round it before"
    if any(digits) and len(digits) + int(exponent) > scale.precision - scale.scale:
        return f": {value} has too many digits for {limits}"
    return None


def _leaf(kind: type, value: Any) -> str | None:
    if kind is str and isinstance(value, str):
        return None if _encodes(value) else f": {value!r} has a lone surrogate, which is not text in UTF-8"
    if kind is float and type(value) is int:
        return None if abs(value) <= 1 << 53 else f": {value} is not exact as a float"
    found = _expected(kind, value)
    if found is not None:
        return found
    if kind is int and not -INT64 <= value < INT64:
        return f": {value} does not fit 64 bits"
    if hasattr(value, "tzinfo") and value.utcoffset() is None:
        return f": {value.isoformat()} has no time zone; use an aware datetime"
    return None


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
