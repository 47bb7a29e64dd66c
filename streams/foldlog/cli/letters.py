"""Dead letters as the operator needs them: found, filtered, and their content taken apart."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.outcome import CAUSES, DeadLetter
from foldlog.core.topics import dead_letters
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection
    from foldlog.contracts.registry import Registry
    from foldlog.kafka.reading import Progress

SUFFIX = dead_letters("")


def contexts(bootstrap: str) -> list[str]:
    """The contexts whose dead letters this cluster keeps."""
    from foldlog.kafka.connection import partition_counts

    return sorted(name.removesuffix(SUFFIX) for name in partition_counts(bootstrap) if name.endswith(SUFFIX))


def letters(connection: "Connection", context: str, progress: "Progress") -> Iterator[DeadLetter]:
    """The dead letters of a context, oldest first; ConfigError where the context has no such topic."""
    from foldlog.kafka.reading import read

    topic = dead_letters(context)
    # A dead letter is the engine's own record: any topology of that name decodes it.
    codec = connection.codec(Topology(context))
    for entry in read(connection.bootstrap, topic, progress=progress):
        try:
            letter = codec.decode(entry.value or b"")
        except DecodeError as error:
            raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error
        if isinstance(letter, DeadLetter):
            yield letter


def place(letter: DeadLetter) -> str:
    """Where the record stands, `topic:partition:offset`."""
    return f"{letter.topic}:{letter.partition}:{letter.offset}"


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
