"""Parked keys as the operator needs them: found on their topics, without the records of others in memory."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from foldlog.cli import output
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.record import Record
from foldlog.core.repair import Parked, ParkedKey
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection
    from foldlog.kafka.reading import Entry

_SUFFIX = ".parked"
_HEAD = b"@0"


class Head(NamedTuple):
    """A parked key, and the partition in which it waits: not that of its name where others wrote its records."""

    partition: int
    of: ParkedKey


def places(connection: "Connection", where: str | None) -> list[str]:
    """The processors that can park keys, `context.processor`, of a name or context; ConfigError where none can."""
    from foldlog.kafka.connection import partition_counts

    names = partition_counts(connection.bootstrap)
    known = sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    found = [name for name in known if where in (None, name, name.partition(".")[0])]
    if where is not None and not found:
        raise ConfigError(f"`{where}` parks no keys; these do: {', '.join(known) or 'none'}")
    return found


def heads(connection: "Connection", place: str) -> list[Head]:
    """The parked keys of a processor, longest parked first."""
    found = _read(connection, place, None, lambda entry: (entry.key or b"").endswith(_HEAD))
    known = (Head(entry.partition, head) for entry, head in found if isinstance(head, ParkedKey))
    return sorted(known, key=lambda head: head.of.since)


def records(connection: "Connection", place: str, head: Head) -> list[tuple[int, Parked]]:
    """The records that wait behind a parked key with their numbers, in order."""
    wanted = head.of.key.encode()
    found = _read(connection, place, head.partition, lambda entry: (entry.key or b"").rpartition(b"@")[0] == wanted)
    numbered = ((int((entry.key or b"").rpartition(b"@")[2]), record) for entry, record in found)
    return sorted((number, record) for number, record in numbered if isinstance(record, Parked))


def _read(
    connection: "Connection", place: str, partition: int | None, wanted: Callable[["Entry"], bool]
) -> Iterator[tuple["Entry", Record]]:
    from foldlog.kafka.reading import between, bounds, latest

    topic = place + _SUFFIX
    codec = connection.codec(Topology(place.partition(".")[0]))
    with output.bar(f"reading {topic}") as progress:
        ends = bounds(connection.bootstrap, topic)
        chosen = {number: ends[number] for number in ends if partition in (None, number)}
        entries = between(connection.bootstrap, topic, chosen, progress=progress)
        found = latest(entry for entry in entries if wanted(entry))
    for entry in found.values():
        try:
            yield entry, codec.decode(entry.value or b"")
        except DecodeError as error:
            raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error
