"""Deciders in the engine: command in, events and a reply out, the aggregate's state moved on."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import structlog

from foldlog.contracts.codec import Codec
from foldlog.contracts.envelopes import meta as meta_after
from foldlog.contracts.envelopes import origin, read_snapshot, snapshot
from foldlog.contracts.schema import schema_of
from foldlog.core import topics
from foldlog.core.decider import Decider
from foldlog.core.errors import DecodeError, EncodeError, Rejected, StateError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record, replace
from foldlog.core.signatures import wants_meta
from foldlog.core.topology import Topology
from foldlog.engine.batch import Output, Place, Received
from foldlog.engine.kind import Folding
from foldlog.engine.remembered import NOTHING, remember, remember_event, version_of
from foldlog.engine.routing import forwarded
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import (
    FAULTS,
    FORWARDED,
    LARGEST,
    LONGEST_ID,
    LONGEST_KEY,
    Events,
    Work,
    fitting,
    headers_of,
    meta_of_command,
    place_of,
    text_of,
)

log = structlog.get_logger()

_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999: what a datetime can say


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """An aggregate in memory: its version, its latest commands (see `remembered`), its state."""

    version: int
    count: int
    handled: bytes
    state: Any


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A command as it came: its record, key, id, time in milliseconds, the engine's own headers."""

    message: Any
    partition: int
    key: bytes
    id: str
    time: int
    headers: dict[str, str]
    command: Record


class Cause(Record):
    """What a replay needs of an event's Meta."""

    aggregate_id: str
    version: int
    causation: str


