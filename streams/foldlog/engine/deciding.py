"""Deciders in the engine: command in, events and a reply out, the aggregate's state moved on."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import structlog

from foldlog.contracts.codec import Codec
from foldlog.contracts.schema import schema_of
from foldlog.core import topics
from foldlog.core.decider import Decider
from foldlog.core.errors import DecodeError, EncodeError, Rejected, StateError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.engine.batch import Output, Place, Received
from foldlog.engine.kind import Folding
from foldlog.engine.routing import forwarded
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import (
    FAULTS,
    FORWARDED,
    LONGEST_ID,
    Work,
    fitting,
    headers_of,
    meta_of_command,
    place_of,
    text_of,
)

log = structlog.get_logger()

REMEMBERED = 64  # command ids kept with an aggregate; a repetition further back is a new command


class Aggregate(msgspec.Struct, frozen=True):
    """An aggregate in memory: its version, the outcomes of its latest commands, its state."""

    version: int
    outcomes: tuple[tuple[str, int], ...]
    state: Any


class Deciding(Folding[Aggregate]):
    """One decider over its commands topic; the events topic is its log."""

    kind = "decider"
    forgets = False

    def __init__(self, topology: Topology, decider: Decider[Any, Any, Any], codec: Codec) -> None:
        self.name = decider.name
        self.commands = topics.commands(topology.name, decider.name)
        self.log = topics.events(topology.name, decider.name)
        self.inputs = (self.commands,)
        self._decider = decider
        self._codec = codec
        self._decide = with_meta(decider.decide)
        self._evolve = with_meta(decider.evolve)
        self._accepts = frozenset(decider.commands)
        self.count = topology.partitions
        self._replies = topics.replies(topology.name)
        self._blank = Aggregate(0, (), decider.initial)

    def fingerprint(self) -> str:
        """Of the state's schema: a state of another shape is folded again from the log, never guessed."""
        schema = schema_of(self._codec.contract(self._decider.state))
        return f"{zlib.crc32(msgspec.json.encode(schema, order='deterministic')):08x}"

    def rows(self, store: Store, cached: int) -> Rows[Aggregate]:
        """The aggregates of one partition."""
        return Rows(store, self._pack, self._unpack, cached)

    def handle(self, message: Received, rows: Rows[Aggregate], work: Work) -> None:
        """Decides one command."""
        key, value = message.key(), message.value()
        if key is None:
            work.dead_letter(message, "null-key", "a command needs a key: the aggregate's id")
        elif (home := partition_of(key, self.count)) != message.partition():
            self._forward(message, key, home, work)
        elif value is None:
            work.dead_letter(message, "null-value", "a command needs a value")
        else:
            try:
                self._run(message, key, self._command(key, value), rows, work)
            except FAULTS as error:
                self.blame(message, work, error, "decide-failed")

    def replay(self, message: Received, rows: Rows[Aggregate]) -> None:
        """Folds one event of the log; an event that the state already has passes by."""
        key, value = message.key(), message.value()
        if key is None or value is None:
            return
        event, meta = self._codec.decode_with(value)
        id_ = meta.aggregate_id.encode()
        aggregate = rows.get(id_) or self._blank
        if meta.version <= aggregate.version:
            return
        if meta.version != aggregate.version + 1:
            raise StateError(
                f"{place_of(message)}: {meta.aggregate_id} goes from version {aggregate.version} to {meta.version}; "
                "events between are missing from the log"
            )
        state = self._evolve(aggregate.state, event, meta)
        rows.set(id_, Aggregate(meta.version, self._remember(aggregate, meta.causation, meta.version), state))

    def _command(self, key: bytes, value: bytes) -> Record:
        command: Record = self._codec.decode(value)
        if type(command) not in self._accepts:
            known = ", ".join(sorted(kind.__name__ for kind in self._accepts))
            raise DecodeError(
                f"{type(command).__name__} is no command of {self.name}; it takes {known}", "unexpected-type"
            )
        named = self._decider.key(command)
        if named.encode() != key:
            raise DecodeError(f"the key is {key!r}, the command is for {named!r}", "key-mismatch")
        return command

    def _run(self, message: Received, key: bytes, command: Record, rows: Rows[Aggregate], work: Work) -> None:
        aggregate = rows.get(key) or self._blank
        headers = headers_of(message)
        if max(len(headers.get("command-id", "")), len(headers.get(FORWARDED, ""))) > LONGEST_ID:
            raise DecodeError(f"the command id has more than {LONGEST_ID} characters", "malformed")
        id_ = _id_of(message, headers)
        asked = "reply-to" in headers
        for known, version in aggregate.outcomes:
            if known == id_:
                if asked:
                    work.replies.append((message.partition(), Reply(id_, "accepted", version, duplicate=True)))
                return
        meta = meta_of_command(message, key.decode(), aggregate.version, headers, id_)
        try:
            after, written = self._outcome(command, aggregate, meta)
        except Rejected as rejected:
            log.info("rejected", processor=self.name, command=id_, aggregate=meta.aggregate_id, reason=str(rejected))
            reply = Reply(id_, "rejected", aggregate.version, reason=text_of(rejected))
        else:
            reply = Reply(id_, "accepted", after.version)
            work.outputs += written
            if written:
                rows.set(key, after)
        if asked:
            work.replies.append((message.partition(), reply))

    def _outcome(self, command: Record, aggregate: Aggregate, meta: Meta) -> tuple[Aggregate, list[Output]]:
        """The aggregate after a command and the records of its events; all of them or an exception."""
        events = self._decide(command, aggregate.state, meta)
        state, version, written = aggregate.state, aggregate.version, []
        partition = partition_of(meta.aggregate_id.encode(), self.count)
        for event in events:
            version += 1
            suffix = f"{meta.aggregate_id}@{version}"
            of_event = replace(meta, event_id=f"{self.name}:{suffix}", version=version)
            value = self._codec.encode(event, of_event)
            state = self._evolve(state, event, of_event)
            written.append(fitting(Output(self.log, partition, suffix.encode(), value)))
        return Aggregate(version, self._remember(aggregate, meta.causation, version), state), written

    def _remember(self, aggregate: Aggregate, id_: str, version: int) -> tuple[tuple[str, int], ...]:
        """Remembers an explicit command id with the last version it wrote; a place is no id to repeat."""
        known = aggregate.outcomes
        if id_.startswith(self.commands):
            return known
        if known and known[-1][0] == id_:
            known = known[:-1]
        return (*known, (id_, version))[-REMEMBERED:]

    def fail(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Puts a command aside and tells its sender."""
        super().fail(message, work, cause, error)
        try:
            headers = headers_of(message)
        except DecodeError:  # then nobody knows what to call the command
            return
        if "reply-to" in headers:
            reply = Reply(_id_of(message, headers), "failed", 0, reason=text_of(error))
            work.replies.append((message.partition(), reply))

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
        state = self._codec.encode(aggregate.state)
        return msgspec.msgpack.encode((aggregate.version, aggregate.outcomes, state))

    def _unpack(self, packed: bytes) -> Aggregate:
        version, outcomes, state = msgspec.msgpack.decode(packed, type=tuple[int, tuple[tuple[str, int], ...], bytes])
        return Aggregate(version, outcomes, self._codec.decode(state))


def _id_of(message: Received, headers: dict[str, str]) -> str:
    """A command's id: the sender's, else the first place at which the command stood."""
    named = headers.get("command-id") or headers.get(FORWARDED) or ""
    return named if 0 < len(named) <= LONGEST_ID else place_of(message)
