"""Avro schemas derived from records: Apache Avro 1.12 specification, https://avro.apache.org/docs/1.12.0/specification/

| annotation | Avro |
|---|---|
| str, Literal strings | string |
| int, float, bool, bytes | long, double, boolean, bytes |
| Annotated[Decimal, Scale(p, s)] | bytes, logical type decimal(p, s) |
| datetime, date, UUID | long timestamp-micros (UTC), int date, string uuid |
| Enum | enum of the members' names; its default is UNKNOWN where the enum has that member |
| Record | record in the namespace of the contract |
| tuple[T, ...], list[T]; dict[str, T] | array; map |
| T \\| None | ["null", T] default null; [T, "null"] where the field's default is a T |
| A \\| B of records | union of the named records, the default's first |
"""

from datetime import UTC, date, datetime, timedelta
from decimal import MAX_PREC, Context, Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from foldlog.contracts.faults import fault
from foldlog.contracts.shapes import (
    Choice,
    Field,
    Items,
    Leaf,
    Mapped,
    Nested,
    Shape,
    Symbols,
    Words,
    fields_of,
)
from foldlog.core.contract import Contract
from foldlog.core.errors import ContractError
from foldlog.core.record import Record, Scale

Schema = dict[str, Any]

ENGINE = "foldlog"
UNKNOWN = "UNKNOWN"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
MICROSECOND = timedelta(microseconds=1)
_LEAVES: dict[type, str | Schema] = {
    str: "string",
    int: "long",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
    date: {"type": "int", "logicalType": "date"},
    UUID: {"type": "string", "logicalType": "uuid"},
}


def schema_of(contract: Contract) -> Schema:
    """The Avro schema of a contract, as plain JSON; the engine's envelope is the last field.

    Raises ContractError naming the record and field that Avro cannot say.
    """
    names = _Names(contract.namespace)
    schema: Schema = names.defined(contract.record)
    if contract.envelope is not None:
        name, kind = contract.envelope
        if any(field["name"] == name for field in schema["fields"]):
            raise ContractError(f"{contract.name}.{name}: the engine adds a field of that name; use another")
        schema["fields"].append({"name": name, "type": engine_contract_schema(kind)})
    return schema


def engine_contract_schema(record: type[Record]) -> Schema:
    """The Avro schema of a record that the engine owns, `foldlog.Reply` or `foldlog.DeadLetter`."""
    return _Names(ENGINE).defined(record)


class _Names:
    """The named types of one schema: each is defined where it is met first, and named after that."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._known: dict[str, type] = {}

    def defined(self, record: type[Record]) -> Schema:
        """The definition of a record, its own name known from here on."""
        self._known[record.__name__] = record
        fields = [self._field(record, field) for field in fields_of(record)]
        head = {"type": "record", "name": record.__name__, "namespace": self._namespace}
        return {**head, **_doc(record), "fields": fields}

    def _field(self, record: type[Record], field: Field) -> Schema:
        schema = {"name": field.name, "type": self._type(field.shape)}
        if not field.required:
            place = f"the default of {record.__name__}.{field.name}"
            return {**schema, "default": stated(field.shape, field.fresh(), place)}
        optional = isinstance(field.shape, Choice) and field.shape.options[0] is None
        return {**schema, "default": None} if optional else schema

    def _type(self, shape: Shape | None) -> Any:  # noqa: PLR0911 — one return a shape
        match shape:
            case None:
                return "null"
            case Leaf(kind):
                return _LEAVES[kind]
            case Words():
                return "string"
            case Scale(precision, scale):
                return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            case Items(_, item):
                return {"type": "array", "items": self._type(item)}
            case Mapped(item):
                return {"type": "map", "values": self._type(item)}
            case Choice(options):
                return [self._type(option) for option in options]
            case Nested(record):
                return self._met(record) or self.defined(record)
            case Symbols(enum):
                return self._met(enum) or self._enum(enum)

    def _met(self, kind: type) -> str | None:
        if kind.__name__ not in self._known:
            return None
        if self._known[kind.__name__] is not kind:
            raise ContractError(f"{self._namespace}.{kind.__name__} names two types in one schema: rename one")
        return f"{self._namespace}.{kind.__name__}"

    def _enum(self, enum: type[Enum]) -> Schema:
        self._known[enum.__name__] = enum
        head = {"type": "enum", "name": enum.__name__, "namespace": self._namespace}
        # A reader takes this one for a symbol that it does not know; without it the enum is closed.
        symbols = [member.name for member in enum]
        default = {"default": UNKNOWN} if UNKNOWN in symbols else {}
        return {**head, **_doc(enum), "symbols": symbols, **default}


def _doc(kind: type) -> dict[str, str]:
    text = kind.__dict__.get("__doc__")
    return {"doc": text.strip().splitlines()[0]} if text and text.strip() else {}


def stated(shape: Shape | None, value: Any, place: str) -> Any:  # noqa: PLR0911 — one return a shape
    """A default as Avro states it in JSON; ContractError where it does not fit its type."""
    found = None if shape is None else fault(shape, value)
    if found is not None:
        raise ContractError(f"{place}{found}")
    match shape:
        case Choice(options):
            return _stated_choice(options, value, place)
        case Items(_, item):
            return [stated(item, inner, place) for inner in value]
        case Mapped(item):
            return {key: stated(item, inner, place) for key, inner in value.items()}
        case Nested(record):
            return {f.name: stated(f.shape, getattr(value, f.name), place) for f in fields_of(record)}
        case Symbols():
            return value.name
        case Scale(scale=scale):
            return integer_bytes(unscaled(value, scale)).decode("latin-1")
        case _:
            return _stated_leaf(value)


def _stated_choice(options: tuple[Shape | None, ...], value: Any, place: str) -> Any:
    first = options[0]
    fits = value is None if first is None else value is not None and fault(first, value) is None
    if not fits:
        raise ContractError(f"{place}: Avro states a default by a union's first branch only; leave it out")
    return None if first is None else stated(first, value, place)


def _stated_leaf(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode("latin-1")
        case datetime():
            return (value - EPOCH) // MICROSECOND
        case date():
            return value.toordinal() - EPOCH_DAY
        case UUID():
            return str(value)
        case _:
            return value


def unscaled(value: Decimal, scale: int) -> int:
    """The integer that a decimal is at a scale; the value must fit it."""
    return int(value.scaleb(scale, Context(prec=MAX_PREC)))


def integer_bytes(number: int) -> bytes:
    """An integer in two's complement, big-endian, as short as can be."""
    length = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return number.to_bytes(length, "big", signed=True)
