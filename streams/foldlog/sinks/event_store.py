"""Deciders without Kafka: an event store in PostgreSQL, on which the same pure functions run in process."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
import structlog
from psycopg import sql

from foldlog.contracts.exact_json import from_json
from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError, ConflictError, FoldlogError, SinkError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.sinks.event_cache import EventCache
from foldlog.sinks.event_tables import METADATA, Event, EventTables
from foldlog.sinks.postgres import Session

log = structlog.get_logger()

SNAPSHOT_EVERY = 100  # events of an aggregate
TRIES = 10  # of a command whose aggregate others change at the same time


class Outcome(NamedTuple):
    """What came of a command: its events, and the aggregate's version after it.

    `duplicate` is true where the same command id was handled before: the events are those of then.
    """

    events: tuple[Record, ...]
    version: int
    duplicate: bool = False


class PostgresEventStore:
    """The log of one decider in PostgreSQL; a store is used by one thread at a time, many stores by many.

    Its tables are in `schema`, `<context>_events` by default; a `cache` forgets an aggregate that has new events. Every
    method raises AwayError where PostgreSQL does not answer: the version that is read then tells whether an append was
    done.
    """

    def __init__(
        self,
        url: str,
        topology: Topology,
        decider: Decider[Any, Any, Any],
        schema: str | None = None,
        cache: EventCache | None = None,
    ) -> None:
        self._session = Session(url, schema or f"{topology.name}_events", decider.name, METADATA)
        self._tables = EventTables(self._session, decider)
        self._decider, self._cache = decider, cache
        try:
            with self._session.transaction() as cursor:
                self._tables.prepare(cursor)
        except FoldlogError:
            self.close()
            raise

    def append(
        self,
        aggregate_id: str,
        expected_version: int,
        events: Sequence[Record],
        cause: Meta | None = None,
        state: Record | None = None,
    ) -> int:
        """Appends events to an aggregate that is at the expected version, all or none; its new version.

        `cause` is the Meta of the command: time, causation, correlation, actor. `state` becomes a snapshot. Raises
        ConflictError where the aggregate is at another version, ConfigError where the store mirrors a topic.
        """
        at = cause or Meta("", aggregate_id, expected_version, datetime.now(UTC), (id_ := uuid.uuid4().hex), id_)
        rows = [
            self._tables.values(event, self._meta(aggregate_id, version, at))
            for version, event in enumerate(events, expected_version + 1)
        ]
        with self._session.transaction() as cursor:
            self._refuse_mirror(cursor)
            version = self._version(cursor, aggregate_id)
            if version != expected_version:
                raise self._conflict(aggregate_id, expected_version, version)
            try:
                cursor.executemany(
                    sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)").format(self._tables.events), rows
                )
            except psycopg.errors.UniqueViolation as error:
                raise self._conflict(aggregate_id, expected_version, None) from error
            if state is not None:
                self._keep(cursor, aggregate_id, expected_version + len(rows), state)
        self._forget(aggregate_id)
        return expected_version + len(rows)

    def read(self, aggregate_id: str, from_version: int = 1) -> list[Event]:
        """The events of an aggregate from a version on, each with its Meta; none where there is no such aggregate."""
        with self._session.transaction() as cursor:
            return self._tables.read(cursor, aggregate_id, from_version)

    def load(self, aggregate_id: str) -> tuple[Any, int]:
        """State and version of an aggregate, from its snapshot and the events after it."""
        with self._session.transaction() as cursor:
            state, version = self._snapshot(cursor, aggregate_id)
            evolve = with_meta(self._decider.evolve)
            for event, meta in self._tables.read(cursor, aggregate_id, version + 1):
                state, version = evolve(state, event, meta), meta.version
        return state, version

    def handle(self, command: Record, command_id: str | None = None, actor: str | None = None) -> Outcome:
        """Decides a command and appends what follows; decides again where another writer came first.

        A command id that was handled before has its first outcome again. Raises Rejected where the decider does,
        ConflictError where others came first every time.
        """
        aggregate_id, id_ = self._decider.key(command), command_id or uuid.uuid4().hex
        for _ in range(TRIES):
            state, version = self.load(aggregate_id)
            # Asked after loading: the same command that is handled meanwhile is found here, or in the way of ours.
            if command_id is not None and (before := self._handled(aggregate_id, command_id)):
                return Outcome(tuple(event for event, _ in before), before[-1][1].version, duplicate=True)
            cause = Meta("", aggregate_id, version, datetime.now(UTC), id_, id_, actor)
            events = tuple(with_meta(self._decider.decide)(command, state, cause))
            try:
                return Outcome(events, self._append_decided(aggregate_id, state, version, events, cause))
            except ConflictError:
                continue
        raise ConflictError(f"{self._decider.name} {aggregate_id!r}: others came first {TRIES} times; send it again")

    def close(self) -> None:
        """Ends the connection; the next call makes another."""
        self._session.close()

    def _append_decided(
        self, aggregate_id: str, state: Any, version: int, events: tuple[Record, ...], cause: Meta
    ) -> int:
        if not events:
            return version
        evolve, after = with_meta(self._decider.evolve), version + len(events)
        if after // SNAPSHOT_EVERY == version // SNAPSHOT_EVERY:
            return self.append(aggregate_id, version, events, cause)
        for number, event in enumerate(events, version + 1):
            state = evolve(state, event, self._meta(aggregate_id, number, cause))
        return self.append(aggregate_id, version, events, cause, state)

    def _forget(self, aggregate_id: str) -> None:
        """The events are appended, whatever becomes of the cache: it is out of date until its time is over at most."""
        if self._cache is None:
            return
        try:
            self._cache.forget([aggregate_id])
        except SinkError as error:
            log.warning("cache away", aggregate=aggregate_id, error=str(error))

    def _meta(self, aggregate_id: str, version: int, cause: Meta) -> Meta:
        event_id = f"{self._decider.name}:{aggregate_id}@{version}"
        return msgspec.structs.replace(cause, event_id=event_id, aggregate_id=aggregate_id, version=version)

    def _refuse_mirror(self, cursor: psycopg.Cursor) -> None:
        self._session.lock(cursor, shared=True)
        cursor.execute(
            sql.SQL("SELECT 1 FROM {} WHERE sink = %s").format(self._session.table(METADATA)), [self._decider.name]
        )
        if cursor.fetchone() is not None:
            raise ConfigError(
                f"{self._session.place} mirrors the topic of {self._decider.name}: send commands to Kafka, or use "
                "another schema"
            )

    def _version(self, cursor: psycopg.Cursor, aggregate_id: str) -> int:
        statement = sql.SQL("SELECT coalesce(max(version), 0) FROM {} WHERE aggregate_type = %s AND aggregate_id = %s")
        cursor.execute(statement.format(self._tables.events), [self._decider.name, aggregate_id])
        (version,) = cursor.fetchone() or (0,)
        return int(version)

    def _conflict(self, aggregate_id: str, expected: int, found: int | None) -> ConflictError:
        now = f"is at version {found}" if found is not None else "was changed meanwhile"
        return ConflictError(
            f"{self._decider.name} {aggregate_id!r} {now}, not at {expected}: load it and decide again"
        )

    def _handled(self, aggregate_id: str, command_id: str) -> list[Event]:
        with self._session.transaction() as cursor:
            return self._tables.read(cursor, aggregate_id, 1, command_id)

    def _snapshot(self, cursor: psycopg.Cursor, aggregate_id: str) -> tuple[Any, int]:
        statement = sql.SQL(
            "SELECT state, version FROM {} WHERE aggregate_type = %s AND aggregate_id = %s AND shape = %s"
        )
        cursor.execute(statement.format(self._tables.snapshots), [self._decider.name, aggregate_id, self._tables.shape])
        found = cursor.fetchone()
        if found is None:
            return self._decider.initial, 0
        return from_json(self._decider.state, found[0]), found[1]

    def _keep(self, cursor: psycopg.Cursor, aggregate_id: str, version: int, state: Record) -> None:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} VALUES (%s, %s, %s, %s, %s) ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE"
                " SET version = excluded.version, shape = excluded.shape, state = excluded.state"
            ).format(self._tables.snapshots),
            self._tables.snapshot(aggregate_id, version, state),
        )
