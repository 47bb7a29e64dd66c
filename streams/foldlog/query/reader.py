"""Our own questions to the replica's file, within limits of time, rows and memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Generic, NamedTuple, TypeVar

import duckdb
import pyarrow as pa

from foldlog.core.errors import QueryError
from foldlog.query.deadlines import Deadlines
from foldlog.query.results import ERRORS, PORTION, Answer, Limits, is_fatal, limited, refusal, too_long
from foldlog.query.state import State
from foldlog.query.statements import quoted
from foldlog.query.storage import Storage

T = TypeVar("T")
_COPIED = 122_880  # rows that are copied at once, one of DuckDB's row groups

Parameters = Sequence[Any] | Mapping[str, Any]


class Found(NamedTuple, Generic[T]):
    """An answer as somebody takes it, and the state of its snapshot."""

    value: T
    state: State


class Reader:
    """Asks the storage; any thread may."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage = storage
        self._deadlines = Deadlines()
        self.limits = limits

    def close(self) -> None:
        """Ends the thread that watches the time."""
        self._deadlines.close()

    def ask(self, sql: str, parameters: Parameters, rows: int, take: Callable[[Answer], T]) -> Found[T]:
        """What `take` makes of the answer to a statement of ours.

        Raises QueryError where the statement is wrong, takes too long, has more rows than these or is too large.
        """
        with self._asking() as cursor:
            before = self._storage.state
            relation = cursor.sql(sql, params=parameters or None)  # binds the names, which begins the snapshot
            state = before if before is not None and before is self._storage.state else State.of(cursor)
            with relation.to_arrow_reader(PORTION) as reader:  # an open one would keep the snapshot open
                return Found(take(Answer(reader.schema, limited(reader, rows, self.limits.bytes))), state)

    def copy(self, files: Mapping[str, IO[bytes]]) -> State:
        """Writes all rows of views into files, as Arrow's IPC streams; gives the state of their one snapshot.

        Raises QueryError, 503 where the files cannot be written.
        """
        with self._asking() as cursor:
            state = State.of(cursor)
            try:
                for view, file in files.items():
                    _copy(cursor, view, file)
            except OSError as error:
                raise QueryError(f"the rows cannot be copied for SQL, lists are answered: {error}", 503) from error
        return state

    @contextmanager
    def _asking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A snapshot whose errors are QueryErrors, interrupted when its time is over."""
        with (
            self._storage.snapshot() as cursor,
            self._deadlines.of(cursor.interrupt, self.limits.seconds) as expired,
        ):
            try:
                yield cursor
            except QueryError:
                raise
            except ERRORS as error:
                if expired.is_set():
                    raise too_long(self.limits.seconds) from error
                if is_fatal(error):
                    raise
                raise refusal(error) from error


def _copy(cursor: duckdb.DuckDBPyConnection, view: str, file: IO[bytes]) -> None:
    with (
        cursor.sql(f"FROM {quoted(view)}").to_arrow_reader(_COPIED) as reader,
        pa.ipc.new_stream(file, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
    file.flush()
