"""Commands on their way to Kafka: which processor takes each, its topic, its key, its headers."""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError, EncodeError
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.topics import commands
from foldlog.core.topology import Processor, Topology

Encode = Callable[[Record], bytes]


class Command(NamedTuple):
    """A record with what stands beside it: its id, by which it has its effect once, who wants it, and for what."""

    record: Record
    id: str | None = None
    actor: str | None = None
    correlation: str | None = None

    def headers(self, reply_to: str | None = None) -> list[tuple[str, bytes]]:
        """As Kafka carries them; `reply_to` asks for a reply."""
        values = {
            "command-id": self.id,
            "reply-to": reply_to,
            "correlation-id": self.correlation,
            "actor": self.actor,
        }
        return [(name, value.encode()) for name, value in values.items() if value is not None]


class Outgoing(NamedTuple):
    """A command as a record of Kafka: `value` is Avro in Confluent framing."""

    topic: str
    key: str
    value: bytes


def new_id() -> str:
    """An id for a command that came without one."""
    return str(uuid.uuid4())


def accepted(processor: Processor) -> tuple[type[Record], ...]:
    """The command types that a processor takes: none where it is a view or reactor."""
    return processor.commands if isinstance(processor, (Decider, Saga)) else ()


class Outbox:
    """Makes records of Kafka from a context's commands."""

    def __init__(self, topology: Topology, encode: Encode) -> None:
        self._context, self._encode = topology.name, encode
        self._takers: dict[type[Record], tuple[str, Callable[[Any], str | None]]] = {
            kind: (p.name, p.key if isinstance(p, Decider) else p.correlate)
            for p in topology.processors
            if isinstance(p, (Decider, Saga))
            for kind in p.commands
        }

    def outgoing(self, record: Record) -> Outgoing:
        """The record of a command; EncodeError where a value does not fit or the id is missing.

        Raises ConfigError where no processor of the context takes such a command.
        """
        taker = self._takers.get(type(record))
        if taker is None:
            raise ConfigError(f"{type(record).__name__} is no command of {self._context}")
        name, key_of = taker
        key = _id_of(record, key_of, f"{self._context}.{name}")
        return Outgoing(commands(self._context, name), key, self._encode(record))


def _id_of(record: Record, key_of: Callable[[Any], str | None], target: str) -> str:
    """The id of the aggregate or saga; the context's own function may fail on what nobody thought of."""
    try:
        key = key_of(record)
    except Exception as error:
        raise EncodeError(f"has no {target} id: {type(error).__name__}: {error}") from error
    if not key:
        raise EncodeError(f"the {target} id is empty")
    return key
