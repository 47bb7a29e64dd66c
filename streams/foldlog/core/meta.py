"""What the engine knows about a message beside its value."""

from datetime import datetime

from foldlog.core.record import Record


class Meta(Record):
    """Where an event comes from; the last field of every event's Avro schema.

    `time` is the command record's timestamp (milliseconds, UTC). For a handler of commands, `event_id` is
    empty, `version` is the aggregate's version before the command and `causation` is the command's id.
    `position` is `topic:partition:offset` of the record being handled; it is not stored.
    """

    event_id: str
    aggregate_id: str
    version: int
    time: datetime
    causation: str
    correlation: str
    actor: str | None = None
    tenant: str | None = None
    position: str = ""
