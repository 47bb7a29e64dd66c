"""A view as Parquet files: all rows at first, later what has changed since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from foldlog.client.connection import Connection
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ConfigError
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.restoring import topic_ids
from foldlog.kafka.connection import admin
from foldlog.kafka.generations import resolve
from foldlog.kafka.reading import Entry, between, bounds
from foldlog.query import manifest
from foldlog.query.arrow import arrow_batch, arrow_schema, free_column, key_column
from foldlog.query.manifest import File, Manifest
from foldlog.query.tables import Bar, decoded, portions

# A tombstone is kept for a day (delete.retention.ms); who comes later may miss that a row was deleted.
_OLDEST = timedelta(hours=12)
_GROUP = 100_000  # rows of a row group


@dataclass(frozen=True)
class Exported:
    """What one export did: the file that it wrote, None where nothing had changed, and why it took all rows, if so."""

    manifest: Manifest
    file: File | None
    full: str = ""


def export(
    connection: Connection, topology: Topology, view: View[Any, Any], directory: Path, bar: Bar, *, full: bool = False
) -> Exported:
    """Brings the files in a directory up to the end that the view's topic has now.

    All rows are written where there is no export yet, where `full` asks for it, and where the last one says no longer
    which rows have changed. Whatever happens on the way, the export before stays whole.

    Raises ConfigError where the directory holds something else or cannot be written, or where the view has no topic,
    ContractError where a row cannot be read, ClusterError where Kafka does not answer.
    """
    name = f"{topology.name}.{view.name}"
    topic = resolve(connection.bootstrap, topology.name, view.name)
    topic_id, _ = topic_ids(admin(connection.bootstrap), [topic])[topic]
    with manifest.opened(directory, name) as before:
        blank = _blank(name, topic, topic_id, view)
        if before is None:  # the directory is ours from now on
            manifest.write(directory, blank)
        why = "asked for" if before and before.files and full else _why_all(before, blank, directory)
        base = blank if why or before is None else before
        now = bounds(connection.bootstrap, topic)
        wanted = {number: (base.offsets.get(number, low), end) for number, (low, end) in now.items()}
        with bar(f"reading {topic}") as progress:
            entries = _latest(between(connection.bootstrap, topic, wanted, progress=progress), deletions=not why)
        file = None
        if entries or why:
            file = _Writer(directory, view, connection.codec(topology), blank).write(_next_name(before), entries)
        offsets = {number: end for number, (_, end) in now.items()}
        files = base.files if file is None else (*base.files, file)
        done = msgspec.structs.replace(blank, offsets=offsets, files=files)
        manifest.write(directory, done)
        manifest.tidy(directory, done)
    return Exported(done, file, why)


def _blank(name: str, topic: str, topic_id: str, view: View[Any, Any]) -> Manifest:
    names = key_column(view.row), free_column(view.row, "_offset"), free_column(view.row, "_deleted")
    columns = {field.name: str(field.type) for field in arrow_schema(view.row)}
    return Manifest(name, topic, topic_id, datetime.now(UTC), *names, columns)


def _why_all(before: Manifest | None, now: Manifest, directory: Path) -> str:
    """Why the files cannot be gone on with; nothing where they can."""
    if before is None or not before.files:
        return "the first export"
    missing = [file.name for file in before.files if not (directory / file.name).is_file()]
    if missing:
        raise ConfigError(f"{directory / missing[0]} is missing; --full writes all rows anew")
    if (before.topic, before.topic_id) != (now.topic, now.topic_id):
        return f"the rows are now in another topic, {now.topic}"
    if before.columns != now.columns:
        return "the columns have changed"
    if now.time - before.time > _OLDEST:
        return f"the last export is older than {_OLDEST.seconds // 3600} h, so a deletion may be missed"
    return ""


def _latest(entries: Iterable[Entry], *, deletions: bool) -> dict[str, Entry]:
    """The last record of each key."""
    table = {(entry.key or b"").decode(errors="backslashreplace"): entry for entry in entries}
    return {key: entry for key, entry in table.items() if deletions or entry.value is not None}


def _next_name(before: Manifest | None) -> str:
    last = max((file.number for file in before.files), default=0) if before else 0
    return f"rows-{last + 1:06}.parquet"


class _Writer:
    """Writes rows as Parquet: their columns, then the offset of the record, and whether it is a deletion."""

    def __init__(self, directory: Path, view: View[Any, Any], codec: Codec, blank: Manifest) -> None:
        self._directory, self._row, self._codec, self._topic = directory, view.row, codec, blank.topic
        offset, deleted = pa.field(blank.offset, pa.int64(), False), pa.field(blank.deleted, pa.bool_(), False)
        self._schema = arrow_schema(view.row).append(offset).append(deleted)

    def write(self, name: str, entries: dict[str, Entry]) -> File:
        """A file of these rows, by key; the entries are used up."""
        file = File(name, len(entries), sum(entry.value is None for entry in entries.values()))
        part = self._directory / f".{name}.part"
        try:
            with pq.ParquetWriter(part, self._schema, compression="zstd") as writer:
                for some in portions(entries, _GROUP):
                    writer.write_batch(self._batch(some))
            manifest.place(self._directory, name, part)
        except OSError as error:
            raise ConfigError(f"{part} cannot be written: {error}") from error
        finally:
            part.unlink(missing_ok=True)
        return file

    def _batch(self, entries: list[tuple[str, Entry]]) -> pa.RecordBatch:
        rows = [(key, self._decoded(entry)) for key, entry in entries]
        offsets = pa.array([entry.offset for _, entry in entries], pa.int64())
        deleted = pa.array([entry.value is None for _, entry in entries], pa.bool_())
        columns = [*arrow_batch(self._row, rows).columns, offsets, deleted]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _decoded(self, entry: Entry) -> Record | None:
        return None if entry.value is None else decoded(self._codec, self._topic, entry)
