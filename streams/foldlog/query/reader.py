"""Questions to the replica's file, within limits of time, rows and memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from foldlog.core.errors import QueryError
from foldlog.query.deadlines import Deadlines
from foldlog.query.state import State
from foldlog.query.statements import Statement, checked
from foldlog.query.storage import Storage

_PORTION = 2048  # rows that are taken at once
# Of DuckDB, of Arrow, and of values that Python cannot hold.
_ERRORS = (duckdb.Error, pa.ArrowException, OSError, MemoryError, ArithmeticError, ValueError, TypeError)
_FATAL = ("INTERNAL Error", "FATAL Error")

Parameters = Sequence[Any] | Mapping[str, Any]


class Limits(NamedTuple):
    """The most that one question may take."""

    seconds: float
    bytes: int


class Answer(NamedTuple):
    """Rows as they come, and the state of their snapshot."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
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

    def check(self, sql: str) -> Statement:
        """The statement of a text; QueryError where it is not one to be answered."""
        with self._asking() as cursor:
            return checked(cursor, sql)

    def ask(self, sql: str, parameters: Parameters, rows: int, take: Callable[[Answer], Any]) -> Any:
        """What `take` makes of the answer to a statement that was checked, or is ours.

        Raises QueryError where the statement is wrong, takes too long, has more rows than these or is too large.
        """
        with self._asking() as cursor:
            before = self._storage.state
            relation = cursor.sql(sql, params=parameters or None)  # binds the names, which begins the snapshot
            state = before if before is not None and before is self._storage.state else State.of(cursor)
            if relation is None:
                raise QueryError("the statement has no result")
            with relation.to_arrow_reader(_PORTION) as reader:  # an open one would keep the snapshot open
                return take(Answer(reader.schema, self._limited(reader, rows), state))

    def _limited(self, batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
        rows = size = 0
        for batch in batches:
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > most:
                raise QueryError(f"the answer has more than {most:,} rows: ask for fewer with LIMIT", 422)
            if size > self.limits.bytes:
                raise QueryError(f"the answer has more than {self.limits.bytes >> 20:,} MiB: ask for less", 422)
            yield batch

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
            except _ERRORS as error:
                raise self._refusal(error, expired.is_set()) from error

    def _refusal(self, error: BaseException, expired: bool) -> Exception:
        text = str(error).strip() or type(error).__name__
        if expired:
            return QueryError(f"the query took longer than {self.limits.seconds:g} s and was ended", 422)
        if isinstance(error, (MemoryError, duckdb.OutOfMemoryException)) or text.startswith("Out of Memory"):
            return QueryError("the query needs more memory than it may have: ask for less", 422)
        if text.startswith(_FATAL):
            return error if isinstance(error, Exception) else RuntimeError(text)
        return QueryError(text.partition("\n\nPossible solutions")[0])
