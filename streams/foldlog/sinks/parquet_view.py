"""A view as Parquet files: the changes in the order in which they were written, and a manifest that says what counts.

`manifest.json` names the files and the offsets that they lead to. It is replaced whole, after its files are on the
disk, so that a file is in it with its offsets or not at all. Files that it does not name are the remains of a kill.

A file has the row's columns as `query.arrow` has them (all null where the row was deleted) and `_deleted`,
`_partition`, `_offset`. The last change of a key is its row.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from foldlog.core.errors import AwayError, FencedError, SinkError
from foldlog.core.record import Record
from foldlog.query.arrow import arrow_batch, arrow_schema
from foldlog.sinks.target import Applied, Change

MANIFEST = "manifest.json"
FILE_ROWS = 250_000  # a file with fewer is written again with the rows that follow


class Part(msgspec.Struct, frozen=True):
    """One file of changes."""

    file: str
    rows: int


class Manifest(msgspec.Struct, frozen=True):
    """What counts: files in the order of their changes. Those `replaced` stay until the next, for who reads them."""

    sink: str
    topic: str | None = None
    at: datetime | None = None
    offsets: dict[int, int] = {}
    files: tuple[Part, ...] = ()
    replaced: tuple[str, ...] = ()
    number: int = 0


class ParquetView:
    """The changes of one view in a directory of their own."""

    def __init__(self, directory: Path, sink: str, row: type[Record], file_rows: int = FILE_ROWS) -> None:
        self.name = str(directory)
        self._directory, self._sink, self._row, self._file_rows = directory, sink, row, file_rows
        self._lock: int | None = None
        self._manifest = Manifest(sink)

    def open(self) -> Applied:
        """Takes the directory; FencedError where another process on this machine has it."""
        self._take()
        self._manifest = manifest = _read(self._directory) or Manifest(self._sink)
        if manifest.sink != self._sink:
            raise SinkError(f"{self.name} holds {manifest.sink}, not {self._sink}: choose another directory")
        named = {part.file for part in manifest.files}
        for file in self._directory.glob("*.parquet*"):
            if file.name not in named:
                file.unlink()
        self._compare()
        return Applied(manifest.offsets, manifest.topic, manifest.at)

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """One file, then the manifest that names it."""
        with self._answering():
            files, replaced = self._with(self._manifest.files, changes, self._manifest.number + 1)
            self._publish(files, replaced, applied, self._manifest.number + 1)

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """New files, then the manifest that names them alone."""
        before = tuple(part.file for part in self._manifest.files)
        applied, files, number = Applied(), tuple[Part, ...](), self._manifest.number
        for changes, applied in batches:  # noqa: B007 — the last one counts
            number += 1
            with self._answering():
                files, merged = self._with(files, changes, number)
                for name in merged:
                    (self._directory / name).unlink()
        with self._answering():
            self._publish(files, before, applied, number)

    def clear(self) -> None:
        """Removes the manifest, then the files."""
        self._take()
        (self._directory / MANIFEST).unlink(missing_ok=True)
        for file in self._directory.glob("*.parquet*"):
            file.unlink()
        self.close()

    def close(self) -> None:
        """Gives the directory up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> None:
        if self._lock is not None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise FencedError(f"{self.name}: another process fills it") from error
        except OSError as error:
            raise SinkError(f"{self.name} cannot be written: {error.strerror}") from error

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AwayError(f"{self.name}: {error.strerror or error}") from error

    def _with(
        self, files: tuple[Part, ...], changes: Sequence[Change], number: int
    ) -> tuple[tuple[Part, ...], tuple[str, ...]]:
        """These files and one with the changes, and those that it takes the place of: a small one goes into it."""
        if not changes:
            return files, ()
        table, last, replaced = self._table(changes), files[-1] if files else None, tuple[str, ...]()
        if last is not None and last.rows < self._file_rows:
            earlier = pq.read_table(self._directory / last.file)
            table = pa.concat_tables([earlier, table], promote_options="default")
            files, replaced = files[:-1], (last.file,)
        name = f"{number:09}.parquet"
        with (self._directory / name).open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        return (*files, Part(name, table.num_rows)), replaced

    def _publish(self, files: tuple[Part, ...], replaced: tuple[str, ...], applied: Applied, number: int) -> None:
        """The manifest with these files; those that the one before had replaced go now."""
        before = self._manifest
        after = Manifest(self._sink, applied.topic, applied.at, dict(applied.offsets), files, replaced, number)
        _replace(self._directory, after)
        self._manifest = after
        for name in before.replaced:
            (self._directory / name).unlink(missing_ok=True)

    def _table(self, changes: Sequence[Change]) -> pa.Table:
        table = pa.Table.from_batches([arrow_batch(self._row, [(change.key, change.record) for change in changes])])
        beside: list[tuple[str, pa.DataType, list[object]]] = [
            ("_deleted", pa.bool_(), [change.record is None for change in changes]),
            ("_partition", pa.int32(), [change.partition for change in changes]),
            ("_offset", pa.int64(), [change.offset for change in changes]),
        ]
        for name, kind, column in beside:
            table = table.append_column(pa.field(name, kind, nullable=False), pa.array(column, kind))
        return table

    def _compare(self) -> None:
        """A column keeps its type; new ones are null in the changes from before."""
        for part in self._manifest.files[-1:]:
            found = pq.read_schema(self._directory / part.file)
            for field in arrow_schema(self._row):
                if field.name in found.names and found.field(field.name).type != field.type:
                    raise SinkError(
                        f"{self.name}: column {field.name} is {found.field(field.name).type}, the row's field needs "
                        f"{field.type}: give the field another name, or add --rebuild"
                    )


def read_rows(directory: Path) -> pa.Table:
    """The rows of a view that a sink keeps in a directory, in no order; SinkError where it keeps none there."""
    manifest = _read(directory)
    if manifest is None:
        raise SinkError(f"{directory} has no {MANIFEST}: no sink has written there")
    if not manifest.files:
        return pa.table({})
    tables = [pq.read_table(directory / part.file) for part in manifest.files]
    changes = pa.concat_tables(tables, promote_options="default")
    last = {key: number for number, key in enumerate(changes.column(0).to_pylist())}
    rows = changes.take(pa.array(last.values(), pa.int64()))
    return rows.filter(pa.compute.invert(rows.column("_deleted"))).drop_columns(["_deleted", "_partition", "_offset"])


def _read(directory: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SinkError(f"{directory / MANIFEST} cannot be read: {error}") from error


def _replace(directory: Path, manifest: Manifest) -> None:
    """The new manifest, on the disk before the old one goes."""
    fresh = directory / f"{MANIFEST}.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / MANIFEST)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
