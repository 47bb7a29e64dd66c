"""The rows of a view as its topic has them now, as Arrow."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from foldlog.client.connection import Connection
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.kafka.generations import resolve
from foldlog.kafka.reading import Entry, Progress, latest, read
from foldlog.query.arrow import arrow_batch, arrow_schema

_ROWS = 10_000  # in a batch
_BYTES = 64 << 20  # of a batch's rows as Kafka has them; far below what one column may hold

Bar = Callable[[str], Any]
"""Called with what is read; a context manager that gives a `Progress`."""


def view_of(topology: Topology, name: str) -> View[Any, Any]:
    """The view of a name; ConfigError says which there are."""
    for view in topology.views:
        if view.name == name:
            return view
    known = ", ".join(sorted(view.name for view in topology.views)) or "none"
    raise ConfigError(f"{topology.name} has no view `{name}`; its views are: {known}")


def decoded(codec: Codec, topic: str, entry: Entry) -> Record:
    """The row in a record of a view's topic; ContractError names the place of one that cannot be read."""
    try:
        return codec.decode(entry.value or b"")
    except DecodeError as error:
        raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error


def batches(
    connection: Connection, topology: Topology, view: View[Any, Any], progress: Progress
) -> Iterator[pa.RecordBatch]:
    """The rows up to the end that the topic has now, by key, in batches of `arrow_schema`.

    Raises ConfigError where there is no such topic, ContractError where a row cannot be read.
    """
    topic = resolve(connection.bootstrap, topology.name, view.name)
    codec = connection.codec(topology)
    entries = latest(read(connection.bootstrap, topic, progress=progress))
    for some in portions(entries):
        yield arrow_batch(view.row, [(key, decoded(codec, topic, entry)) for key, entry in some])


def portions(entries: dict[str, Entry], rows: int = _ROWS) -> Iterator[list[tuple[str, Entry]]]:
    """The entries by key, in lists of so many that fit a batch; they are taken out of the table."""
    some, size = list[tuple[str, Entry]](), 0
    for key in sorted(entries):
        entry = entries.pop(key)
        some.append((key, entry))
        size += len(entry.value or b"")
        if len(some) >= rows or size >= _BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def table(connection: Connection, topology: Topology, name: str, progress: Progress) -> pa.Table:
    """The rows of the view of a name, by key; errors as in `view_of` and `batches`."""
    view = view_of(topology, name)
    return pa.Table.from_batches(batches(connection, topology, view, progress), arrow_schema(view.row))
