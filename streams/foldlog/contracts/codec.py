"""The codec of a topology: records to and from Confluent's framing, byte 0, schema id (4 bytes), Avro body.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
Avro records concatenate, so an event's body is its record's bytes followed by its envelope's.
"""

from collections.abc import Callable
from struct import error as StructError  # noqa: N812 — an exception's name
from types import EllipsisType
from typing import Any

from foldlog.contracts.decoder import decoder, decoder_before, decoder_until, decoder_with
from foldlog.contracts.encoder import Encode, encoder
from foldlog.contracts.faults import fault_in
from foldlog.contracts.reading import Unexpected
from foldlog.contracts.registry import Registry, Writer
from foldlog.contracts.schema import ENGINE
from foldlog.contracts.skipping import plain
from foldlog.contracts.subjects import ENGINE_RECORDS, engine_name, names, subjects
from foldlog.core.contract import Contract, consumed, contracts
from foldlog.core.errors import ContractError, DecodeError, EncodeError, RegistryError
from foldlog.core.record import Record
from foldlog.core.topology import Topology

Decode = Callable[[bytes], Any]
Envelope = tuple[str, type[Record]] | None
How = Callable[[Writer, type[Record], Envelope], Decode]

FRAME = 5


class Codec:
    """Encodes and decodes every record of a topology, and the engine's Reply and DeadLetter; safe to share.

    Public events of other contexts that the topology reads are decoded too.
    Raises ContractError where a record has no Avro schema or two share a name.
    """

    def __init__(self, topology: Topology, registry: Registry) -> None:
        self._topology = topology
        self._registry = registry
        self._schemas = subjects(topology)
        self._contracts = {contract.record: contract for contract in contracts(topology)}
        self._kinds: dict[str, tuple[type[Record], Envelope]] = {
            contract.name: (contract.record, contract.envelope)
            for contract in (*self._contracts.values(), *consumed(topology))
        }
        self._kinds |= {engine_name(record): (record, None) for record in ENGINE_RECORDS}
        self._encoders: dict[type[Record], tuple[bytes, Encode, Encode | None]] = {}
        self._decoders = _Learned(lambda value: self._decoder(value, _before))
        self._decoders_with = _Learned(lambda value: self._decoder(value, _with))
        self._decoders_until = _Learned(lambda value: self._decoder(value, _until))

    def contract(self, kind: type[Record]) -> Contract:
        """The contract of a record type; ContractError where the topology does not have it."""
        if kind not in self._contracts:
            raise ContractError(f"{kind.__name__} is no command, event, state or row of {self._topology.name}")
        return self._contracts[kind]

    def prepare(self) -> None:
        """Look up the ids of all schemas that the topology writes, which are never registered here.

        Raises ContractError naming a schema that is not registered, RegistryError where the registry is silent.
        """
        ids: dict[str, int] = {}
        for subject, name in names(self._topology).items():
            found = self._registry.lookup(subject, self._schemas[subject])
            if found is None:
                command = f"foldlog schemas push topologies.{self._topology.name}"
                raise ContractError(f"{name} is not registered: run `{command}`")
            ids[name] = found
        for name, schema_id in ids.items():
            record, envelope = self._kinds[name]
            rest = encoder(envelope[1]) if envelope else None
            self._encoders[record] = (b"\0" + schema_id.to_bytes(4, "big"), encoder(record), rest)

    def frame(self, record: type[Record]) -> bytes:
        """What the messages of a record type begin with; ContractError before `prepare`."""
        if record not in self._encoders:
            raise ContractError(f"{record.__name__} is no record of {self._topology.name} whose schema id is known")
        return self._encoders[record][0]

    def encode(self, record: Record, envelope: Record | None = None) -> bytes:
        """A record as a message; an event needs its Meta, a saga's state its Process.

        Raises EncodeError naming the field where a value does not fit its type: nothing is rounded or cut.
        """
        try:
            frame, body, rest = self._encoders[record.__class__]
            if rest is not None:
                return frame + body(record) + rest(envelope)
            if envelope is None:
                return frame + body(record)
        except Exception as error:
            raise self._unfit(record, envelope) from error
        raise self._unfit(record, envelope)

    def encode_before(self, record: Record, envelope: bytes) -> bytes:
        """A record as a message, before an envelope that is bytes already; EncodeError as in `encode`."""
        try:
            frame, body, _ = self._encoders[record.__class__]
            return frame + body(record) + envelope
        except Exception as error:
            raise self._unfit(record) from error

    def name(self, value: bytes) -> str:
        """The Avro full name of a message's record, of this topology or not; DecodeError or RegistryError."""
        return self._writer(value).name

    def decode(self, value: bytes) -> Record:
        """The record of a message, of any version of its schema; the envelope is left unread.

        Raises DecodeError with its `cause`, RegistryError where a new schema id cannot be asked for.
        """
        try:
            record: Record = self._decoders[value[:FRAME]](value)
        except (DecodeError, RegistryError):
            raise
        except Exception as error:
            raise self._undecodable(value, error) from error
        return record

    def decode_with(self, value: bytes) -> tuple[Record, Any]:
        """The record of a message and its envelope (Meta, Snapshot or Process), None where its schema has none."""
        found: tuple[Record, Any] = self._decoded(self._decoders_with, value)
        return found

    def decode_until(self, value: bytes) -> tuple[Record, int]:
        """The record of a message, and the place at which its envelope begins."""
        found: tuple[Record, int] = self._decoded(self._decoders_until, value)
        return found

    def decoding_with(self, envelope: type[Record]) -> Decode:
        """A function as `decode_with`, that reads of the envelope only the fields of another record type."""
        decoders = _Learned(lambda value: self._decoder(value, _part(envelope)))
        return lambda value: self._decoded(decoders, value)

    def _decoded(self, decoders: "_Learned", value: bytes) -> Any:
        try:
            return decoders[value[:FRAME]](value)
        except (DecodeError, RegistryError):
            raise
        except Exception as error:
            raise self._undecodable(value, error) from error

    def _decoder(self, frame: bytes, how: "How") -> Decode:
        """The decoder of messages whose schema id was not met before."""
        writer = self._writer(frame)
        if writer.name not in self._kinds:
            raise DecodeError(f"{writer.name} is no record of {self._topology.name}", "unexpected-type")
        record, envelope = self._kinds[writer.name]
        return how(writer, record, envelope if envelope and _ends_with(writer, *envelope) else None)

    def _writer(self, value: bytes) -> Writer:
        if len(value) < FRAME:
            raise DecodeError(f"{len(value)} bytes are too short for a schema id and a record")
        if value[0] != 0:
            raise DecodeError(f"the first byte is {value[0]}, not 0: no Confluent framing")
        return self._registry.by_id(int.from_bytes(value[1:FRAME], "big"))

    def _undecodable(self, value: bytes, error: Exception) -> DecodeError:
        cause = "unexpected-type" if isinstance(error, Unexpected) else "malformed"
        schema_id = int.from_bytes(value[1:FRAME], "big")
        place = f"{self._registry.by_id(schema_id).name} (schema {schema_id})"
        return DecodeError(f"{place}: {_reason(error)}", cause)

    def _unfit(self, record: Record, envelope: Record | EllipsisType | None = ...) -> EncodeError:
        kind = type(record)
        if kind not in self._encoders:
            prepared = "" if self._encoders else "; prepare() comes first"
            return EncodeError(f"{kind.__name__} is no record of {self._topology.name}{prepared}")
        name, needed = next((name, needed) for name, (known, needed) in self._kinds.items() if known is kind)
        if needed is None and isinstance(envelope, Record):
            return EncodeError(f"{name} has no {type(envelope).__name__}")
        if needed is not None and envelope is not ... and type(envelope) is not needed[1]:
            return EncodeError(f"{name}.{needed[0]}: is {type(envelope).__name__}, not {needed[1].__name__}")
        try:
            found = fault_in(record) or f"{needed and needed[0]}.{isinstance(envelope, Record) and fault_in(envelope)}"
        except RecursionError:
            return EncodeError(f"{name}: is nested too deeply")
        return EncodeError(f"{name}.{found}")


