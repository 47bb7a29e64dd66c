"""What PostgreSQL's tables are like: every value as it was, columns that follow the row's class, errors that name."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from foldlog.contracts.exact_json import to_json
from foldlog.core.errors import AwayError, ConfigError, SinkError
from foldlog.core.record import Money, Record, replace
from foldlog.sinks.postgres_view import PostgresView
from foldlog.sinks.target import Applied, Change
from tests.adapters.kept import KINDS, Bank, Place, sink_of
from tests.cli.bank import Balance, Owner
from tests.contracts.specimen import Everything
from tests.contracts.values import everything

pytestmark = pytest.mark.adapters
POSTGRES = KINDS[0]
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def place(postgres: str) -> Place:
    return Place.at(postgres)


@pytest.fixture(scope="module")
def specimen(postgres: str) -> Iterator[PostgresView]:
    """A table with a column of every type; the tests put rows in as a sink would."""
    with closing(PostgresView(postgres, Place.at(postgres).name, "specimen", Everything)) as view:
        view.open()
        yield view


def put(view: PostgresView, *rows: tuple[str, Record | None]) -> None:
    changes = [Change(key, row, 0, number) for number, (key, row) in enumerate(rows)]
    view.apply(changes, Applied({0: len(rows)}, "id", NOW))


def fetched(place: Place, statement: str) -> list[Any]:
    with psycopg.connect(place.url) as connection:
        return connection.execute(statement).fetchall()


def columns(place: Place, table: str) -> dict[str, str]:
    with psycopg.connect(place.url) as connection:
        found = connection.execute(
            "SELECT column_name, data_type || case is_nullable when 'YES' then '?' else '' end"
            " FROM information_schema.columns WHERE (table_schema, table_name) = (%s, %s)",
            [place.name, table],
        ).fetchall()
    return dict(found)


def has_nul(record: Everything) -> bool:
    return "\\u0000" in json.dumps(to_json(replace(record, ratio=0.0)))


def expected(record: Everything) -> dict[str, Any]:
    """The row's values as psycopg gives them: nested ones as JSON, the others as they are."""
    as_json = to_json(replace(record, ratio=0.0))  # infinity is a double's own, and no number of JSON
    itself = (str, int, float, bool, bytes, Decimal, datetime, date, UUID)
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return {
        name: value if isinstance(value, itself) and name not in ("size", "colour") else as_json[name]
        for name, value in values.items()
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(everything.filter(lambda row: not has_nul(row)))
def test_every_value_is_in_its_column_as_it_was(specimen: PostgresView, row: Everything) -> None:
    put(specimen, ("key", None))
    put(specimen, ("key", row))
    schema = specimen.name.rpartition(" ")[2]
    url = specimen._session._url
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        (found,) = connection.execute(f"SELECT * FROM {schema}").fetchall()
    assert (found.pop("key"), found.pop("_offset")) == ("key", 0)
    assert found == expected(row)


def test_the_columns_are_those_of_the_row(specimen: PostgresView) -> None:
    schema = specimen.name.rpartition(" ")[2].partition(".")[0]
    assert columns(Place(specimen._session._url, schema), "specimen") == {
        "key": "text",
        "_offset": "bigint",
        "text": "text",
        "number": "bigint",
        "ratio": "double precision",
        "flag": "boolean",
        "raw": "bytea",
        "amount": "numeric",
        "rate": "numeric",
        "moment": "timestamp with time zone",
        "day": "date",
        "ident": "uuid",
        "colour": "text",
        "size": "text",
        "word": "text",
        "line": "jsonb",
        "lines": "jsonb",
        "tags": "jsonb",
        "prices": "jsonb",
        "discounts": "jsonb",
        "maybe": "text?",
        "payment": "jsonb",
        "refund": "jsonb?",
        "tree": "jsonb",
        "keyed": "jsonb",
    }


class Note(Record):
    text: str = ""
    tags: tuple[str, ...] = ()
    ratio: float = 0.0
    ratios: dict[str, float] = {}  # noqa: RUF012 — msgspec copies it


HOSTILE = [
    (("a", Note("x\0y")), r"^.*key 'a' \(partition 0, offset 1\), column text: a NUL character"),
    (("a", Note(tags=("x", "\0"))), r"key 'a' .*, column tags: a NUL character"),
    (("a", Note(ratios={"\0": 1.0})), r"key 'a' .*, column ratios: a NUL character"),
    (("a", Note(ratios={"x": math.nan})), r"key 'a' .*, column ratios: nan is no number"),
    (("a", Note(ratios={"x": -math.inf})), r"key 'a' .*, column ratios: -inf is no number"),
    (("a\0b", Note()), r"key 'a\\x00b' .*, column key: a NUL character"),
    (("k" * 3000, Note()), r"^key 'k{80}…' .*: PostgreSQL indexes keys of at most 2,600 bytes"),
]


@pytest.mark.parametrize(("hostile", "reason"), HOSTILE)
def test_a_value_that_postgres_cannot_hold_is_named_and_nothing_is_lost(
    place: Place, hostile: tuple[str, Note], reason: str
) -> None:
    with closing(PostgresView(place.url, place.name, "notes", Note)) as view:
        view.open()
        put(view, ("before", Note("1")))
        with pytest.raises(SinkError, match=reason):
            put(view, ("good", Note("2")), hostile)
        assert view.open().offsets == {0: 1}
        assert fetched(place, f"SELECT key FROM {place.name}.notes") == [("before",)]
        put(view, ("good", Note("2")), ("a", Note("mended")))
        assert fetched(place, f"SELECT count(*) FROM {place.name}.notes") == [(3,)]


def test_what_only_looks_hostile_is_held(place: Place) -> None:
    odd = Note("'; DROP TABLE notes; --\t\\N\n\\.\r", ("\\u0000", "\u2028", "é\U0001f600"), math.nan, {"%s": 1.0})
    with closing(PostgresView(place.url, place.name, "notes", Note)) as view:
        view.open()
        put(view, ("\\.", odd), ("huge", Note("x" * 1_000_000, ("y" * 1_000_000,))), ("k" * 2600, Note()))
        text, tags, ratio = fetched(place, f"SELECT text, tags, ratio FROM {place.name}.notes WHERE key = '\\.'")[0]
        assert (text, tuple(tags), math.isnan(ratio)) == (odd.text, odd.tags, True)
        huge = fetched(place, f"SELECT length(text), length(tags->>0) FROM {place.name}.notes WHERE key = 'huge'")
        assert huge == [(1_000_000, 1_000_000)]


def test_declared_columns_are_indexed_once(place: Place, bank: Bank) -> None:
    bank.change(("ada", Balance()))
    for _ in range(2):
        sink_of(POSTGRES, bank, place).run(once=True)
    indexes = fetched(place, f"SELECT indexname FROM pg_indexes WHERE schemaname = '{place.name}' ORDER BY 1")
    assert indexes == [("_foldlog_sinks_pkey",), ("balances_by_postings",), ("balances_pkey",)]
    with pytest.raises(SinkError, match="Balance has no field `owner` to index; it has key, _offset, amount"):
        PostgresView(place.url, place.name, "balances", Balance, ["owner"])


class First(Record):
    amount: Money
    old: int | None = None


class Second(Record):
    amount: Money
    old: int | None = None
    label: str = "it's new"
    since: date | None = None
    owners: tuple[Owner, ...] = (Owner("ada", 1),)


class Retyped(Record):
    amount: str


class Missing(Record):
    amount: Money
    needed: int
    old: int | None = None


class Shrunk(Record):
    old: int | None = None


def opened(place: Place, row: type[Record]) -> PostgresView:
    view = PostgresView(place.url, place.name, "rows", row)
    view.open()
    return view


def test_new_fields_become_columns_with_their_default(place: Place) -> None:
    with closing(opened(place, First)) as view:
        put(view, ("a", First(Decimal(1))))
    with closing(opened(place, Second)) as view:
        put(view, ("b", Second(Decimal(2), label="set")))
    rows = fetched(place, f"SELECT key, amount, label, since, owners FROM {place.name}.rows ORDER BY key")
    owners = [{"name": "ada", "share": 1}]
    assert rows == [("a", Decimal(1), "it's new", None, owners), ("b", Decimal(2), "set", None, owners)]


def test_columns_of_others_stay_where_they_may_be_empty(place: Place) -> None:
    with closing(opened(place, First)) as view:
        put(view, ("a", First(Decimal(1))))
    with psycopg.connect(place.url) as connection:
        connection.execute(
            f"ALTER TABLE {place.name}.rows ADD remark text, ADD twice numeric GENERATED ALWAYS AS (amount * 2) STORED"
        )
        connection.execute(f"UPDATE {place.name}.rows SET remark = 'ours'")
    with closing(opened(place, First)) as view:
        put(view, ("a", First(Decimal(3))))
    assert fetched(place, f"SELECT amount, remark, twice FROM {place.name}.rows") == [(3, "ours", 6)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Retyped, r"column amount is numeric\(18,2\), the row's field needs text: .* or add --rebuild"),
        (Missing, "the new field needed has no default for the rows that are there"),
        (Shrunk, "column amount is no field of Shrunk and cannot be null: drop it, or add --rebuild"),
    ],
)
def test_any_other_change_of_the_row_is_an_error_until_it_is_rebuilt(
    place: Place, row: type[Record], reason: str
) -> None:
    with closing(opened(place, First)) as view:
        put(view, ("a", First(Decimal(1))))
    view = PostgresView(place.url, place.name, "rows", row)
    with closing(view):
        with pytest.raises(SinkError, match=reason):
            view.open()
        assert fetched(place, f"SELECT key, amount FROM {place.name}.rows") == [("a", Decimal(1))]
        view.clear()
        assert view.open().offsets == {}


