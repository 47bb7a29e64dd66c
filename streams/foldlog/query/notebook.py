"""Views as tables, in a line: what a notebook needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from foldlog.client.connection import Connection, connect
from foldlog.core.topology import Topology
from foldlog.kafka.reading import Progress
from foldlog.query import tables
from foldlog.query.arrow import arrow_schema
from foldlog.query.database import Database, named

if TYPE_CHECKING:
    from polars import DataFrame


def table(topology: Topology, view: str) -> pa.Table:
    """The rows of a view as a pyarrow Table, by key; the cluster is that of the settings.

    Raises ConfigError where there is no such view or topic, ContractError where a row cannot be read, ClusterError
    where there is no cluster.
    """
    with connect() as connection:
        return tables.table(connection, topology, view, _no_progress)


def polars(topology: Topology, view: str) -> "DataFrame":
    """The rows of a view as a polars DataFrame, by key; errors as in `table`."""
    from polars import DataFrame

    return DataFrame(table(topology, view))


def sql(topology: Topology, statement: str) -> pa.Table:
    """What a SELECT over the views of a topology gives; ConfigError where it is wrong, else as in `table`.

    Each view that the statement names is a table, `customers` or `orders.customers`.
    """
    with connect() as connection, loaded(connection, topology, statement) as database, database.checked():
        return database.query(statement).to_arrow_table()


@contextmanager
def loaded(
    connection: Connection, topology: Topology, statement: str, bar: tables.Bar | None = None
) -> Iterator[Database]:
    """A database with the views that a statement names."""
    database = Database(topology)
    try:
        database.parsed(statement)  # what is wrong is told before anything is read
        for name in named(statement, topology):
            view = tables.view_of(topology, name)
            with (bar or _no_bar)(f"reading {topology.name}.{name}") as progress:
                rows = tables.batches(connection, topology, view, progress)
                database.add(name, arrow_schema(view.row), rows)
        yield database
    finally:
        database.close()


def _no_progress(_done: int, _total: int) -> None:
    """Shows nothing."""


@contextmanager
def _no_bar(_text: str) -> Iterator[Progress]:
    yield _no_progress
