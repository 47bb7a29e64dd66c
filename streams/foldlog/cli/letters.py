"""Dead letters as the operator needs them: found, filtered, and their content taken apart."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Any, NamedTuple

from foldlog.cli import output
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.outcome import CAUSES, TOO_LARGE, DeadLetter
from foldlog.core.record import Record
from foldlog.core.repair import DROP, EDIT, RETRY, Parked, Repair
from foldlog.core.topics import dead_letters, repairs
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection
    from foldlog.contracts.registry import Registry
    from foldlog.kafka.reading import Progress

SUFFIX = dead_letters("")
_REPAIRS = repairs("")
_STATUS = {RETRY: "retried", DROP: "dropped", EDIT: "edited"}


class Letter(NamedTuple):
    """A dead letter with its number on the topic, and what operators asked to be done about it, in order."""

    number: int
    letter: DeadLetter
    repairs: tuple[Repair, ...]

    @property
    def place(self) -> str:
        """Where the record stands, `topic:partition:offset`."""
        return f"{self.letter.topic}:{self.letter.partition}:{self.letter.offset}"

    @property
    def status(self) -> str:
        """`open`, or what was done last: `edited` waits as `open` does; `retried` and `dropped` are settled."""
        return _STATUS.get(self.repairs[-1].action, "open") if self.repairs else "open"

    @property
    def settled(self) -> bool:
        """Whether nobody has to look at it any more."""
        return self.status in ("retried", "dropped")

    @property
    def bare(self) -> bool:
        """Whether its bytes could not be kept, and nobody has given it others."""
        return self.record.value is None and self.letter.reason.startswith(TOO_LARGE)

    @property
    def record(self) -> Parked:
        """The record to be handled: as it was edited last, else as it was."""
        edited = [each.record for each in self.repairs if each.action == EDIT and each.record is not None]
        one = self.letter
        place = one.topic, one.partition, one.offset
        return edited[-1] if edited else Parked(*place, one.time, one.key, one.value, one.headers)


def contexts(bootstrap: str) -> list[str]:
    """The contexts whose dead letters this cluster keeps."""
    from foldlog.kafka.connection import partition_counts

    return sorted(name.removesuffix(SUFFIX) for name in partition_counts(bootstrap) if name.endswith(SUFFIX))


def repairs_of(bootstrap: str, context: str) -> dict[str, int]:
    """The topics with the orders of a context, each with its partitions: its own first, then its subscriptions'.

    ConfigError where the context has none.
    """
    from foldlog.kafka.connection import partition_count, partition_counts

    own, counts = repairs(context), partition_counts(bootstrap)
    others = {name: n for name, n in counts.items() if name.startswith(f"{context}.") and name.endswith(_REPAIRS)}
    return {own: partition_count(bootstrap, own), **others}


def read(connection: "Connection", context: str) -> Iterator[Letter]:
    """The dead letters of a context, as they were written; ConfigError where the context has no such topic."""
    with output.bar(f"reading dead letters of {context}") as progress:
        yield from _letters(connection, context, progress)


def latest(letters: Iterable[Letter], limit: int) -> tuple[list[Letter], int]:
    """The latest so many, in the order of time, and how many there are in all: those are not kept."""
    kept: list[tuple[datetime, int, Letter]] = []
    count = 0
    for count, one in enumerate(letters, 1):
        entry = one.letter.time, count, one
        if len(kept) < limit:
            heappush(kept, entry)
        else:
            heappushpop(kept, entry)
    return [one for *_, one in sorted(kept)], count


def _letters(connection: "Connection", context: str, progress: "Progress") -> Iterator[Letter]:
    asked: defaultdict[int, list[Repair]] = defaultdict(list)
    for topic in repairs_of(connection.bootstrap, context):
        for _, record in _read(connection, context, topic, progress):
            if isinstance(record, Repair) and record.letter is not None:
                asked[record.letter].append(record)
    for number, record in _read(connection, context, dead_letters(context), progress):
        if isinstance(record, DeadLetter):
            yield Letter(number, record, tuple(sorted(asked[number], key=lambda each: each.time)))


def _read(connection: "Connection", context: str, topic: str, progress: "Progress") -> Iterator[tuple[int, Record]]:
    """The records of a topic of the engine's own, with their offsets; garbage among the repairs means nothing."""
    from foldlog.kafka.reading import read

    codec = connection.codec(Topology(context))  # any topology of that name decodes them
    for entry in read(connection.bootstrap, topic, progress=progress):
        try:
            yield entry.offset, codec.decode(entry.value or b"")
        except DecodeError as error:
            if topic == dead_letters(context):
                raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error


def check_cause(cause: str | None) -> None:
    """ConfigError lists the causes where this is none of them."""
    if cause is not None and cause not in CAUSES:
        raise ConfigError(f"--cause {cause}: there is no such cause; it is one of {', '.join(CAUSES)}")


def hexdump(value: bytes, limit: int = 256) -> str:
    """The first `limit` bytes, 16 a line, as `offset  hex  text`."""
    lines = []
    for start in range(0, min(len(value), limit), 16):
        row = value[start : min(start + 16, limit)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {text}")
    if len(value) > limit:
        lines.append(f"… {len(value) - limit:,} more bytes")
    return "\n".join(lines)


def content(value: bytes | None, registry: "Registry") -> tuple[str, Any] | str:
    """The type and the fields of a value, by the schema it was written with; else why it cannot be read.

    Any type that the registry knows is read, also one that the topic does not accept.
    """
    import io

    from fastavro import schemaless_reader

    if value is None:
        return "there is no value"
    if len(value) < 5 or value[0] != 0:
        return "it is not framed: byte 0, schema id of 4 bytes, Avro"
    schema_id = int.from_bytes(value[1:5], "big")
    try:
        writer = registry.by_id(schema_id)
    except ContractError as error:
        return str(error)
    try:
        body = io.BytesIO(value[5:])
        found = schemaless_reader(body, writer.schema, None)
    except Exception as error:  # fastavro raises whatever the bytes lead it to
        return f"it is not what schema {schema_id} says: {type(error).__name__}: {error}"
    rest = len(value) - 5 - body.tell()
    if rest:
        return f"{rest} bytes follow the value of schema {schema_id}"
    return writer.name, found
