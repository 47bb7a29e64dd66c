"""The replica's file: the rows of the views, and in the same transactions how far they have come.

A table has no index: rows change all the time, and an index would have to follow them (a tenth of the speed, six times
the size); scans of columns are what DuckDB is good at. Nothing in the file is worth keeping: the topics have it all.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import structlog

from foldlog.core.errors import StoreError
from foldlog.core.record import Record
from foldlog.kafka.marks import Place
from foldlog.query.arrow import arrow_batch, arrow_schema, key_column
from foldlog.query.confined import bounded, lock
from foldlog.query.state import State
from foldlog.query.statements import quoted

log = structlog.get_logger()

FORMAT = 1  # of the file; another one is built anew
# A deleted row's tombstone may be gone after `delete.retention.ms`, a day: a file that has not been told of anything
# for longer might keep rows that nobody has any more.
STALE_S = 12 * 3600
_GONE = "foldlog deleted"  # no field's name has a blank

Rows = Mapping[str, Record | None]
"""Changed rows by key; None deletes."""


class Source(NamedTuple):
    """The topic that a view is read from; another `topic_id` or row type is another table."""

    view: str
    topic: str
    topic_id: str
    partitions: int
    row: type[Record]

    @property
    def places(self) -> list[Place]:
        """Its partitions."""
        return [(self.topic, partition) for partition in range(self.partitions)]

    @property
    def fingerprint(self) -> str:
        """What a table's rows depend on beside the topic."""
        return f"{FORMAT} {self.topic_id} {self.partitions} {arrow_schema(self.row)}"


