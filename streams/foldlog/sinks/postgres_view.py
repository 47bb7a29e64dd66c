"""A view as a table of PostgreSQL: batches by COPY and one upsert, offsets in the same transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from foldlog.core.errors import SinkError
from foldlog.core.record import Record
from foldlog.sinks.postgres import Session
from foldlog.sinks.tables import OFFSET, Column, columns, key_column, values
from foldlog.sinks.target import Applied, Change

_BATCH = "_foldlog_batch"
_NEXT = "_foldlog_next"


class PostgresView:
    """The rows of one view in the table `schema.table`, with an index a named column beside the key's."""

    def __init__(self, url: str, schema: str, table: str, row: type[Record], indexes: Sequence[str] = ()) -> None:
        self._session = Session(url, schema, table)
        self._table, self._row, self._indexes = table, row, tuple(indexes)
        self._columns = columns(row)
        self._names = (key_column(row), OFFSET, *(column.name for column in self._columns))
        for name in indexes:
            if name not in self._names:
                raise SinkError(f"{row.__name__} has no field `{name}` to index; it has {', '.join(self._names)}")

    @property
    def name(self) -> str:
        """The place in words, without secrets."""
        return f"{self._session.place}.{self._table}"

    def open(self) -> Applied:
        """Makes or compares the table, takes it over, and tells how far it is."""
        self._session.close()
        with self._session.transaction() as cursor:
            self._session.prepare(cursor)
            found = self._session.column_types(cursor, self._table)
            if found is None:
                self._create(cursor)
            else:
                self._alter(cursor, found)
            for name in self._indexes:
                self._index(cursor, name)
            applied = self._session.claim(cursor, anew=found is None)
            self._create_batch(cursor)
        return applied

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """One transaction: rows, deletions, offsets."""
        rows = [values(self._row, change) for change in changes if change.record is not None]
        gone = [change.key for change in changes if change.record is None]
        with self._session.transaction() as cursor:
            self._session.advance(cursor, applied)
            if rows:
                self._copy(cursor, _BATCH, rows)
                # The last write wins.
                self._upsert(cursor, _BATCH, sql.SQL("mine.{0} <= excluded.{0}").format(sql.Identifier(OFFSET)))
            if gone:
                self._delete(cursor, self._target, gone)

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """Gathers the rows in a table of this session; then one transaction puts them in the place of those there."""
        gathered, key = sql.Identifier("pg_temp", _NEXT), sql.Identifier(self._names[0])
        with self._session.transaction() as cursor:
            self._create_next(cursor)
        applied = Applied()
        for changes, applied in batches:  # noqa: B007 — the last one counts
            rows = [values(self._row, change) for change in changes if change.record is not None]
            with self._session.transaction() as cursor:
                self._delete(cursor, gathered, [change.key for change in changes])
                self._copy(cursor, _NEXT, rows)
        with self._session.transaction() as cursor:
            self._session.advance(cursor, applied)
            gone = sql.SQL(
                "DELETE FROM {0} AS mine WHERE NOT EXISTS (SELECT FROM {1} AS next WHERE next.{2} = mine.{2})"
            )
            cursor.execute(gone.format(self._target, gathered, key))
            self._upsert(cursor, _NEXT, sql.SQL("true"))
            cursor.execute(sql.SQL("DROP TABLE {}").format(gathered))

    def clear(self) -> None:
        """Drops the table."""
        self._session.forget([self._table])

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    @property
    def _target(self) -> sql.Identifier:
        return self._session.table(self._table)

    def _copy(self, cursor: psycopg.Cursor, batch: str, rows: Sequence[Sequence[Any]]) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, self._names))
        table = sql.Identifier("pg_temp", batch)  # a table of this session
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
            for row in rows:
                copy.write_row(row)

    def _delete(self, cursor: psycopg.Cursor, table: sql.Identifier, keys: Sequence[str]) -> None:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(table, sql.Identifier(self._names[0])), [keys]
        )

    def _upsert(self, cursor: psycopg.Cursor, batch: str, where: sql.Composable) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, self._names))
        key, *others = map(sql.Identifier, self._names)
        changed = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in others)
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} AS mine ({names}) SELECT {names} FROM {batch} ON CONFLICT ({key})"
                " DO UPDATE SET {changed} WHERE {where}"
            ).format(
                table=self._target,
                names=names,
                batch=sql.Identifier("pg_temp", batch),
                key=key,
                changed=changed,
                where=where,
            )
        )

    def _create(self, cursor: psycopg.Cursor) -> None:
        key, offset = (sql.Identifier(name) for name in self._names[:2])
        parts = [sql.SQL("{} text PRIMARY KEY").format(key), sql.SQL("{} bigint NOT NULL").format(offset)]
        parts += [_definition(column) for column in self._columns]
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(self._target, sql.SQL(", ").join(parts)))

    def _create_next(self, cursor: psycopg.Cursor) -> None:
        names, table = sql.SQL(", ").join(map(sql.Identifier, self._names)), sql.Identifier(_NEXT)
        statement = sql.SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} WITH NO DATA")
        cursor.execute(statement.format(table, names, self._target))
        cursor.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(self._names[0])))

    def _create_batch(self, cursor: psycopg.Cursor) -> None:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DELETE ROWS").format(sql.Identifier(_BATCH), self._target)
        )

    def _alter(self, cursor: psycopg.Cursor, found: dict[str, str]) -> None:
        """Adds the columns of fields that are new, filled with their default; any other difference is an error."""
        wanted = {self._names[0]: "text", OFFSET: "bigint", **{c.name: c.type for c in self._columns}}
        for name, type_ in wanted.items():
            if found.get(name, type_) != type_:
                raise SinkError(
                    f"{self.name}: column {name} is {found[name]}, the row's field needs {type_}: "
                    "give the field another name, or add --rebuild to make the table anew"
                )
        for name in self._session.required_columns(cursor, self._table):
            if name not in wanted:
                raise SinkError(
                    f"{self.name}: column {name} is no field of {self._row.__name__} and cannot be null: drop it, or "
                    "add --rebuild to make the table anew"
                )
        for column in self._columns:
            if column.name not in found:
                self._add(cursor, column)

    def _add(self, cursor: psycopg.Cursor, column: Column) -> None:
        if column.field.required:
            raise SinkError(
                f"{self.name}: the new field {column.name} has no default for the rows that are there: give it one, or "
                "add --rebuild to make the table anew"
            )
        cursor.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN {} DEFAULT {}").format(
                self._target, _definition(column), sql.Literal(column.taken(column.field.fresh()))
            )
        )
        cursor.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT").format(self._target, sql.Identifier(column.name))
        )

    def _index(self, cursor: psycopg.Cursor, name: str) -> None:
        cursor.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
                sql.Identifier(f"{self._table}_by_{name}"), self._target, sql.Identifier(name)
            )
        )


def _definition(column: Column) -> sql.Composed:
    required = sql.SQL("" if column.nullable else " NOT NULL")
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), sql.SQL(column.type), required)
