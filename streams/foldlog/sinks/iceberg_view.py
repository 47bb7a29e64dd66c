"""A view as an Iceberg table: each batch one commit that deletes its keys, adds its rows, and says how far it leads.

`foldlog` in a snapshot's summary says which sink made it, by which process, of which topic, up to which offsets: where
a table is rolled back, its offsets go back with its rows. A commit is made on condition that the snapshot before it is
still the table's, and is never tried again on another: so a process that was fenced changes nothing.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    RESTError,
    ServerError,
    ValidationError,
)
from pyiceberg.expressions import AlwaysTrue, In, Reference
from pyiceberg.table import Table, Transaction
from sqlalchemy.exc import SQLAlchemyError

from foldlog.core.errors import AwayError, ConfigError, FencedError, SinkError
from foldlog.core.record import Record
from foldlog.query.arrow import arrow_batch, arrow_schema, key_column
from foldlog.sinks.target import Applied, Change

_PORTION = 100_000  # rows added at once
_NEVER_AGAIN = {"commit.retry.num-retries": "0"}
_MADE_BY = "foldlog.sink"
_TIDY = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "20"}


class State(msgspec.Struct, frozen=True):
    """What the summary of a snapshot says, as JSON."""

    sink: str
    owner: str = ""
    topic: str | None = None
    at: datetime | None = None
    offsets: dict[int, int] = {}


class IcebergView:
    """The rows of one view in the table `namespace.table` of a catalog, named and with options as in pyiceberg."""

    def __init__(self, catalog: str, options: Mapping[str, str], table: str, sink: str, row: type[Record]) -> None:
        namespace, _, name = table.rpartition(".")
        if not namespace or not name:
            raise ConfigError(f"table `{table}`: write NAMESPACE.TABLE")
        self.name = f"{catalog} {table}"
        self._catalog_name, self._options, self._namespace, self._path = catalog, dict(options), namespace, table
        self._sink, self._row, self._owner = sink, row, uuid.uuid4().hex
        self._catalog: Catalog | None = None
        self._table: Table | None = None

    def open(self) -> Applied:
        """Makes or widens the table, takes it over, and tells how far it is."""
        self.close()
        with self._answering():
            state = State(self._sink)
            try:
                self._table = self._connected().load_table(self._path)
                state = self._state()
            except NoSuchTableError:
                self._connected().create_namespace_if_not_exists(self._namespace)
                schema, made = arrow_schema(self._row), {**_NEVER_AGAIN, **_TIDY, _MADE_BY: self._sink}
                self._table = self._connected().create_table(self._path, schema, properties=made)
            with self._transaction(state) as (transaction, summary):
                transaction.set_properties(_NEVER_AGAIN)
                self._widen(transaction)
                transaction.append(self._rows([]), summary)
        return Applied(state.offsets, state.topic, state.at)

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """One commit: the keys' rows go, and come as they are now."""
        rows = [(change.key, change.record) for change in changes if change.record is not None]
        with self._answering(), self._transaction(self._state_of(applied)) as (transaction, summary):
            if there := self._there({change.key for change in changes}):
                transaction.delete(In(Reference(key_column(self._row)), there), summary)  # type: ignore[call-arg, arg-type]
            transaction.append(self._rows(rows), summary)

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """Gathers the rows in memory; then one commit puts them in the place of those that are there."""
        applied, rows = Applied(), dict[str, Record]()
        for changes, applied in batches:  # noqa: B007 — the last one counts
            for change in changes:
                rows.pop(change.key, None)
                if change.record is not None:
                    rows[change.key] = change.record
        found = list(rows.items())
        with self._answering(), self._transaction(self._state_of(applied)) as (transaction, summary):
            if self._opened().scan().count():
                transaction.delete(AlwaysTrue(), summary)
            for first in range(0, max(1, len(found)), _PORTION):
                transaction.append(self._rows(found[first : first + _PORTION]), summary)

    def clear(self) -> None:
        """Drops the table with its files; SinkError where another has made it."""
        with self._answering():
            if self._connected().table_exists(self._path):
                self._table = self._connected().load_table(self._path)
                self._state()
                self._connected().purge_table(self._path)
        self.close()

    def close(self) -> None:
        """Ends the connections to the catalog."""
        if self._catalog is not None:
            self._catalog.close()
        self._catalog = self._table = None

    def _connected(self) -> Catalog:
        if self._catalog is None:
            try:
                self._catalog = load_catalog(self._catalog_name, **self._options)
            except (ValueError, ImportError) as error:
                raise ConfigError(f"Iceberg catalog {self._catalog_name}: {_line(error)}") from error
        return self._catalog

    def _state(self) -> State:
        """What the newest snapshot of a sink among those that led to this one says."""
        table = self._opened()
        snapshot = table.current_snapshot()
        while snapshot is not None:
            summary = snapshot.summary
            if summary is not None and (found := summary.additional_properties.get("foldlog")) is not None:
                state = msgspec.json.decode(found, type=State)
                if state.sink != self._sink:
                    raise SinkError(f"{self.name} holds {state.sink}, not {self._sink}: choose another table")
                return state
            parent = snapshot.parent_snapshot_id
            snapshot = None if parent is None else table.snapshot_by_id(parent)
        if table.current_snapshot() is None and table.properties.get(_MADE_BY) == self._sink:
            return State(self._sink)  # made, and killed before the first commit
        raise SinkError(f"{self.name}: no snapshot of it was made by the sink of {self._sink}: choose another table")

    def _state_of(self, applied: Applied) -> State:
        return State(self._sink, "", applied.topic, applied.at, dict(applied.offsets))

    @contextmanager
    def _transaction(self, state: State) -> Iterator[tuple[Transaction, dict[str, str]]]:
        """One commit with the state in each snapshot; FencedError where another process owns the table now."""
        owned = msgspec.structs.replace(state, owner=self._owner)
        table = self._opened()
        try:
            with table.transaction() as transaction:
                yield transaction, {"foldlog": msgspec.json.encode(owned).decode()}
        except CommitFailedException as error:
            table.refresh()
            if self._state().owner not in ("", self._owner):
                raise FencedError(f"{self.name}: another process fills it now, so this one ends") from error
            raise AwayError(f"{self.name}: somebody else has changed it: {_line(error)}") from error

    def _widen(self, transaction: Transaction) -> None:
        try:
            with transaction.update_schema() as update:
                update.union_by_name(arrow_schema(self._row))
        except (ValidationError, ValueError, TypeError) as error:
            raise SinkError(
                f"{self.name}: {_line(error)}: give the field another name, or add --rebuild to make the table anew"
            ) from error

    def _rows(self, rows: Sequence[tuple[str, Record]]) -> pa.Table:
        return pa.Table.from_batches([arrow_batch(self._row, rows)])

    def _there(self, keys: set[str]) -> set[str]:
        """Those of the keys that the table has: to look for others in a delete costs more than to read the column."""
        column = key_column(self._row)
        found = set[str]()
        if keys:
            wanted = pa.array(sorted(keys), pa.string())
            for batch in self._opened().scan(selected_fields=(column,)).to_arrow_batch_reader():
                there = batch.column(column).cast(pa.string())
                found.update(there.filter(pa.compute.is_in(there, wanted)).to_pylist())
        return found

    def _opened(self) -> Table:
        assert self._table is not None
        return self._table

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns a failure of the catalog or its files into AwayError, or SinkError where it would fail again."""
        try:
            yield
        except (OSError, SQLAlchemyError, ServerError, CommitStateUnknownException, CommitFailedException) as error:
            raise AwayError(f"{self.name}: {_line(error)}") from error
        except (RESTError, ValueError, TypeError, msgspec.DecodeError) as error:
            raise SinkError(f"{self.name}: {_line(error)}") from error


def _line(error: BaseException) -> Any:
    return " ".join(str(error).split())[:300]
