"""A table of Iceberg: what counts is what was committed, offsets and rows at once."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Transaction

from foldlog.core.errors import AwayError, ConfigError, FencedError, SinkError
from foldlog.core.record import Record
from foldlog.sinks.iceberg_view import IcebergView
from foldlog.sinks.target import Applied, Change
from tests.contracts.specimen import Everything
from tests.sinks.rows import Retyped, Row, Wider

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TABLE = "bank.rows"


def lake(at: Path) -> dict[str, str]:
    return {"uri": f"sqlite:///{at}/catalog.db", "warehouse": f"file://{at}/warehouse"}


def view_of(at: Path, row: type[Record] = Row, sink: str = TABLE) -> IcebergView:
    return IcebergView("lake", lake(at), TABLE, sink, row)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[IcebergView]:
    with closing(view_of(tmp_path)) as view:
        view.open()
        yield view


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(load_catalog("lake", **lake(tmp_path))) as catalog:
        yield catalog


def put(view: IcebergView, offset: int, *rows: tuple[str, Record | None]) -> None:
    changes = [Change(key, row, 1, offset + number) for number, (key, row) in enumerate(rows)]
    view.apply(changes, Applied({1: offset + len(rows)}, "topic@id", NOW))


def rows(catalog: Catalog) -> dict[str, Any]:
    found = catalog.load_table(TABLE).scan().to_arrow().to_pylist()
    assert len({row["key"] for row in found}) == len(found)
    return {row.pop("key"): row for row in found}


def test_rows_are_changed_and_deleted_with_the_offsets(view: IcebergView, catalog: Catalog) -> None:
    put(view, 0, ("ada", Row(Decimal("1.50"), ("a",))), ("bob", Row(Decimal(2))), ("it's", Row(Decimal(4))))
    put(view, 3, ("ada", Row(Decimal(3))), ("bob", None), ("eve", None))
    expected = {"ada": {"amount": Decimal("3.00"), "tags": []}, "it's": {"amount": Decimal("4.00"), "tags": []}}
    assert rows(catalog) == expected
    found = catalog.load_table(TABLE).scan().to_arrow()
    with duckdb.connect() as connection:
        connection.register("found", found)
        assert connection.execute("SELECT count(*), sum(amount) FROM found").fetchone() == (2, Decimal("7.00"))
    put(view, 6)
    assert view.open() == Applied({1: 6}, "topic@id", NOW)


@pytest.mark.parametrize("step", ["append", "delete", "commit_transaction"])
def test_what_was_not_committed_does_not_count(
    view: IcebergView, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(view, 0, ("ada", Row(Decimal(1))))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, step, killed)
        with pytest.raises(KeyboardInterrupt):
            put(view, 1, ("ada", Row(Decimal(2))))
    assert rows(catalog)["ada"]["amount"] == Decimal("1.00")
    assert view.open().offsets == {1: 1}
    put(view, 1, ("ada", Row(Decimal(2))))
    assert rows(catalog)["ada"]["amount"] == Decimal("2.00")


def test_a_generation_takes_the_place_of_all_rows(view: IcebergView, catalog: Catalog) -> None:
    put(view, 0, ("ada", Row(Decimal(1))), ("bob", Row(Decimal(2))))
    first = [Change("eve", Row(Decimal(3)), 0, 0), Change("ada", Row(Decimal(4)), 0, 1)], Applied({0: 2}, "t@2", NOW)
    second = [Change("eve", None, 0, 2)], Applied({0: 3}, "t@2", NOW)
    view.renew([first, second])
    assert {key: row["amount"] for key, row in rows(catalog).items()} == {"ada": Decimal("4.00")}
    assert view.open() == Applied({0: 3}, "t@2", NOW)
    view.renew([([], Applied({0: 4}, "t@3", NOW))])
    assert rows(catalog) == {}


def test_new_fields_are_new_columns_and_other_types_are_an_error(
    view: IcebergView, catalog: Catalog, tmp_path: Path
) -> None:
    put(view, 0, ("ada", Row(Decimal(1))))
    with closing(view_of(tmp_path, Wider)) as wider:
        wider.open()
        put(wider, 1, ("bob", Wider(Decimal(2))))
    assert {key: row["label"] for key, row in rows(catalog).items()} == {"ada": None, "bob": "new"}
    with closing(view_of(tmp_path, Retyped)) as retyped:
        with pytest.raises(SinkError, match=r"amount: decimal\(18, 2\) -> string: .*add --rebuild"):
            retyped.open()
        retyped.clear()
        assert retyped.open().offsets == {}
    assert rows(catalog) == {}


def test_every_type_has_a_column(tmp_path: Path) -> None:
    with closing(view_of(tmp_path, Everything)) as view:
        assert view.open() == Applied()


def test_the_younger_process_takes_over(view: IcebergView, catalog: Catalog, tmp_path: Path) -> None:
    put(view, 0, ("ada", Row(Decimal(1))))
    with closing(view_of(tmp_path)) as younger:
        assert younger.open().offsets == {1: 1}
        with pytest.raises(FencedError, match="another process fills it now"):
            put(view, 1, ("ada", Row(Decimal(2))))
        put(younger, 1, ("ada", Row(Decimal(3))))
    assert rows(catalog)["ada"]["amount"] == Decimal("3.00")


def test_a_commit_of_somebody_else_is_looked_at_first(view: IcebergView, catalog: Catalog) -> None:
    put(view, 0, ("ada", Row(Decimal(1))))
    table = catalog.load_table(TABLE)
    table.append(table.scan().to_arrow().slice(0, 0))
    with pytest.raises(AwayError, match="somebody else has changed it"):
        put(view, 1, ("ada", Row(Decimal(2))))
    assert view.open().offsets == {1: 1}
    put(view, 1, ("ada", Row(Decimal(2))))
    assert rows(catalog)["ada"]["amount"] == Decimal("2.00")


def test_tables_of_others_are_refused_and_stay(view: IcebergView, catalog: Catalog, tmp_path: Path) -> None:
    put(view, 0, ("ada", Row(Decimal(1))))
    with closing(view_of(tmp_path, sink="bank.others")) as other:
        for act in (other.open, other.clear):
            with pytest.raises(SinkError, match=r"holds bank\.rows, not bank\.others: choose another table"):
                act()
    catalog.create_table("bank.foreign", catalog.load_table(TABLE).schema())
    with closing(IcebergView("lake", lake(tmp_path), "bank.foreign", TABLE, Row)) as foreign:
        for act in (foreign.open, foreign.clear):
            with pytest.raises(SinkError, match="no snapshot of it was made by the sink"):
                act()
    assert catalog.table_exists("bank.foreign")


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({}, ConfigError, "URI missing"),
        ({"uri": "nonsense"}, ConfigError, "Could not infer the catalog type"),
        ({"uri": "sqlite:////nowhere/catalog.db"}, AwayError, "unable to open database file"),
        ({"uri": "http://127.0.0.1:1"}, AwayError, "Connection refused"),
        ({"uri": "sqlite://"}, SinkError, "No default path is set"),
    ],
)
def test_catalogs_that_are_none(options: dict[str, str], error: type[Exception], reason: str) -> None:
    with closing(IcebergView("lake", options, TABLE, TABLE, Row)) as view, pytest.raises(error, match=reason):
        view.open()


@pytest.mark.parametrize("table", ["", "rows", ".rows", "bank."])
def test_a_table_needs_a_namespace(table: str) -> None:
    with pytest.raises(ConfigError, match=r"write NAMESPACE\.TABLE"):
        IcebergView("lake", {}, table, TABLE, Row)