class Deciding(Folding[Aggregate]):
    """One decider over its commands topic; the events topic is its log."""

    kind = "decider"
    forgets = False

    def __init__(self, topology: Topology, decider: Decider[Any, Any, Any], codec: Codec) -> None:
        self.name = decider.name
        self.commands = topics.commands(topology.name, decider.name)
        self.log = topics.events(topology.name, decider.name)
        self._snapshots = topics.snapshots(topology.name, decider.name)
        self.inputs = (self.commands,)
        self._decider = decider
        self._codec = codec
        self._prefix = f"{decider.name}:".encode()
        self._places = f"{self.commands}:"
        # Time is spent on Meta only where a function asks for it.
        self._decide, self._evolve = with_meta(decider.decide), with_meta(decider.evolve)
        self._tells = wants_meta(decider.decide) or wants_meta(decider.evolve)
        self._read = codec.decoding_with(Meta if wants_meta(decider.evolve) else Cause)
        self._accepts = frozenset(decider.commands)
        self.count = topology.partitions
        self._replies = topics.replies(topology.name)
        self._blank = Aggregate(0, *NOTHING, decider.initial)

    def fingerprint(self) -> str:
        """Of the state's schema: a state of another shape is folded again from the log, never guessed."""
        schema = schema_of(self._codec.contract(self._decider.state))
        return f"{zlib.crc32(msgspec.json.encode(schema, order='deterministic')):08x}"

    def rows(self, store: Store, memory: int) -> Rows[Aggregate]:
        """The aggregates of one partition."""
        return Rows(store, self._pack, self._unpack, memory)

    def handle(self, message: Received, rows: Rows[Aggregate], work: Work) -> None:
        """Decides one command."""
        key, value = message.key(), message.value()
        if key is None:
            return work.dead_letter(message, "null-key", "a command needs a key: the aggregate's id")
        aggregate = rows.get(key)
        if aggregate is None:  # one that is here is at home
            aggregate, home = self._blank, partition_of(key, self.count)
            if home != message.partition():
                return self._forward(message, key, home, work)
        if value is None:
            return work.dead_letter(message, "null-value", "a command needs a value")
        try:
            self._run(self._sent(message, key, value), rows, aggregate, work)
        except FAULTS as error:
            self.blame(message, work, error, "decide-failed")
        return None

    def replay(self, message: Received, rows: Rows[Aggregate]) -> None:
        """Folds one event of the log; an event that the state already has passes by."""
        key, value = message.key(), message.value()
        if key is None or value is None:
            return
        event, cause = self._read(value)
        id_ = cause.aggregate_id.encode()
        aggregate = rows.get(id_) or self._blank
        if cause.version <= aggregate.version:
            return
        if cause.version != aggregate.version + 1:
            raise StateError(
                f"{place_of(message)}: {cause.aggregate_id} goes from version {aggregate.version} to {cause.version}; "
                "events between are missing from the log"
            )
        state = self._evolve(aggregate.state, event, cause)
        handled = aggregate.count, aggregate.handled
        if not cause.causation.startswith(self._places):
            handled = remember_event(cause.causation.encode(), cause.version, *handled)
        rows.set(id_, Aggregate(cause.version, *handled, state))

    def _sent(self, message: Received, key: bytes, value: bytes) -> Sent:
        command = self._command(key, value)
        headers, time = headers_of(message), message.timestamp()[1]
        id_ = _id_of(message, headers)
        if len(id_) > LONGEST_ID and headers:
            raise DecodeError(f"the command id has more than {LONGEST_ID} characters", "malformed")
        if not _FIRST_MS <= time <= _LAST_MS:
            raise DecodeError(f"the timestamp {time} is beyond the years 1 to 9999", "malformed")
        return Sent(message, message.partition(), key, id_, time, headers, command)

    def _command(self, key: bytes, value: bytes) -> Record:
        command = self._codec.decode(value)
        if command.__class__ not in self._accepts:
            known = ", ".join(sorted(kind.__name__ for kind in self._accepts))
            raise DecodeError(
                f"{type(command).__name__} is no command of {self.name}; it takes {known}", "unexpected-type"
            )
        named = self._decider.key(command)
        if named.encode() != key:
            raise DecodeError(f"the key is {key!r}, the command is for {named!r}", "key-mismatch")
        return command

    def _run(self, sent: Sent, rows: Rows[Aggregate], aggregate: Aggregate, work: Work) -> None:
        asked = "reply-to" in sent.headers
        # A place is no id to repeat: a command that is moved is moved in a transaction.
        lasting = not sent.id.startswith(self._places)
        if lasting and (known := version_of(sent.id.encode(), aggregate.handled)) is not None:
            if asked:
                work.replies.append((sent.partition, Reply(sent.id, "accepted", known, duplicate=True)))
            return
        try:
            after, events = self._outcome(sent, aggregate, lasting)
        except Rejected as rejected:
            aggregate_id = sent.key.decode()
            log.info("rejected", processor=self.name, command=sent.id, aggregate=aggregate_id, reason=str(rejected))
            if asked:
                reply = Reply(sent.id, "rejected", aggregate.version, reason=text_of(rejected))
                work.replies.append((sent.partition, reply))
            return
        if events:
            work.events.setdefault(sent.partition, []).extend(events)
            rows.set(sent.key, after)
        if asked:
            work.replies.append((sent.partition, Reply(sent.id, "accepted", after.version)))

    def _outcome(self, sent: Sent, aggregate: Aggregate, lasting: bool) -> tuple[Aggregate, Events]:
        """The aggregate after a command, and its events as records; all of them or an exception."""
        meta = self._meta(sent, aggregate) if self._tells else None
        events = self._decide(sent.command, aggregate.state, meta)
        if not events:
            return aggregate, []
        state, version = aggregate.state, aggregate.version
        records: Events = []
        start = self._origin(sent)
        for event in events:
            version += 1
            place, envelope = meta_after(self._prefix, sent.key, version, start)
            value = self._codec.encode_before(event, envelope)
            if len(value) + len(place) > LARGEST:
                fitting(Output(self.log, sent.partition, place, value))
            if meta is not None:
                meta = replace(meta, event_id=f"{self.name}:{place.decode()}", version=version)
            state = self._evolve(state, event, meta)
            records.append((place, value))
        handled = aggregate.count, aggregate.handled
        if lasting:
            handled = remember(sent.id.encode(), version, *handled)
        return Aggregate(version, *handled, state), records

    def _origin(self, sent: Sent) -> bytes:
        headers, actor = sent.headers, sent.headers.get("actor")
        named = headers.get("correlation-id")
        return origin(
            sent.time, sent.id.encode(), named.encode() if named else None, None if actor is None else actor.encode()
        )

    def _meta(self, sent: Sent, aggregate: Aggregate) -> Meta:
        return meta_of_command(sent.message, sent.key.decode(), aggregate.version, sent.headers, sent.id)

    def fail(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Puts a command aside and tells its sender."""
        super().fail(message, work, cause, error)
        try:
            headers = headers_of(message)
        except DecodeError:  # then nobody knows what to call the command
            return
        if "reply-to" in headers:
            id_ = _id_of(message, headers)
            told = id_ if len(id_) <= LONGEST_ID else place_of(message)
            work.replies.append((message.partition(), Reply(told, "failed", 0, reason=text_of(error))))

    def replies(self, work: Work, ends: Mapping[Place, int]) -> Iterator[Output]:
        """The replies of a batch, each with a place in the log at which its command's events are all there."""
        for partition, reply in work.replies:
            end = ends.get((self.log, partition), 0)
            known = reply.status == "accepted" and end > 0
            placed = replace(reply, position=f"{self.log}:{partition}:{end - 1}") if known else reply
            key = reply.command_id.encode()
            yield Output(self._replies, partition_of(key, self.count), key, self._codec.encode(placed))

    def _forward(self, message: Received, key: bytes, partition: int, work: Work) -> None:
        """Moves a command to the partition of its key, with its first place as its id and its own time."""
        try:
            headers = forwarded(message)
            output = Output(self.commands, partition, key, message.value(), headers, message.timestamp()[1])
            work.outputs.append(fitting(output))
        except (DecodeError, EncodeError) as error:
            self.fail(message, work, error.cause, error)

    def _pack(self, aggregate: Aggregate) -> bytes:
        """The state as a record of the snapshots topic, which must take it too."""
        version, count, handled, state = aggregate.version, aggregate.count, aggregate.handled, aggregate.state
        packed = self._codec.encode_before(state, snapshot(version, count, handled))
        return (
            packed
            if len(packed) <= LARGEST - len(LONGEST_KEY)
            else fitting(Output(self._snapshots, 0, LONGEST_KEY, packed)).value or b""
        )

    def _unpack(self, packed: bytes) -> Aggregate:
        state, at = self._codec.decode_until(packed)
        version, count, handled = read_snapshot(packed, at)
        return Aggregate(version, count, handled, state)


def _id_of(message: Received, headers: dict[str, str]) -> str:
    """A command's id: the sender's, else the first place at which the command stood."""
    return headers.get("command-id") or headers.get(FORWARDED) or place_of(message)