def test_a_table_that_was_dropped_is_filled_anew(place: Place, bank: Bank) -> None:
    bank.change(("ada", Balance()), ("bob", Balance()))
    sink_of(POSTGRES, bank, place).run(once=True)
    with psycopg.connect(place.url) as connection:
        connection.execute(f"DROP TABLE {place.name}.balances")
    sink_of(POSTGRES, bank, place).run(once=True)
    assert POSTGRES.rows(place) == bank.rows()


class Reserved(Record):
    _offset: int


class Lengthy(Record):
    a_name_that_is_far_too_long_for_postgresql_whose_names_end_after_63: int


class Keyed(Record):
    key: str
    word: Literal["a", "b"]


def test_names_that_postgres_cannot_have_are_refused(place: Place) -> None:
    with pytest.raises(SinkError, match=r"Reserved\._offset: the sink needs a column of that name"):
        PostgresView(place.url, place.name, "rows", Reserved)
    with pytest.raises(SinkError, match="names have at most 63 bytes"):
        PostgresView(place.url, place.name, "rows", Lengthy)
    with closing(opened(place, Keyed)) as view:
        put(view, ("a", Keyed("inner", "b")))
    assert fetched(place, f"SELECT _key, key, word FROM {place.name}.rows") == [("a", "inner", "b")]


def test_a_url_that_is_none_is_told_without_its_password(place: Place) -> None:
    with pytest.raises(ConfigError, match="URL cannot be read: write postgresql://"):
        PostgresView("http://me:secret@host/x", place.name, "rows", First)
    with pytest.raises(AwayError) as raised:
        PostgresView("postgresql://me:secret@127.0.0.1:1/x", place.name, "rows", First).open()
    assert str(raised.value).startswith("127.0.0.1:1/x ")
    assert "secret" not in str(raised.value)
