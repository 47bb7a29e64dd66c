"""A sink's session with PostgreSQL: who owns the target, how far it is, and what an error means.

A table of the target's schema, `_foldlog_sinks`, has a row a sink, which every transaction of it updates: a process
that is not the row's owner any more can commit nothing.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from foldlog.core.errors import AwayError, ConfigError, FencedError, SinkError
from foldlog.sinks.target import Applied

STATE = "_foldlog_sinks"
# How long each side waits for the other before it takes the connection for lost, and for a lock.
_CONNECTION = {"connect_timeout": 10, "keepalives_idle": 10, "tcp_user_timeout": 15_000}
_TIMEOUTS = "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'"
_TOO_LARGE = "54"  # class of SQLSTATE "program limit exceeded": no use in trying again


def place_of(url: str) -> str:
    """Host, port and database of a URL, without user and password; ConfigError where it is no URL of PostgreSQL."""
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # libpq's own words would repeat the password.
        raise ConfigError("PostgreSQL's URL cannot be read: write postgresql://user@host:5432/database") from error
    return f"{known.get('host') or 'localhost'}:{known.get('port') or 5432}/{known.get('dbname') or ''}"


@contextmanager
def answering(place: str) -> Iterator[None]:
    """Turns a failure of PostgreSQL into AwayError, or SinkError where it would fail again."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if (error.sqlstate or "").startswith(_TOO_LARGE):
            raise SinkError(f"{place}: {_reason(error)}") from error
        raise AwayError(f"{place}: {_reason(error)}") from error
    except psycopg.Error as error:
        raise SinkError(f"{place}: {_reason(error)}") from error


def _reason(error: psycopg.Error) -> str:
    known = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(part for part in known if part) or " ".join(str(error).split())


class Session:
    """One sink's connection, which lives from `connect` to `close`."""

    def __init__(self, url: str, schema: str, sink: str, state: str = STATE) -> None:
        self.place = f"{place_of(url)} {schema}"
        self._url, self._sink, self._state = url, sink, state
        self._schema = schema
        self._owner = uuid.uuid4().hex
        self._connection: psycopg.Connection | None = None

    def table(self, name: str) -> sql.Identifier:
        """A table of the schema."""
        return sql.Identifier(self._schema, name)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor]:
        """All or nothing; raises as `answering` does."""
        with answering(self.place):
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, **_CONNECTION)  # type: ignore[arg-type]
                self._connection.execute(_TIMEOUTS)
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor

    def prepare(self, cursor: psycopg.Cursor) -> None:
        """Makes the schema and the table of sinks where they are missing; others who do the same wait."""
        self.lock(cursor)
        # Asked for first: making it "if not exists" needs a right even where it exists.
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._schema])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._schema)))
        if self.column_types(cursor, self._state) is None:
            cursor.execute(
                sql.SQL(
                    "CREATE TABLE {} (sink text PRIMARY KEY, owner text NOT NULL, topic text,"
                    " offsets jsonb NOT NULL DEFAULT '{{}}', applied_at timestamptz)"
                ).format(self.table(self._state))
            )

    def lock(self, cursor: psycopg.Cursor, *, shared: bool = False) -> None:
        """Keeps others who lock the schema waiting until the end of the transaction; who shares, only who does not."""
        name = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        cursor.execute(sql.SQL("SELECT {}(hashtextextended(%s, 0))").format(sql.Identifier(name)), [self._schema])

    def claim(self, cursor: psycopg.Cursor, *, anew: bool) -> Applied:
        """Takes the target from whoever had it; what it has is as if it were nothing where it was made `anew`."""
        reset = sql.SQL(", topic = NULL, offsets = '{}', applied_at = NULL" if anew else "")
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} AS mine (sink, owner) VALUES (%s, %s) ON CONFLICT (sink) DO UPDATE"
                " SET owner = excluded.owner{} RETURNING topic, offsets, applied_at"
            ).format(self.table(self._state), reset),
            [self._sink, self._owner],
        )
        topic, offsets, at = cursor.fetchone() or (None, {}, None)
        return Applied({int(partition): offset for partition, offset in offsets.items()}, topic, at)

    def advance(self, cursor: psycopg.Cursor, applied: Applied) -> None:
        """Says how far this transaction leads; FencedError where another process owns the target."""
        offsets = {str(partition): offset for partition, offset in applied.offsets.items()}
        cursor.execute(
            sql.SQL("UPDATE {} SET topic = %s, offsets = %s, applied_at = %s WHERE sink = %s AND owner = %s").format(
                self.table(self._state)
            ),
            [applied.topic, Jsonb(offsets), applied.at, self._sink, self._owner],
        )
        if cursor.rowcount != 1:
            raise FencedError(f"{self.place}: another process fills {self._sink} now, so this one ends")

    def forget(self, tables: Sequence[str]) -> None:
        """Removes these tables, and how far they were."""
        with self.transaction() as cursor:
            for name in tables:
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table(name)))
            if self.column_types(cursor, self._state) is not None:
                cursor.execute(sql.SQL("DELETE FROM {} WHERE sink = %s").format(self.table(self._state)), [self._sink])
        self.close()

    def column_types(self, cursor: psycopg.Cursor, table: str) -> dict[str, str] | None:
        """The type of each column of a table of the schema, None where there is no such table."""
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " JOIN pg_class ON attrelid = pg_class.oid JOIN pg_namespace ON relnamespace = pg_namespace.oid"
            " WHERE nspname = %s AND relname = %s AND attnum > 0 AND NOT attisdropped",
            [self._schema, table],
        )
        return dict(cursor.fetchall()) or None

    def required_columns(self, cursor: psycopg.Cursor, table: str) -> list[str]:
        """The columns of a table that an insertion must give a value."""
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND attnotnull AND NOT attisdropped AND NOT atthasdef AND attidentity = ''",
            [self.table(table).as_string(cursor)],
        )
        return [name for (name,) in cursor.fetchall()]

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
