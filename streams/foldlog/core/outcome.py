"""What the engine tells others about a command or a record: replies and dead letters."""

from datetime import datetime

from foldlog.core.record import Record


class Reply(Record):
    """The outcome of one command, keyed by its id on `<context>.replies`; written only when asked for.

    `version` is the aggregate's version after the command. `position` is `topic:partition:offset` of an event at
    or after the command's last one: a view that has read up to there shows the command's effect. A `duplicate`
    repeats the first outcome of the same command id; it wrote nothing.
    """

    command_id: str
    status: str
    version: int
    position: str | None = None
    reason: str | None = None
    duplicate: bool = False


class Header(Record):
    """One header of a Kafka record."""

    name: str
    value: bytes | None


class DeadLetter(Record):
    """A record that could not be handled, whole, with the place it stands at and the cause."""

    topic: str
    partition: int
    offset: int
    processor: str
    cause: str
    reason: str
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


TOO_LARGE = "too large to keep"  # begins the reason of a dead letter without key, value and headers

# Causes of dead letters, with what an operator should know about each.
CAUSES = {
    "null-key": "a command needs a key: the aggregate's id",
    "reserved-key": "the key is one that the engine keeps for itself",
    "null-value": "a command needs a value; a tombstone means nothing on a commands topic",
    "malformed": "the bytes are not Avro in Confluent framing (byte 0, schema id of 4 bytes, Avro)",
    "unknown-schema": "the registry has no schema with the id in the record",
    "unexpected-type": "the record's type is none that this topic accepts",
    "key-mismatch": "the record's key is not the aggregate id that its value names",
    "decide-failed": "`decide` raised something other than Rejected; the state is untouched",
    "encode-failed": "an outcome does not fit its schema; nothing was rounded or cut",
    "oversized": "an outcome is larger than its topic accepts",
    "fold-failed": "`key`, `correlate`, `react`, `evolve` or `translate` raised",
    "handle-failed": "the effect of a reactor or edge failed, is slow or was refused",
}
