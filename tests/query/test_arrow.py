"""Rows become Arrow columns: no value is changed, whatever its type, on the way to DuckDB, polars and Parquet."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core.errors import ContractError
from foldlog.core.record import Record, Scale
from foldlog.query.arrow import arrow_batch, arrow_schema, key_column
from tests.contracts.specimen import Card, Cash, Colour, Everything, Size
from tests.contracts.values import everything, texts

pairs = st.lists(st.tuples(texts, st.none() | everything), max_size=3)


def expected(value: Any) -> Any:  # noqa: PLR0911 — one return a type
    """What a reader of Arrow gets for a value, told by the value alone."""
    match value:
        case Record():
            return {name: expected(getattr(value, name)) for name in value.__struct_fields__}
        case Size():
            return value.value
        case Enum():
            return value.name
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC)
        case list() | tuple():
            return [expected(inner) for inner in value]
        case dict():
            return [(name, expected(inner)) for name, inner in value.items()]
        case _:
            return value


def tagged(value: Card | Cash | None) -> dict[str, Any] | None:
    match value:
        case Card(number):
            return {"type": "Card", "Card": {"number": number}}
        case Cash():
            return {"type": "Cash", "Card": None}
        case None:
            return None


def row(key: str, record: Everything | None) -> dict[str, Any]:
    if record is None:
        return {"key": key, **dict.fromkeys(Everything.__struct_fields__)}
    unions = {"payment": tagged(record.payment), "refund": tagged(record.refund)}
    return {"key": key, **expected(record), **unions}


@settings(deadline=None)
@given(pairs)
def test_every_value_is_in_its_column_as_it_was(rows: list[tuple[str, Everything | None]]) -> None:
    batch = arrow_batch(Everything, rows)
    batch.validate(full=True)
    assert batch.schema == arrow_schema(Everything)
    found = batch.to_pylist()
    for tree in (one["tree"] for one in found if one["tree"]):
        tree["children"] = [json.loads(child) for child in tree["children"]]
    assert found == [row(key, record) for key, record in rows]


@settings(max_examples=25, deadline=None)
@given(pairs)
def test_parquet_duckdb_and_polars_have_the_same_rows(rows: list[tuple[str, Everything | None]]) -> None:
    written, file = pa.Table.from_batches([arrow_batch(Everything, rows)]), io.BytesIO()
    pq.write_table(written, file)
    assert pq.read_table(io.BytesIO(file.getvalue())).equals(written)
    with duckdb.connect() as connection:
        connection.register("written", written)
        assert connection.sql("select * from written").to_arrow_table().to_pylist() == written.to_pylist()
    assert polars.DataFrame(written)["amount"].to_list() == written.column("amount").to_pylist()


def test_a_column_has_the_type_that_its_annotation_says() -> None:
    with duckdb.connect() as connection:
        connection.register("empty", arrow_schema(Everything).empty_table())
        types = dict(connection.execute("select column_name, column_type from (describe empty)").fetchall())
    assert types == {
        "key": "VARCHAR",
        "text": "VARCHAR",
        "number": "BIGINT",
        "ratio": "DOUBLE",
        "flag": "BOOLEAN",
        "raw": "BLOB",
        "amount": "DECIMAL(18,2)",
        "rate": "DECIMAL(38,10)",
        "moment": "TIMESTAMP WITH TIME ZONE",
        "day": "DATE",
        "ident": "VARCHAR",
        "colour": "VARCHAR",
        "size": "VARCHAR",
        "word": "VARCHAR",
        "line": "STRUCT(sku VARCHAR, quantity BIGINT, price DECIMAL(18,2))",
        "lines": "STRUCT(sku VARCHAR, quantity BIGINT, price DECIMAL(18,2))[]",
        "tags": "VARCHAR[]",
        "prices": "MAP(VARCHAR, DECIMAL(18,2))",
        "discounts": "DECIMAL(18,2)[]",
        "maybe": "VARCHAR",
        "payment": 'STRUCT("type" VARCHAR, Card STRUCT(number VARCHAR))',
        "refund": 'STRUCT("type" VARCHAR, Card STRUCT(number VARCHAR))',
        "tree": 'STRUCT("value" BIGINT, children VARCHAR[])',
        "keyed": 'STRUCT("first" VARCHAR, "second" BIGINT)',
    }


class Exact(Record):
    digits: Annotated[Decimal, Scale(60, 10)]
    empty: Cash
    colours: dict[str, Colour]


def test_what_arrow_cannot_say_is_text() -> None:
    row = Exact(Decimal(10) ** 49, Cash(), {"sky": Colour.RED})
    batch = arrow_batch(Exact, [("a", row)])
    assert batch.to_pylist() == [{"key": "a", "digits": f"1{'0' * 49}", "empty": "{}", "colours": [("sky", "RED")]}]


class Key(Record):
    Key: str


class Keys(Record):
    key: str
    _key: str


@pytest.mark.parametrize(("record", "name"), [(Card, "key"), (Key, "_key"), (Keys, "__key")])
def test_the_key_gives_way_to_a_field_of_its_name(record: type[Record], name: str) -> None:
    assert key_column(record) == name
    assert arrow_schema(record).names[0] == name


class Type(Record):
    since: date


class Either(Record):
    one: Type | Card


def test_the_tag_of_a_union_gives_way_to_a_record_of_its_name() -> None:
    day = date(2026, 1, 2)
    found = arrow_batch(Either, [("a", Either(Type(day)))]).column("one").to_pylist()
    assert found == [{"_type": "Type", "Type": {"since": day}, "Card": None}]


class Wrong(Record):
    flags: set[str]
    word: Literal["a"]


def test_a_field_without_an_avro_type_is_named() -> None:
    with pytest.raises(ContractError, match=r"^Wrong\.flags: set\[str\] has no Avro type"):
        arrow_schema(Wrong)
