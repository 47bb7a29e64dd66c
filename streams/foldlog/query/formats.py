"""Answers as JSON, CSV, Arrow and Parquet."""

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from foldlog.core.errors import QueryError
from foldlog.query.lists import Order, cursor_of
from foldlog.query.results import Answer

_IN_MEMORY = 4 << 20  # bytes of a download; more goes to a temporary file
_CHUNK = 1 << 18


class Format(StrEnum):
    """How an answer is written."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def negotiated(asked: Format | None, accept: str) -> Format:
    """The format that a parameter names, else the first that the Accept header prefers; QueryError 406 for none."""
    if asked is not None:
        return asked
    wanted = [_weighed(part) for part in accept.split(",") if part.strip()]
    for _, media in sorted(wanted, key=lambda each: -each[0]):
        if media in ("*/*", "application/*"):
            return Format.JSON
        for form, name in MEDIA.items():
            if media == name or (media == "text/*" and form is Format.CSV):
                return form
    if not wanted:
        return Format.JSON
    raise QueryError(f"Accept: there are {', '.join(MEDIA.values())}", 406)


def _weighed(part: str) -> tuple[float, str]:
    media, _, rest = part.partition(";")
    weight = rest.strip().removeprefix("q=")
    try:
        return (float(weight) if weight else 1.0), media.strip().lower()
    except ValueError:
        return 1.0, media.strip().lower()


def values_of(answer: Answer) -> list[list[Any]]:
    """The rows as lists of JSON types; names may be there twice, so they are left out."""
    table = pa.Table.from_batches(answer.batches, answer.schema)
    columns = (column.to_pylist(maps_as_pydicts="lossy") for column in table.columns)
    return [[plain(value) for value in row] for row in zip(*columns, strict=True)]


def row(names: Sequence[str], answer: Answer) -> bytes | None:
    """The one row as an object; None where there is none."""
    rows = values_of(answer)
    return msgspec.json.encode(dict(zip(names, rows[0], strict=True))) if rows else None


def page(order: Sequence[Order], limit: int, answer: Answer) -> bytes:
    """So many rows, and where the next ones begin."""
    rows = [dict(zip(answer.schema.names, row, strict=True)) for row in values_of(answer)]
    more = cursor_of(order, rows[limit - 1]) if len(rows) > limit else None
    return msgspec.json.encode({"rows": rows[:limit], "next": more})


def plain(value: Any) -> Any:  # noqa: PLR0911 — one return a kind of value
    """A value as JSON can hold it: decimals and large integers as text, without an exponent."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) < 1 << 53 else str(value)
        case float():
            return value if value - value == 0 else str(value)  # JSON has no infinity
        case Decimal():
            return format(value, "f")
        case dict():
            return {str(name): plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case timedelta():
            return str(value)
        case _:
            return msgspec.to_builtins(value, enc_hook=str)


def written(answer: Answer, form: Format) -> IO[bytes]:
    """An answer as a file, whole, so that an error on its way is still an answer; at its beginning."""
    return spooled(partial(_WRITERS[form], answer))


def spooled(fill: Callable[[IO[bytes]], None]) -> IO[bytes]:
    """A temporary file as it was filled, at its beginning; closed where that fails."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 — whoever sends it closes it
    try:
        fill(file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a download, which is closed at their end."""
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _json(answer: Answer, file: IO[bytes]) -> None:
    """Columns and rows of whatever a statement gives."""
    columns = [{"name": field.name, "type": str(field.type)} for field in answer.schema]
    file.write(msgspec.json.encode({"columns": columns, "rows": values_of(answer)}))


def _arrow(answer: Answer, file: IO[bytes]) -> None:
    with pa.ipc.new_stream(file, answer.schema) as writer:
        for batch in answer.batches:
            writer.write_batch(batch)


def _parquet(answer: Answer, file: IO[bytes]) -> None:
    with pq.ParquetWriter(file, answer.schema, compression="zstd") as writer:
        writer.write_table(pa.Table.from_batches(answer.batches, answer.schema))


def _csv(answer: Answer, file: IO[bytes]) -> None:
    """RFC 4180 with a header and plain line feeds; what is nested is JSON."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.schema.names)
    for batch in answer.batches:
        for row in zip(*(column.to_pylist(maps_as_pydicts="lossy") for column in batch.columns), strict=True):
            writer.writerow([_cell(value) for value in row])
    text.detach()


def _cell(value: Any) -> str:
    simple = plain(value)
    if simple is None:
        return ""
    return simple if isinstance(simple, str) else msgspec.json.encode(simple).decode()


_WRITERS: dict[Format, Callable[[Answer, IO[bytes]], None]] = {
    Format.JSON: _json,
    Format.ARROW: _arrow,
    Format.PARQUET: _parquet,
    Format.CSV: _csv,
}
