"""The rows of a question within limits, and what is wrong where there are none."""

from collections.abc import Iterator
from typing import NamedTuple

import duckdb
import pyarrow as pa

from foldlog.core.errors import QueryError

PORTION = 2048  # rows that are taken at once
# Of DuckDB, of Arrow, and of values that Python cannot hold.
ERRORS = (duckdb.Error, pa.ArrowException, OSError, MemoryError, ArithmeticError, ValueError, TypeError)
_FATAL = ("INTERNAL Error", "FATAL Error")


class Limits(NamedTuple):
    """The most that one question may take."""

    seconds: float
    bytes: int


class Answer(NamedTuple):
    """Rows as they come."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def limited(batches: Iterator[pa.RecordBatch], rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """The batches; QueryError 422 where they are more rows than these, or more bytes."""
    had_rows = had_bytes = 0
    for batch in batches:
        had_rows, had_bytes = had_rows + batch.num_rows, had_bytes + batch.nbytes
        if had_rows > rows:
            raise QueryError(f"the answer has more than {rows:,} rows: ask for fewer with LIMIT", 422)
        if had_bytes > size:
            raise QueryError(f"the answer has more than {size >> 20:,} MiB: ask for less", 422)
        yield batch


def too_long(seconds: float) -> QueryError:
    """Why a question was ended whose time was over."""
    return QueryError(f"the query took longer than {seconds:g} s and was ended", 422)


def needs_memory(error: BaseException) -> bool:
    """Whether an error of ERRORS says that memory is short."""
    return isinstance(error, (MemoryError, duckdb.OutOfMemoryException)) or str(error).startswith("Out of Memory")


def is_fatal(error: BaseException) -> bool:
    """Whether an error of ERRORS is a defect of the database."""
    return str(error).strip().startswith(_FATAL)


def refusal(error: BaseException) -> QueryError:
    """An error of ERRORS as whoever asked reads it."""
    if needs_memory(error):
        return QueryError("the query needs more memory than it may have: ask for less", 422)
    text = str(error).strip() or type(error).__name__
    return QueryError(text.partition("\n\nPossible solutions")[0])
