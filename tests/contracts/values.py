"""Hypothesis strategies for the specimen, and its values as fastavro wants them."""

from datetime import UTC, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from foldlog.contracts.shapes import Choice, Field, fields_of
from foldlog.core.record import Record
from tests.contracts.specimen import Card, Cash, Colour, Everything, Keyed, Line, Size, Sku, Tree

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
longs = st.integers(-(1 << 63), (1 << 63) - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda n: Decimal(f"{n}E-{scale}"))


money = decimals(18, 2)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
moments = st.datetimes(timezones=zones)
lines = st.builds(Line, texts.map(Sku), longs, money)
payments = st.builds(Card, texts) | st.builds(Cash)
trees = st.recursive(
    st.builds(Tree, longs),
    lambda inner: st.builds(Tree, longs, st.lists(inner, max_size=3).map(tuple)),
    max_leaves=8,
)
everything = st.builds(
    Everything,
    text=texts,
    number=longs,
    ratio=st.floats(allow_nan=False),
    flag=st.booleans(),
    raw=st.binary(max_size=300),
    amount=money,
    rate=decimals(38, 10),
    moment=moments,
    day=st.dates(),
    ident=st.uuids(),
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    word=st.sampled_from(["up", "down"]),
    line=lines,
    lines=st.lists(lines, max_size=5).map(tuple),
    tags=st.lists(texts, max_size=5),
    prices=st.dictionaries(texts, money, max_size=5),
    discounts=st.lists(st.none() | money, max_size=5).map(tuple),
    maybe=st.none() | texts,
    payment=payments,
    refund=st.none() | payments,
    tree=trees,
    keyed=st.builds(Keyed, first=texts, second=longs),
)


def native(record: Record, namespace: str) -> dict[str, Any]:
    """A record as fastavro's reader and writer have it: dicts, lists, symbols, unions of records tagged."""
    return {field.name: _native(field, getattr(record, field.name), namespace) for field in fields_of(type(record))}


def _native(field: Field, value: Any, namespace: str) -> Any:
    if isinstance(field.shape, Choice) and isinstance(value, Record):
        return f"{namespace}.{type(value).__name__}", native(value, namespace)
    return _plain(value, namespace)


def _plain(value: Any, namespace: str) -> Any:
    match value:
        case Record():
            return native(value, namespace)
        case Enum():
            return value.name
        case tuple() | list():
            return [_plain(inner, namespace) for inner in value]
        case dict():
            return {key: _plain(inner, namespace) for key, inner in value.items()}
        case _:
            return value