class _Learned(dict[bytes, Decode]):
    """Decoders by the frame of a message, each made when its frame is met first."""

    def __init__(self, make: Callable[[bytes], Decode]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, frame: bytes) -> Decode:
        made = self[frame] = self._make(frame)
        return made


def _before(writer: Writer, record: type[Record], envelope: Envelope) -> Decode:
    return (decoder_before if envelope else decoder)(writer.schema, writer.named, record)


def _until(writer: Writer, record: type[Record], envelope: Envelope) -> Decode:
    if envelope is None:
        raise DecodeError(f"{writer.name} was written without an envelope", "malformed")
    return decoder_until(writer.schema, writer.named, record)


def _with(writer: Writer, record: type[Record], envelope: Envelope) -> Decode:
    if envelope is None:
        alone = decoder(writer.schema, writer.named, record)
        return lambda value: (alone(value), None)
    return decoder_with(writer.schema, writer.named, record, envelope[1])


def _part(kind: type[Record]) -> "How":
    return lambda writer, record, envelope: _with(writer, record, envelope and (envelope[0], kind))


def _ends_with(writer: Writer, name: str, kind: type[Record]) -> bool:
    last = writer.schema["fields"][-1:]
    types = [plain(field["type"], writer.named) for field in last if field["name"] == name]
    return any(isinstance(schema, dict) and schema.get("name") == f"{ENGINE}.{kind.__name__}" for schema in types)


def _reason(error: Exception) -> str:
    match error:
        case IndexError() | StructError():
            return "the record ends too early"
        case UnicodeDecodeError():
            return "a string is not UTF-8"
        case ArithmeticError():
            return "a number is out of range for its type"
        case _:
            return str(error) or type(error).__name__
