"""Commands as lines of JSON: `{"type": …, "data": {…}}`, optionally with "id", "actor" and "correlation"."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError, EncodeError, FoldlogError
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.topology import Processor, Topology


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line as it is written."""

    type: str
    data: msgspec.Raw
    id: str | None = None
    actor: str | None = None
    correlation: str | None = None


class Command(NamedTuple):
    """A checked command, ready to be sent: `value` is Avro in Confluent framing."""

    line: int
    key: str
    value: bytes
    id: str | None
    actor: str | None
    correlation: str | None


class Lines:
    """Parses the lines of one source for one processor; ConfigError names `source:line` and what is wrong."""

    def __init__(
        self, source: str, topology: Topology, processor: Processor, encode: Callable[[Record], bytes]
    ) -> None:
        self._source = source
        self._encode = encode
        self._target = f"{topology.name}.{processor.name}"
        commands, self._key = _accepted(self._target, processor)
        self._decoders = {kind.__name__: msgspec.json.Decoder(kind) for kind in commands}
        self._line = msgspec.json.Decoder(Line)

    def parse(self, lines: Iterable[bytes]) -> Iterator[Command]:
        """The command of each line; blank lines are passed over."""
        for number, text in enumerate(lines, 1):
            stripped = (text.removeprefix(codecs.BOM_UTF8) if number == 1 else text).strip()
            if stripped:
                try:
                    yield self._command(number, stripped)
                except FoldlogError as error:
                    raise ConfigError(f"{self._source}:{number}: {error}") from error

    def _command(self, number: int, text: bytes) -> Command:
        line = _decoded(self._line, text, "")
        decoder = self._decoders.get(line.type)
        if decoder is None:
            known = ", ".join(self._decoders)
            raise ConfigError(f"type: `{line.type}` is no command of {self._target}; it takes {known}")
        record = _decoded(decoder, line.data, "data")
        _refuse_unknown_fields(record, msgspec.json.decode(line.data), "data")
        for name in ("id", "actor", "correlation"):
            if getattr(line, name) == "":
                raise ConfigError(f"{name}: is empty; leave it out instead")
        try:
            value = self._encode(record)
        except EncodeError as error:
            raise ConfigError(f"data: {error}") from error
        return Command(number, self._id_of(record), value, line.id, line.actor, line.correlation)

    def _id_of(self, record: Record) -> str:
        """The id of the aggregate or saga; the context's own function may fail on what nobody thought of."""
        try:
            key = self._key(record)
        except Exception as error:
            raise ConfigError(f"data: has no {self._target} id: {type(error).__name__}: {error}") from error
        if not key:
            raise ConfigError(f"data: the {self._target} id is empty")
        return key


def _accepted(target: str, processor: Processor) -> tuple[tuple[type[Record], ...], Callable[[Any], str | None]]:
    match processor:
        case Decider():
            return processor.commands, processor.key
        case Saga() if processor.commands:
            return processor.commands, processor.correlate
        case _:
            raise ConfigError(f"{target} takes no commands: it is a {type(processor).__name__.lower()}")


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes | msgspec.Raw, root: str) -> Any:
    """The decoded value; msgspec's "Expected `int` - at `$.items[0]`" becomes "data.items[0]: Expected int"."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        what, _, path = str(error).replace("`", "").partition(" - at ")
        path = (root + path.removeprefix("$")).removeprefix(".")
        raise ConfigError(f"{path}: {what}" if path else what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ConfigError("not JSON: nested too deeply") from error


def _refuse_unknown_fields(value: object, written: object, path: str) -> None:
    """A misspelt optional field would be lost without a word."""
    if isinstance(value, Record) and isinstance(written, dict):
        known = {*value.__struct_fields__, value.__struct_config__.tag_field}
        for name, inner in written.items():
            if name not in known:
                raise ConfigError(f"{path}.{name}: {type(value).__name__} has no such field")
            if name in value.__struct_fields__:
                _refuse_unknown_fields(getattr(value, name), inner, f"{path}.{name}")
    elif isinstance(value, (tuple, list)) and isinstance(written, list):
        for index, (one, other) in enumerate(zip(value, written, strict=False)):
            _refuse_unknown_fields(one, other, f"{path}[{index}]")
    elif isinstance(value, dict) and isinstance(written, dict):
        for name, inner in value.items():
            _refuse_unknown_fields(inner, written.get(str(name)), f"{path}.{name}")
