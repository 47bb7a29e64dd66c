"""The event log of a decider in PostgreSQL: the tables `events`, `snapshots` and `metadata` of a schema.

`events` has a row an event: who (`aggregate_type`, `aggregate_id`, `version`), what (`type`, `data` as
`contracts.exact_json` has it), when (`time`), its id, and `metadata` with what caused it. It is indexed by aggregate
and version (unique), by type and by time. `snapshots` has a late state of an aggregate that had many events, `metadata`
how far a mirrored topic is: a log has a row there only where it mirrors a topic.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from foldlog.contracts.exact_json import from_json, to_json
from foldlog.contracts.schema import engine_contract_schema
from foldlog.core.decider import Decider
from foldlog.core.errors import ContractError, SinkError
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.sinks.postgres import Session
from foldlog.sinks.tables import jsonb

EVENTS, SNAPSHOTS, METADATA = "events", "snapshots", "metadata"
COLUMNS = ("aggregate_type", "aggregate_id", "version", "type", "time", "id", "data", "metadata")
# What `metadata` holds; the rest of Meta has columns of its own.
_CAUSES = ("causation", "correlation", "actor", "tenant")

_EVENTS = """CREATE TABLE {events} (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, version bigint NOT NULL, type text NOT NULL,
    time timestamptz NOT NULL, id text NOT NULL, data jsonb NOT NULL, metadata jsonb NOT NULL,
    CONSTRAINT events_by_aggregate PRIMARY KEY (aggregate_type, aggregate_id, version));
CREATE INDEX events_by_type ON {events} (type);
CREATE INDEX events_by_time ON {events} (time);
CREATE TABLE {snapshots} (
    aggregate_type text NOT NULL, aggregate_id text NOT NULL, version bigint NOT NULL, shape text NOT NULL,
    state jsonb NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id))"""

Event = tuple[Record, Meta]


class EventTables:
    """The tables of one schema, as one decider's log sees them."""

    def __init__(self, session: Session, decider: Decider[Any, Any, Any]) -> None:
        self._session, self.decider = session, decider
        self._kinds = {kind.__name__: kind for kind in decider.events}
        self._json = jsonb(to_json)
        self.events, self.snapshots = session.table(EVENTS), session.table(SNAPSHOTS)

    @cached_property
    def shape(self) -> str:
        """Which class of state a snapshot is of: one of another shape does not count."""
        text = json.dumps(engine_contract_schema(self.decider.state), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prepare(self, cursor: psycopg.Cursor) -> bool:
        """Makes schema and tables where they are missing; True where they were."""
        self._session.prepare(cursor)
        found = self._session.column_types(cursor, EVENTS)
        if found is None:
            cursor.execute(sql.SQL(_EVENTS).format(events=self.events, snapshots=self.snapshots))
        elif tuple(found) != COLUMNS:
            raise SinkError(f"{self._session.place}: the table {EVENTS} there is none of foldlog's: use another schema")
        return found is None

    def values(self, event: Record, meta: Meta) -> list[Any]:
        """An event as its columns; ContractError where the decider has none such, SinkError where it does not fit."""
        kind = type(event).__name__
        if self._kinds.get(kind) is not type(event):
            raise ContractError(f"{kind} is no event of {self.decider.name}; it has {', '.join(self._kinds)}")
        who = f"{self.decider.name} {meta.aggregate_id!r}, version {meta.version}"
        if "\0" in meta.aggregate_id:
            raise SinkError(f"{who}: an id with a NUL character cannot be in PostgreSQL's text")
        causes = {name: getattr(meta, name) for name in _CAUSES}
        try:
            data, metadata = self._json(event), jsonb(dict)(causes)
        except ValueError as error:
            raise SinkError(f"{who}, {kind}.{error}") from error
        return [self.decider.name, meta.aggregate_id, meta.version, kind, meta.time, meta.event_id, data, metadata]

    def read(
        self, cursor: psycopg.Cursor, aggregate_id: str, from_version: int, causation: str | None = None
    ) -> list[Event]:
        """The events of an aggregate from a version on, in order; only those of one cause, where it is named."""
        cursor.execute(
            sql.SQL(
                "SELECT version, type, time, id, data, metadata FROM {}"
                " WHERE aggregate_type = %s AND aggregate_id = %s AND version >= %s"
                " AND (%s::text IS NULL OR metadata->>'causation' = %s) ORDER BY version"
            ).format(self.events),
            [self.decider.name, aggregate_id, from_version, causation, causation],
        )
        return [self._event(aggregate_id, row) for row in cursor.fetchall()]

    def snapshot(self, aggregate_id: str, version: int, state: Record) -> list[Any]:
        """A state as the columns of a snapshot; SinkError where it does not fit."""
        try:
            return [self.decider.name, aggregate_id, version, self.shape, self._json(state)]
        except ValueError as error:
            raise SinkError(f"{self.decider.name} {aggregate_id!r}, the state's {error}") from error

    def ids_of(self, keys: Iterable[str]) -> list[tuple[str, int]]:
        """Id and version of an event's key, `<aggregate id>@<version>`; SinkError where it is none."""
        found = []
        for key in keys:
            aggregate_id, _, version = key.rpartition("@")
            if not version.isdecimal():
                raise SinkError(f"key {key!r}: an event's key is <aggregate id>@<version>")
            found.append((aggregate_id, int(version)))
        return found

    def _event(self, aggregate_id: str, row: tuple[Any, ...]) -> Event:
        version, kind, time, event_id, data, causes = row
        who = f"{self.decider.name} {aggregate_id!r}, version {version}"
        if kind not in self._kinds:
            raise ContractError(f"{who}: {kind} is no event of {self.decider.name}")
        try:
            event = from_json(self._kinds[kind], data)
        except ValueError as error:
            raise ContractError(f"{who}: {kind}.{error}") from error
        return event, Meta(event_id, aggregate_id, version, time, **causes)
