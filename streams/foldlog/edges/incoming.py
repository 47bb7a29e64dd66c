"""From a message of the outside to a command: the one gate for HTTP and RabbitMQ."""

from collections.abc import Mapping

import msgspec

from foldlog.client.commands import Command
from foldlog.client.parsing import Parser, decoded
from foldlog.core.errors import DecodeError
from foldlog.core.topology import Topology
from foldlog.edges.cloudevents import STRUCTURED, CloudEvent, checked, from_attributes
from foldlog.engine.work import LONGEST_ID

MOST = 1000  # commands in one message


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """A command as JSON: as `foldlog send` reads it."""

    type: str
    data: msgspec.Raw
    id: str | None = None
    actor: str | None = None
    correlation: str | None = None


class Gate:
    """Makes commands of a context from JSON; DecodeError names the field and what is wrong with it."""

    def __init__(self, topology: Topology) -> None:
        self.parser = Parser(topology.name, topology.processors, topology.name)
        self._item = msgspec.json.Decoder(Item)
        self._event = msgspec.json.Decoder(CloudEvent)
        self._array = msgspec.json.Decoder(list[msgspec.Raw])

    def named(
        self, name: str, data: bytes, id: str | None = None, actor: str | None = None, correlation: str | None = None
    ) -> Command:
        """The command of a type whose fields are the whole body."""
        return valid(Command(self.parser.command(name, data, ""), id, actor, correlation))

    def event(self, body: bytes | msgspec.Raw) -> Command:
        """The command of a CloudEvent in structured mode."""
        event = decoded(self._event, body, "")
        return self._of_event(checked(event, event.data))

    def binary(self, attributes: Mapping[str, str], body: bytes) -> Command:
        """The command of a CloudEvent in binary mode."""
        return self._of_event(from_attributes(attributes, body))

    def item(self, text: bytes | msgspec.Raw) -> Command:
        """The command of `{"type": …, "data": {…}}`."""
        item: Item = decoded(self._item, text, "")
        return valid(Command(self.parser.command(item.type, item.data, "data"), item.id, item.actor, item.correlation))

    def any(self, content_type: str, attributes: Mapping[str, str], body: bytes) -> Command:
        """The command of a message that stands alone."""
        if content_type == STRUCTURED:
            return self.event(body)
        return self.binary(attributes, body) if "type" in attributes else self.item(body)

    def batch(self, body: bytes, events: bool) -> list[Command]:
        """The commands of an array of CloudEvents or of items; the error says which one is wrong."""
        parts = decoded(self._array, body, "")
        if not 1 <= len(parts) <= MOST:
            raise DecodeError(f"an array of 1 to {MOST} commands is expected, not of {len(parts)}")
        found = []
        for number, part in enumerate(parts):
            try:
                found.append(self.event(part) if events else self.item(part))
            except DecodeError as error:
                raise DecodeError(f"[{number}]: {error}", error.cause) from error
        return found

    def _of_event(self, event: CloudEvent) -> Command:
        record = self.parser.command(event.type, event.data, "data")
        return valid(Command(record, event.id, event.actor, event.correlationid))


def valid(command: Command) -> Command:
    """The command; DecodeError where what stands beside it is no header of Kafka's."""
    for name in ("id", "actor", "correlation"):
        value = getattr(command, name)
        if value == "":
            raise DecodeError(f"{name}: is empty; leave it out instead")
        if value is not None and (len(value) > LONGEST_ID or not value.isprintable()):
            raise DecodeError(f"{name}: at most {LONGEST_ID} printable characters are possible")
    return command
