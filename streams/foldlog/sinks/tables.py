"""A view's row as a PostgreSQL table: a column a field, after the key.

| annotation | PostgreSQL |
|---|---|
| str, Literal strings, Enum | text |
| int, float, bool, bytes | bigint, double precision, boolean, bytea |
| Annotated[Decimal, Scale(p, s)] | numeric(p,s) |
| datetime, date, UUID | timestamp with time zone, date, uuid |
| Record, tuple, list, dict, A \\| B of records | jsonb, as `contracts.exact_json` has it |
| T \\| None | T, which may be null |

`_offset` is the offset of the record that the row was in.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from foldlog.contracts.exact_json import symbols, writer
from foldlog.contracts.shapes import Choice, Field, Leaf, Shape, Symbols, Words, fields_of
from foldlog.core.errors import SinkError
from foldlog.core.record import Record, Scale
from foldlog.sinks.target import Change

OFFSET = "_offset"
LONGEST_NAME = 63  # bytes: longer ones are cut without an error
LONGEST_KEY = 2600  # bytes: an entry of a B-tree must fit a third of a page
MOST_DIGITS = 1000  # of a numeric with a precision

_LEAVES = {
    "str": "text",
    "int": "bigint",
    "float": "double precision",
    "bool": "boolean",
    "bytes": "bytea",
    "datetime": "timestamp with time zone",
    "date": "date",
    "UUID": "uuid",
}
Convert = Callable[[Any], Any]


class Column(NamedTuple):
    """A field's column; `convert` makes of a value what PostgreSQL takes, None where it takes the value itself."""

    field: Field
    type: str
    nullable: bool
    convert: Convert | None

    @property
    def name(self) -> str:
        """The column's name, which is the field's."""
        return self.field.name

    def taken(self, value: Any) -> Any:
        """A value as PostgreSQL takes it; ValueError where it cannot."""
        return value if value is None or self.convert is None else self.convert(value)


def key_column(record: type[Record]) -> str:
    """The name of the key's column: `key`, or `_key` where the record has a field of that name."""
    return "_key" if "key" in record.__struct_fields__ else "key"


@cache
def columns(record: type[Record]) -> tuple[Column, ...]:
    """The columns of a record's fields; SinkError names a field that PostgreSQL cannot have as a column."""
    reserved = {key_column(record), OFFSET}
    found = tuple(_column(field) for field in fields_of(record))
    for column in found:
        if column.name in reserved:
            raise SinkError(f"{record.__name__}.{column.name}: the sink needs a column of that name; rename the field")
        if len(column.name) > LONGEST_NAME:
            raise SinkError(
                f"{record.__name__}.{column.name}: PostgreSQL's names have at most {LONGEST_NAME} bytes; rename it"
            )
    return found


def values(record: type[Record], change: Change) -> list[Any]:
    """A change's key, offset and fields as PostgreSQL takes them; SinkError names key and column where it cannot."""
    if len(change.key.encode()) > LONGEST_KEY:
        raise SinkError(f"{change.place}: PostgreSQL indexes keys of at most {LONGEST_KEY:,} bytes")
    taken: list[Any] = [_checked(change, key_column(record), _text, change.key), change.offset]
    for column in columns(record):
        value = getattr(change.record, column.name)
        taken.append(value if column.convert is None else _checked(change, column.name, column.taken, value))
    return taken


def _checked(change: Change, name: str, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise SinkError(f"{change.place}, column {name}: {error}") from error


def _column(field: Field) -> Column:
    shape, nullable = field.shape, False
    if isinstance(shape, Choice):
        nullable = None in shape.options
        inner: Sequence[Shape] = [option for option in shape.options if option is not None]
        shape = inner[0] if len(inner) == 1 else shape
    return Column(field, *_type(shape, nullable))


def _type(shape: Shape, nullable: bool) -> tuple[str, bool, Convert | None]:
    match shape:
        case Leaf(kind) if kind is str:
            return "text", nullable, _text
        case Leaf(kind):
            return _LEAVES[kind.__name__], nullable, None
        case Words():
            return "text", nullable, None
        case Symbols(enum):
            return "text", nullable, symbols(enum).__getitem__
        case Scale(precision, scale):
            sized = precision <= MOST_DIGITS
            return f"numeric({precision},{scale})" if sized else "numeric", nullable, None
        case _:
            return "jsonb", nullable, jsonb(writer(shape))


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character cannot be in PostgreSQL's text")
    return value


def jsonb(write: Convert) -> Convert:
    """What makes of a value the text of PostgreSQL's jsonb; ValueError where that cannot say it."""

    def convert(value: Any) -> str:
        written = write(value)
        text = msgspec.json.encode(written).decode()
        if "\\u0000" in text and _has_nul(written):
            raise ValueError("a NUL character cannot be in PostgreSQL's jsonb")
        return text

    return convert


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_has_nul(inner) for pair in value.items() for inner in pair)
        case list():
            return any(map(_has_nul, value))
        case _:
            return False
