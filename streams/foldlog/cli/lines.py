"""Commands as lines of JSON: `{"type": …, "data": {…}}`, optionally with "id", "actor" and "correlation"."""

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from foldlog.client.commands import Command, Encode, Outbox, Outgoing, accepted
from foldlog.client.parsing import UNKNOWN, Parser, decoded
from foldlog.core.errors import ConfigError, DecodeError, EncodeError, FoldlogError
from foldlog.core.topology import Processor, Topology


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line as it is written."""

    type: str
    data: msgspec.Raw
    id: str | None = None
    actor: str | None = None
    correlation: str | None = None


class Checked(NamedTuple):
    """The command of a line, ready to be sent."""

    line: int
    command: Command
    outgoing: Outgoing


class Lines:
    """Parses the lines of one source for one processor; ConfigError names `source:line` and what is wrong."""

    def __init__(self, source: str, topology: Topology, processor: Processor, encode: Encode) -> None:
        self._source = source
        target = f"{topology.name}.{processor.name}"
        if not accepted(processor):
            raise ConfigError(f"{target} takes no commands: it is a {type(processor).__name__.lower()}")
        self._parser = Parser(topology.name, [processor], target)
        self._outbox = Outbox(topology, encode)
        self._line = msgspec.json.Decoder(Line)

    def parse(self, lines: Iterable[bytes]) -> Iterator[Checked]:
        """The command of each line; blank lines are passed over."""
        for number, text in enumerate(lines, 1):
            stripped = (text.removeprefix(codecs.BOM_UTF8) if number == 1 else text).strip()
            if stripped:
                try:
                    yield self._checked(number, stripped)
                except FoldlogError as error:
                    raise ConfigError(f"{self._source}:{number}: {error}") from error

    def _checked(self, number: int, text: bytes) -> Checked:
        line: Line = decoded(self._line, text, "")
        try:
            record = self._parser.command(line.type, line.data, "data")
        except DecodeError as error:
            raise DecodeError(f"type: {error}" if error.cause == UNKNOWN else str(error)) from error
        for name in ("id", "actor", "correlation"):
            if getattr(line, name) == "":
                raise ConfigError(f"{name}: is empty; leave it out instead")
        try:
            outgoing = self._outbox.outgoing(record)
        except EncodeError as error:
            raise ConfigError(f"data: {error}") from error
        return Checked(number, Command(record, line.id, line.actor, line.correlation), outgoing)
