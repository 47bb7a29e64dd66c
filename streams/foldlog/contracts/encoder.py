"""Encoders: one Python function for each record type, generated from its shape.

Every command, event and row passes here, so the code for a record is written out once, as a single join of byte
strings, and compiled: strings, integers and booleans in line, everything else by a call. The text that is
compiled holds record fields' names and constants only, never anything that came over the network. Avro's binary
encoding: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

from foldlog.contracts.schema import EPOCH, EPOCH_DAY, integer_bytes
from foldlog.contracts.shapes import Choice, Items, Leaf, Mapped, Nested, Shape, Symbols, Words, fields_of
from foldlog.contracts.varint import SMALL, sized, text, varint
from foldlog.core.record import Record, Scale

Encode = Callable[[Any], bytes]

_LEAST, _MOST = -1 << 63, (1 << 63) - 1
_double = Struct("<d").pack


class Unfit(Exception):  # noqa: N818 — never leaves this package: the codec words it
    """A value does not fit its shape."""


def long(number: Any) -> bytes:
    """An integer of 64 bits that is no bool."""
    if number.__class__ is not int or not _LEAST <= number <= _MOST:
        raise Unfit
    return varint(number)


def encoder(record: type[Record]) -> Encode:
    """A function from an instance to its Avro body; it raises some exception where a value does not fit."""
    return _Source().record(record)


def part(shape: Shape) -> Encode:
    """A function from a value of a shape to its bytes; it raises some exception where the value does not fit."""
    return _Source().value(shape)


class _Source:
    """The functions of one record type and of those nested in it."""

    def __init__(self) -> None:
        self._known: dict[type[Record], str] = {}
        self._scope: dict[str, Any] = {"E": str.encode, "J": b"".join, "S": SMALL, "L": long, "W": _refuse}

    def record(self, record: type[Record]) -> Encode:
        """The function of a record."""
        found: Encode = self._scope[self._function(record)]
        return found

    def _function(self, record: type[Record]) -> str:
        if record in self._known:
            return self._known[record]
        name = self._known[record] = f"record_{len(self._known)}"
        kind = self._constant(record)
        pieces = ", ".join(self._pieces(field.shape, f"r.{field.name}") for field in fields_of(record))
        text = f"def {name}(r):\n    if r.__class__ is not {kind}: W(r)\n    return J([{pieces}])\n"
        exec(compile(text, f"<encoder of {record.__name__}>", "exec"), self._scope)  # noqa: S102 — see above
        return name

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._scope)}"
        self._scope[name] = value
        return name

    def _pieces(self, shape: Shape, value: str) -> str:
        """Expressions of bytes, with commas between them, for the value of an expression."""
        match shape:
            case Leaf(kind) if kind is str:
                return f"S[n] if (n := len(s := E({value}))) < {len(SMALL)} else L(n), s"
            case Leaf(kind) if kind is int:
                return f"S[x] if (x := {value}).__class__ is int and 0 <= x < {len(SMALL)} else L(x)"
            case Leaf(kind) if kind is bool:
                return f'b"\\1" if (x := {value}) is True else b"\\0" if x is False else W(x)'
            case Choice(options) if len(options) == 2 and None in options:
                null = options.index(None)
                some = next(option for option in options if option is not None)
                inner = self._pieces(some, "o")
                return f"{SMALL[null]!r} if (o := {value}) is None else J([{SMALL[1 - null]!r}, {inner}])"
            case Nested(record):
                return f"{self._function(record)}({value})"
            case _:
                return f"{self._constant(self._call(shape))}({value})"

    def _call(self, shape: Shape) -> Encode:  # noqa: PLR0911 — one return a shape
        match shape:
            case Scale():
                return _decimal(shape)
            case Words(words):
                return {word: text(word) for word in words}.__getitem__
            case Symbols(enum):
                return _symbol(enum)
            case Items(kind, item):
                return _items(kind, self.value(item))
            case Mapped(item):
                return _mapped(self.value(item))
            case Choice(options):
                return _choice([(_class(o), self.value(o)) for o in options])
            case Leaf(kind):
                return _LEAVES[kind]
            case Nested():
                return self.value(shape)

    def value(self, shape: Shape | None) -> Encode:
        """A function of one value; what it calls is looked up when it runs, so records may nest themselves."""
        pieces = 'b""' if shape is None else self._pieces(shape, "v")
        found: Encode = eval(f"lambda v: J([{pieces}])", self._scope)  # noqa: S307 — see above
        return found


def _refuse(value: Any) -> bytes:
    raise Unfit(value)


def _decimal(scale: Scale) -> Encode:
    context = Context(prec=scale.precision, traps=[Inexact, InvalidOperation, Overflow])
    quantize, scaleb, unit = context.quantize, context.scaleb, Decimal(1).scaleb(-scale.scale)
    places = Decimal(scale.scale)

    def encode(value: Decimal) -> bytes:
        if value.__class__ is not Decimal:
            raise Unfit
        data = integer_bytes(int(scaleb(quantize(value, unit), places)))
        return SMALL[len(data)] + data

    return encode


def _symbol(enum: type[Enum]) -> Encode:
    indices = {member.name: varint(place) for place, member in enumerate(enum)}
    return lambda value: indices[value._name_] if value.__class__ is enum else _refuse(value)


def _items(kind: type[Any], item: Encode) -> Encode:
    def encode(values: Any) -> bytes:
        if values.__class__ is not kind:
            raise Unfit
        parts: list[bytes] = [item(value) for value in values]
        return b"".join((varint(len(parts)), *parts, b"\0")) if parts else b"\0"

    return encode


def _mapped(item: Encode) -> Encode:
    def encode(values: Any) -> bytes:
        if values.__class__ is not dict:
            raise Unfit
        pairs = [text(key) + item(value) for key, value in values.items()]
        return b"".join((varint(len(pairs)), *pairs, b"\0")) if pairs else b"\0"

    return encode


def _class(option: Shape | None) -> type:
    return option.record if isinstance(option, Nested) else type(None)


def _choice(options: list[tuple[type, Encode]]) -> Encode:
    branches = {kind: (varint(place), encode) for place, (kind, encode) in enumerate(options)}

    def encode(value: Any) -> bytes:
        branch, inner = branches[value.__class__]
        return branch + inner(value)

    return encode


def _float(value: Any) -> bytes:
    if value.__class__ is not float and (value.__class__ is not int or abs(value) > 1 << 53):
        raise Unfit
    return _double(value)


def _bytes(value: Any) -> bytes:
    if value.__class__ is not bytes:
        raise Unfit
    return sized(value)


def _datetime(value: Any) -> bytes:
    if value.__class__ is not datetime:
        raise Unfit
    # Other zones are not looked up: two times that differ in `fold` only are equal there.
    return _utc(value) if value.tzinfo is UTC else _instant(value)


def _instant(value: datetime) -> bytes:
    since = value - EPOCH
    return varint((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds)


# The events of a command share its time, and commands their milliseconds.
_utc = lru_cache(4096)(_instant)


def _date(value: Any) -> bytes:
    if value.__class__ is not date:
        raise Unfit
    return varint(value.toordinal() - EPOCH_DAY)


def _uuid(value: Any) -> bytes:
    if value.__class__ is not UUID:
        raise Unfit
    return text(str(value))


_LEAVES: dict[type, Encode] = {
    float: _float,
    bytes: _bytes,
    datetime: _datetime,
    date: _date,
    UUID: _uuid,
}
