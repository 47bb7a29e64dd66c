"""Rows as Arrow: one column a field, the row's key first.

| annotation | Arrow | DuckDB |
|---|---|---|
| str, Literal strings, UUID | string | VARCHAR |
| int, float, bool, bytes | int64, double, bool, binary | BIGINT, DOUBLE, BOOLEAN, BLOB |
| Annotated[Decimal, Scale(p, s)] | decimal128(p, s) | DECIMAL(p, s) |
| datetime, date | timestamp(us, UTC), date32 | TIMESTAMP WITH TIME ZONE, DATE |
| Enum | string: the value of an enum of strings, else the member's name | VARCHAR |
| Record | struct | STRUCT |
| tuple[T, ...], list[T]; dict[str, T] | list; map(string, T) | LIST; MAP |
| T \\| None | T | T |
| A \\| B of records | struct: `type`, and a struct for each record that has fields; one of them is set | STRUCT |

What Arrow cannot say is text: a decimal of more than 38 digits as its digits, a record that contains itself or has no
field as JSON. An enum's column stays text when the enum gets another member.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from foldlog.contracts.shapes import Choice, Items, Leaf, Mapped, Nested, Shape, Symbols, Words, fields_of
from foldlog.core.record import Record, Scale

_MOST_DIGITS = 38  # of Arrow's 128 bits, and of DuckDB's decimals
_LEAVES = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "bytes": pa.binary(),
    "datetime": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}


class Column(NamedTuple):
    """A field's Arrow type, and what makes a value of it what Arrow takes; None where it takes the value itself."""

    name: str
    type: pa.DataType
    convert: Callable[[Any], Any] | None = None

    def taken(self, value: Any) -> Any:
        """A value as Arrow takes it."""
        return value if value is None or self.convert is None else self.convert(value)


def key_column(record: type[Record]) -> str:
    """The name of the key's column: `key`, or `_key` where the record has a field of that name."""
    return free_column(record, "key")


def free_column(record: type[Record], name: str) -> str:
    """The name for a column beside the record's own: with so many `_` before it that no field has it.

    SQL does not tell upper from lower case, so neither is told here.
    """
    names = {field.name.lower() for field in fields_of(record)}
    return next(free for free in ("_" * count + name for count in range(len(names) + 1)) if free not in names)


def arrow_schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of a view's rows: the key, never null, then the fields in order."""
    key = pa.field(key_column(record), pa.string(), nullable=False)
    return pa.schema([key, *(pa.field(column.name, column.type) for column in columns(record))])


def arrow_batch(record: type[Record], rows: Sequence[tuple[str, Record | None]]) -> pa.RecordBatch:
    """Rows with their keys as one batch of `arrow_schema`; of a deleted row, None, only the key is set."""
    arrays = [pa.array([key for key, _ in rows], pa.string())]
    for name, kind, convert in columns(record):
        values = [None if row is None else getattr(row, name) for _, row in rows]
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        arrays.append(pa.array(values, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(record))


@cache
def columns(record: type[Record]) -> tuple[Column, ...]:
    """The columns of a record's fields; ContractError where a field has no Avro type."""
    return _columns(record, frozenset())


def _columns(record: type[Record], outer: frozenset[type]) -> tuple[Column, ...]:
    inside = outer | {record}
    return tuple(_column(field.name, field.shape, inside) for field in fields_of(record))


def _column(name: str, shape: Shape, outer: frozenset[type]) -> Column:  # noqa: PLR0911 — one return a shape
    match shape:
        case Leaf(kind):
            return Column(name, _LEAVES[kind.__name__]) if kind.__name__ in _LEAVES else Column(name, pa.string(), str)
        case Words():
            return Column(name, pa.string())
        case Scale(precision, scale) if precision <= _MOST_DIGITS:
            return Column(name, pa.decimal128(precision, scale))
        case Scale():
            return Column(name, pa.string(), _digits)
        case Symbols(enum):
            return Column(name, pa.string(), _symbols(enum).__getitem__)
        case Items(_, item):
            return _list(name, _column("item", item, outer))
        case Mapped(item):
            return _map(name, _column("value", item, outer))
        case Nested(record):
            return _struct(name, record, outer)
        case Choice(options):
            return _choice(name, [option for option in options if option is not None], outer)


def _list(name: str, item: Column) -> Column:
    kind, convert = pa.list_(item.type), item.taken
    return Column(name, kind, None if item.convert is None else lambda values: [convert(value) for value in values])


def _map(name: str, item: Column) -> Column:
    convert = item.taken
    return Column(
        name, pa.map_(pa.string(), item.type), lambda values: [(key, convert(value)) for key, value in values.items()]
    )


def _struct(name: str, record: type[Record], outer: frozenset[type]) -> Column:
    """A record's fields; JSON where it would have no end or no field."""
    inner = () if record in outer else _columns(record, outer)
    if not inner:
        return Column(name, pa.string(), _json)
    parts = [(column.name, column.taken) for column in inner]
    return Column(
        name,
        pa.struct([(column.name, column.type) for column in inner]),
        lambda value: {name: taken(getattr(value, name)) for name, taken in parts},
    )


def _choice(name: str, options: list[Shape], outer: frozenset[type]) -> Column:
    """An optional value as the value; one of several records as a struct that says which."""
    if len(options) == 1:
        return _column(name, options[0], outer)
    records = [option.record for option in options if isinstance(option, Nested)]
    tag = next(tag for tag in ("type", "_type", "__type") if tag not in {record.__name__.lower() for record in records})
    parts = {record.__name__: _struct(record.__name__, record, outer) for record in records if fields_of(record)}

    def convert(value: Record) -> dict[str, Any]:
        which = type(value).__name__
        return {tag: which, which: parts[which].taken(value)} if which in parts else {tag: which}

    inner = [(tag, pa.string()), *((part, column.type) for part, column in parts.items())]
    return Column(name, pa.struct(inner), convert)


def _symbols(enum: type[Enum]) -> dict[Enum, str]:
    by_value = all(isinstance(member.value, str) for member in enum)
    return {member: str(member.value) if by_value else member.name for member in enum}


def _digits(value: Decimal) -> str:
    return format(value, "f")


def _json(value: Record) -> str:
    return msgspec.json.encode(value).decode()
