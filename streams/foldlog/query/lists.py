"""A list of rows as a reader asks for it: filters, order and pages, as SQL over one view."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from foldlog.core.errors import QueryError
from foldlog.query.statements import quoted

MOST_CONDITIONS = 32
_COMPARED = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_TEXT = {"like": "LIKE", "ilike": "ILIKE"}
OPERATORS = (*_COMPARED, *_TEXT, "in", "null")


class Order(NamedTuple):
    """A column to sort by."""

    column: str
    descending: bool


class Listing(NamedTuple):
    """What is asked for; `cursor` is where the page before ended."""

    filters: Sequence[tuple[str, str]]
    sort: str
    columns: str
    limit: int
    offset: int
    cursor: str


class Listed(NamedTuple):
    """A listing as SQL; the values of `order`'s columns say where a page ends."""

    sql: str
    parameters: list[Any]
    order: tuple[Order, ...]


def listed(view: str, schema: pa.Schema, key: str, listing: Listing) -> Listed:
    """The SQL of a listing; QueryError names what is wrong."""
    order = _order(listing.sort, schema, key)
    conditions = [_condition(schema, name, text) for name, text in listing.filters]
    if len(conditions) > MOST_CONDITIONS:
        raise QueryError(f"at most {MOST_CONDITIONS} filters")
    if listing.cursor:
        conditions.append(_beyond(order, schema, listing.cursor))
    shown = _columns(listing.columns, schema, (key, *(each.column for each in order)))
    where = " AND ".join(sql for sql, _ in conditions)
    sql = f"SELECT {', '.join(map(quoted, shown))} FROM {quoted(view)}"  # noqa: S608 — every name is a column's
    sql += f" WHERE {where}" if where else ""
    sql += " ORDER BY " + ", ".join(
        f"{quoted(each.column)} {'DESC' if each.descending else 'ASC'} NULLS LAST" for each in order
    )
    sql += f" LIMIT {listing.limit} OFFSET {listing.offset}"
    return Listed(sql, [value for _, values in conditions for value in values], order)


def cursor_of(order: Iterable[Order], row: dict[str, Any]) -> str:
    """Where a page ends, for the next one to go on."""
    values = [None if row[each.column] is None else str(row[each.column]) for each in order]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def _column(schema: pa.Schema, name: str, *, scalar: bool) -> str:
    if name not in schema.names:
        raise QueryError(f"there is no column `{name}`; there are {', '.join(schema.names)}")
    kind = schema.field(name).type
    if scalar and (pa.types.is_nested(kind) or pa.types.is_binary(kind)):
        raise QueryError(f"column `{name}` cannot be sorted by or compared here: it is a {kind}; use SQL")
    return name


def _order(sort: str, schema: pa.Schema, key: str) -> tuple[Order, ...]:
    """The columns to sort by, made unique by the key at their end."""
    found = []
    for word in filter(None, sort.split(",")):
        name = word.removeprefix("-")
        found.append(Order(_column(schema, name, scalar=True), word != name))
    names = [each.column for each in found]
    if len(set(names)) < len(names):
        raise QueryError(f"sort: a column is named twice in `{sort}`")
    return tuple(found) if key in names else (*found, Order(key, descending=False))


def _columns(text: str, schema: pa.Schema, needed: Iterable[str]) -> list[str]:
    if not text:
        return list(schema.names)
    wanted = [_column(schema, name, scalar=False) for name in text.split(",")]
    return list(dict.fromkeys((*wanted, *needed)))


def _cast(schema: pa.Schema, name: str) -> str:
    """A parameter as a value of a column; text would be compared as text."""
    kind = schema.field(name).type
    if pa.types.is_decimal(kind):
        # One digit more each side, so that a value between two of the column's compares as what it is.
        return f"CAST(? AS DECIMAL({min(38, kind.precision + 6)}, {min(37, kind.scale + 3)}))"
    names = {
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        pa.date32(): "DATE",
    }
    return f"CAST(? AS {names.get(kind, 'TIMESTAMPTZ' if pa.types.is_timestamp(kind) else 'VARCHAR')})"


def _condition(schema: pa.Schema, name: str, text: str) -> tuple[str, list[Any]]:
    operator, _, value = text.partition(":")
    if operator not in OPERATORS:
        raise QueryError(f"{name}={text}: write OPERATOR:VALUE with one of {', '.join(OPERATORS)}")
    _column(schema, name, scalar=operator != "null")
    column, cast = quoted(name), _cast(schema, name)
    if operator == "null":
        if value not in ("true", "false"):
            raise QueryError(f"{name}={text}: write null:true or null:false")
        return f"{column} IS {'' if value == 'true' else 'NOT '}NULL", []
    if operator in _TEXT:
        if cast != "CAST(? AS VARCHAR)":
            raise QueryError(f"{name}={text}: column `{name}` is not text")
        return f"{column} {_TEXT[operator]} ?", [value]
    if operator == "in":
        values = value.split(",")
        return f"{column} IN ({', '.join([cast] * len(values))})", list(values)
    return f"{column} {_COMPARED[operator]} {cast}", [value]


def _beyond(order: Sequence[Order], schema: pa.Schema, cursor: str) -> tuple[str, list[Any]]:
    """The rows after the end of a page: greater in a column, equal in all before it; nulls come last."""
    values = _decoded(cursor, len(order))
    alternatives: list[str] = []
    parameters: list[Any] = []
    for number, each in enumerate(order):
        if values[number] is None:  # nothing is after a null
            continue
        column = quoted(each.column)
        later = f"({column} {'<' if each.descending else '>'} {_cast(schema, each.column)} OR {column} IS NULL)"
        equal = [f"{quoted(o.column)} IS NOT DISTINCT FROM {_cast(schema, o.column)}" for o in order[:number]]
        alternatives.append(" AND ".join((*equal, later)))
        parameters += [*values[:number], values[number]]
    return f"({' OR '.join(f'({each})' for each in alternatives)})", parameters


def _decoded(cursor: str, length: int) -> list[str | None]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        values = msgspec.json.decode(text, type=list[str | None])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise QueryError("cursor: is none that an answer gave") from error
    if len(values) != length or values[-1] is None:
        raise QueryError("cursor: is of another order; give the `sort` of the page before")
    return values