class Storage:
    """One DuckDB file; one thread applies rows, any thread reads them.

    `version` counts what was committed. `state` is that of the last version; None while another is being committed,
    so a snapshot that was begun while it was one and the same object is of that state. After `failure` DuckDB answers
    nothing more in this process.
    """

    def __init__(self, path: Path, memory_mb: int, threads: int) -> None:
        self.path = path
        self._config = bounded(memory_mb, threads)
        self.version = 0
        self.state: State | None = None
        self.failure: str | None = None
        self._sources: dict[str, Source] = {}
        self._opening = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._root = self._connected()
        except duckdb.Error as error:
            log.warning("the replica's file is built anew", path=str(path), because=_first_line(error))
            self._remove()
            self._root = self._connected()
        self._writer = self._root.cursor()

    def prepare(self, sources: Iterable[Source], ends: Mapping[Place, int]) -> dict[Place, int]:
        """Makes a table for each source, keeping those that are still true; gives where to read each partition on."""
        self._sources = {source.topic: source for source in sources}
        known = self._known()
        begin: dict[Place, int] = {}
        with self._transaction():
            for topic in known.keys() - self._sources.keys():
                self._forget(topic)
            for topic, source in self._sources.items():
                found = self._positions(topic)
                if not self._is_true(source, known.get(topic), found, ends):
                    self._forget(topic)
                    self._create(source)
                    found = {}
                begin |= {place: found.get(place, 0) for place in source.places}
        return begin

    def show(self, view: str, topic: str) -> None:
        """From now on, all at once, a view's name means the rows of this topic."""
        with self._transaction():
            self._writer.execute(f"CREATE OR REPLACE VIEW {quoted(view)} AS FROM {_table(topic)}")
            self._writer.execute("DELETE FROM _foldlog.shown WHERE name = ?", [view])
            self._writer.execute("INSERT INTO _foldlog.shown VALUES (?, ?)", [view, topic])

    def apply(self, changes: Mapping[str, Rows], positions: Mapping[Place, int]) -> None:
        """Takes changed rows by topic and the next offsets, in one transaction; StoreError where it cannot."""
        try:
            with self._transaction():
                for topic, rows in changes.items():
                    if rows:
                        self._merge(self._sources[topic], rows)
                self._note(positions)
        except (duckdb.Error, MemoryError) as error:
            raise StoreError(f"{self.path}: {_first_line(error)}") from error

    @contextmanager
    def snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees the rows as of now and can write nothing; it ends with the block."""
        with self._opening:
            cursor = self._root.cursor()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            yield cursor
        except duckdb.FatalException as error:
            self.failure = _first_line(error)
            raise
        finally:
            with suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
            cursor.close()

    def close(self) -> None:
        """Ends it; what was applied is in the file."""
        self._writer.close()
        self._root.close()

    def _connected(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path), config=self._config)
        connection.execute("CREATE SCHEMA IF NOT EXISTS _rows")
        connection.execute("CREATE SCHEMA IF NOT EXISTS _foldlog")
        for table in (
            "topics (topic VARCHAR, fingerprint VARCHAR)",
            "shown (name VARCHAR, topic VARCHAR)",
            'positions (topic VARCHAR, "partition" INTEGER, next BIGINT, applied DOUBLE)',
        ):
            connection.execute(f"CREATE TABLE IF NOT EXISTS _foldlog.{table}")
        lock(connection)
        return connection

    def _remove(self) -> None:
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            path.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN")
        try:
            yield
            self.state, state = None, State.of(self._writer)
            self._writer.execute("COMMIT")
            self.version, self.state = self.version + 1, state
        except BaseException as error:
            if isinstance(error, duckdb.FatalException):
                self.failure = _first_line(error)
            with suppress(duckdb.Error):
                self._writer.execute("ROLLBACK")
            raise

    def _known(self) -> dict[str, str]:
        return dict(self._writer.execute("SELECT topic, fingerprint FROM _foldlog.topics").fetchall())

    def _positions(self, topic: str) -> dict[Place, int]:
        found = self._writer.execute('SELECT "partition", next FROM _foldlog.positions WHERE topic = ?', [topic])
        return {(topic, partition): position for partition, position in found.fetchall()}

    def _is_true(
        self, source: Source, fingerprint: str | None, found: Mapping[Place, int], ends: Mapping[Place, int]
    ) -> bool:
        """Whether a table has what its topic had up to its positions, and will hear of everything after them."""
        if fingerprint != source.fingerprint:
            return False
        behind = [place for place, position in found.items() if position < ends[place]]
        applied = self._writer.execute("SELECT max(applied) FROM _foldlog.positions WHERE topic = ?", [source.topic])
        (last,) = applied.fetchone() or (None,)
        is_stale = bool(behind) and time.time() - (last or 0) > STALE_S
        return not is_stale and all(position <= ends[place] for place, position in found.items())

    def _forget(self, topic: str) -> None:
        for table in ("topics", "positions"):
            self._writer.execute(f"DELETE FROM _foldlog.{table} WHERE topic = ?", [topic])  # noqa: S608 — two names
        self._writer.execute(f"DROP TABLE IF EXISTS {_table(topic)}")

    def _create(self, source: Source) -> None:
        self._writer.register("empty", arrow_schema(source.row).empty_table())
        self._writer.execute(f"CREATE TABLE {_table(source.topic)} AS FROM empty")
        self._writer.unregister("empty")
        self._writer.execute("INSERT INTO _foldlog.topics VALUES (?, ?)", [source.topic, source.fingerprint])

    def _merge(self, source: Source, rows: Rows) -> None:
        batch = arrow_batch(source.row, list(rows.items()))
        gone = pa.array([row is None for row in rows.values()], pa.bool_())
        self._writer.register("changes", pa.Table.from_batches([batch]).append_column(_GONE, gone))
        self._writer.execute(_merging(source))
        self._writer.unregister("changes")

    def _note(self, positions: Mapping[Place, int]) -> None:
        now = time.time()
        names = ("topic", "partition", "next", "applied")
        noted = [(topic, partition, position, now) for (topic, partition), position in positions.items()]
        columns = zip(*noted, strict=True) if noted else ((), (), (), ())
        table = pa.table(dict(zip(names, map(pa.array, columns), strict=True)))
        if noted:
            self._writer.register("noted", table)
            self._writer.execute(
                'MERGE INTO _foldlog.positions p USING noted n ON p.topic = n.topic AND p."partition" = n."partition" '
                "WHEN MATCHED THEN UPDATE SET next = n.next, applied = n.applied "
                "WHEN NOT MATCHED THEN INSERT VALUES (n.topic, n.partition, n.next, n.applied)"
            )
            self._writer.unregister("noted")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _table(topic: str) -> str:
    return f"_rows.{quoted(topic)}"


def _merging(source: Source) -> str:
    key = quoted(key_column(source.row))
    columns = [quoted(name) for name in arrow_schema(source.row).names]
    changed = ", ".join(f"{column} = c.{column}" for column in columns if column != key) or f"{key} = c.{key}"
    gone = f"c.{quoted(_GONE)}"
    clauses = (
        f"MERGE INTO {_table(source.topic)} t USING changes c ON t.{key} = c.{key}",
        f"WHEN MATCHED AND {gone} THEN DELETE",
        f"WHEN MATCHED THEN UPDATE SET {changed}",
        f"WHEN NOT MATCHED AND NOT {gone} THEN INSERT ({', '.join(columns)})",
        f"VALUES ({', '.join(f'c.{column}' for column in columns)})",
    )
    return " ".join(clauses)
