"""The event log of a decider, mirrored from its topic into PostgreSQL's tables."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from foldlog.core.decider import Decider
from foldlog.core.errors import SinkError
from foldlog.sinks.event_cache import EventCache
from foldlog.sinks.event_tables import COLUMNS, METADATA, EventTables
from foldlog.sinks.postgres import Session
from foldlog.sinks.target import Applied, Change

_BATCH = "_foldlog_batch"


class PostgresEvents:
    """The events of one decider in the table `schema.events`; a cache is told which aggregates have new ones."""

    def __init__(self, url: str, schema: str, decider: Decider[Any, Any, Any], cache: EventCache | None = None) -> None:
        self._session = Session(url, schema, decider.name, METADATA)
        self._tables = EventTables(self._session, decider)
        self._cache = cache
        self._stale: set[str] = set()

    @property
    def name(self) -> str:
        """The place in words, without secrets."""
        return f"{self._session.place}.events of {self._tables.decider.name}"

    def open(self) -> Applied:
        """Makes the tables, takes the log over, and tells how far it is."""
        self._session.close()
        with self._session.transaction() as cursor:
            fresh = self._tables.prepare(cursor)
            applied = self._session.claim(cursor, anew=fresh)
            if applied.topic is None and self._has_events(cursor):
                raise SinkError(f"{self.name}: there are events of no topic already: use another schema")
            cursor.execute(
                sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DELETE ROWS").format(
                    sql.Identifier(_BATCH), self._tables.events
                )
            )
        return applied

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """One transaction: events, erased versions, offsets. Then the cache forgets the aggregates."""
        rows = [self._values(change) for change in changes if change.record is not None]
        gone = self._tables.ids_of(change.key for change in changes if change.record is None)
        self._stale |= {row[1] for row in rows} | {aggregate_id for aggregate_id, _ in gone}
        with self._session.transaction() as cursor:
            self._session.advance(cursor, applied)
            if rows:
                self._upsert(cursor, rows)
            if gone:
                statement = "DELETE FROM {} WHERE aggregate_type = %s AND aggregate_id = %s AND version = %s"
                own = [(self._tables.decider.name, *place) for place in gone]
                cursor.executemany(sql.SQL(statement).format(self._tables.events), own)
        if self._cache is not None:
            self._cache.forget(self._stale)
        self._stale.clear()

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """Never done: an event log has one topic."""
        raise SinkError(f"{self.name}: an event log has no generations")

    def clear(self) -> None:
        """Removes the decider's events, and how far they were."""
        with self._session.transaction() as cursor:
            self._tables.prepare(cursor)
            for table in (self._tables.events, self._tables.snapshots):
                statement = sql.SQL("DELETE FROM {} WHERE aggregate_type = %s").format(table)
                cursor.execute(statement, [self._tables.decider.name])
        self._session.forget([])

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    def _values(self, change: Change) -> list[Any]:
        if change.record is None or change.meta is None:
            raise SinkError(f"{change.place}: the event has no meta")
        try:
            return self._tables.values(change.record, change.meta)
        except SinkError as error:
            raise SinkError(f"{change.place}: {error}") from error

    def _has_events(self, cursor: psycopg.Cursor) -> bool:
        statement = sql.SQL("SELECT 1 FROM {} WHERE aggregate_type = %s LIMIT 1").format(self._tables.events)
        return cursor.execute(statement, [self._tables.decider.name]).fetchone() is not None

    def _upsert(self, cursor: psycopg.Cursor, rows: Sequence[Sequence[Any]]) -> None:
        batch, names = sql.Identifier("pg_temp", _BATCH), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(batch, names)) as copy:
            for row in rows:
                copy.write_row(row)
        changed = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in COLUMNS[3:])
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT (aggregate_type, aggregate_id, version)"
                " DO UPDATE SET {}"  # a version that was rewritten
            ).format(self._tables.events, names, names, batch, changed)
        )
