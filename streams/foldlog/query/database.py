"""Views as tables of a DuckDB in memory."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation, StatementType

from foldlog.core.errors import ConfigError
from foldlog.core.topology import Topology
from foldlog.query.confined import ALONE

_QUERIES = (StatementType.SELECT, StatementType.EXPLAIN, StatementType.MULTI)  # several: PIVOT
_KIND = re.compile(r"^\w+ ?\w* Error: ")
_INCOMING = "incoming rows"  # no view's name has a blank


class Database:
    """Tables named `view` and `context.view`, and the one statement that is run over them; times are UTC."""

    def __init__(self, topology: Topology) -> None:
        self._views = sorted(view.name for view in topology.views)
        self._context = topology.name
        # By default what does not fit into memory lies in the working directory, and stays there after a crash.
        self._spill = tempfile.TemporaryDirectory(prefix="foldlog-sql-", ignore_cleanup_errors=True)
        config = {**ALONE, "temp_directory": self._spill.name}
        self._connection: DuckDBPyConnection = duckdb.connect(":memory:", config=config)
        self._connection.execute(f'create schema if not exists "{self._context}"')
        self._connection.execute(f"set search_path = '\"{self._context}\",main'")
        self._connection.execute("set timezone = 'UTC'")

    def add(self, view: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Makes the table of a view."""
        name = f'"{self._context}"."{view}"'
        self._take(f"create table {name} as from", pa.Table.from_batches([], schema))
        for batch in batches:
            self._take(f"insert into {name} from", pa.Table.from_batches([batch]))

    def parsed(self, statement: str) -> str:
        """The one query of a text; ConfigError where it is not one."""
        with self.checked():
            try:
                parts = self._connection.extract_statements(statement)
            except TypeError as error:  # it has a lone surrogate
                raise ConfigError("SQL: the query is not UTF-8") from error
        if len(parts) != 1:
            raise ConfigError(f"SQL: one statement is run at a time; here are {len(parts) or 'none'}")
        if parts[0].type not in _QUERIES:
            kind = parts[0].type.name
            raise ConfigError(f"SQL: {kind} is no query; views change by events alone, so there is SELECT alone")
        return parts[0].query

    def query(self, statement: str) -> DuckDBPyRelation:
        """What a query gives; ConfigError where it is wrong."""
        with self.checked():
            return self._connection.sql(self.parsed(statement))

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Turns DuckDB's errors, also those of fetching, into a ConfigError that tells the reason in a line."""
        try:
            yield
        except duckdb.InterruptException:  # DuckDB's own word for Ctrl-C
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            reason = " ".join(_KIND.sub("", str(error).partition("\nLINE ")[0]).split())
            if isinstance(error, duckdb.CatalogException) and reason.startswith("Table with name"):
                known = f"the views of {self._context} are: {', '.join(self._views) or 'none'}"
                reason = f"{reason.partition(' Did you mean')[0]} {known}"
            raise ConfigError(f"SQL: {reason}") from error

    def close(self) -> None:
        """Frees the tables, and the disk under what did not fit into memory."""
        self._connection.close()
        self._spill.cleanup()

    def _take(self, statement: str, rows: pa.Table) -> None:
        self._connection.register(_INCOMING, rows)
        self._connection.execute(f'{statement} "{_INCOMING}"')
        self._connection.unregister(_INCOMING)


def named(statement: str, topology: Topology) -> list[str]:
    """The views that a statement may read: those whose names are words of it; where none is, all of them.

    A name that is put together by the statement itself is not seen: its table is then missing, which is an error,
    never an empty table.
    """
    words = set(re.findall(r"\w+", statement.lower()))
    views = [view.name for view in topology.views]
    return [name for name in views if name in words] or views
