"""Deciders in the engine: command in, events and a reply out, the aggregate's state moved on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.contracts.envelopes import meta as meta_after
from foldlog.contracts.envelopes import origin
from foldlog.contracts.varint import text
from foldlog.core import topics
from foldlog.core.decider import Decider
from foldlog.core.errors import DecodeError, EncodeError, Rejected
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.engine import shortcut
from foldlog.engine.aggregates import Aggregate, Aggregates
from foldlog.engine.batch import Output, Place, Received, Run
from foldlog.engine.remembered import item_of, remember, version_of
from foldlog.engine.replying import Replying
from foldlog.engine.routing import forwarded
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.engine.store import Store
from foldlog.engine.work import (
    FAULTS,
    FIRST_MS,
    FORWARDED,
    LARGEST,
    LAST_MS,
    LONGEST_ID,
    Events,
    Work,
    fitting,
    headers_of,
    meta_of_command,
    place_of,
    text_of,
)

if TYPE_CHECKING:
    from foldlog.engine import compiled

log = structlog.get_logger()


class Deciding(Aggregates):
    """One decider over its commands topic; the events topic is its log."""

    kind = "decider"
    foresees = True

    def __init__(
        self, topology: Topology, decider: Decider[Any, Any, Any], codec: Codec, *, compiled: bool = True
    ) -> None:
        super().__init__(topology, decider, codec)
        self.commands = topics.commands(topology.name, decider.name)
        self.inputs = (self.commands,)
        self._accepts = frozenset(decider.commands)
        self.prefix = f"{decider.name}:".encode()
        self._decide: Callable[..., Any] = with_meta(decider.decide) if self._told else decider.decide
        self._replies = Replying(topology.name, self.log, self.count, codec)
        self._compiled = compiled
        self._usual = compiled and not self._told  # whether there is a short way

    @cached_property
    def _short(self) -> "compiled.Commands | None":
        """The short way, made when the first batch comes: by then the schemas have their ids."""
        return shortcut.commands(self, self._decider, self._codec) if self._usual else None

    @cached_property
    def _short_fold(self) -> "compiled.Events | None":
        """The short way of events, made when the first come."""
        return shortcut.events(self, self._decider, self._codec) if self._usual else None

    def replay_all(self, messages: Iterable[Received], rows: Rows[Aggregate]) -> None:
        """Folds events in their order, each the short way where there is one and it can go it."""
        if self._short_fold is None:
            super().replay_all(messages, rows)
        else:
            self._short_fold.run(messages, rows)

    def rows(self, store: Store, memory: int) -> Rows[Aggregate]:
        """The aggregates of one partition."""
        if not self._compiled:
            return super().rows(store, memory)
        pack = shortcut.packing(self._decider, self._codec, self._pack)
        unpack = shortcut.unpacking(self._decider, self._codec, self._unpack)
        return Rows(store, pack, unpack, memory, marks=True)

    def wanted(self, messages: Sequence[Received]) -> Mapping[int, list[bytes]]:
        """The aggregates that commands are for."""
        return shortcut.keys_of(messages)

    def handle_all(self, messages: Sequence[Received], rows: Mapping[int, Any], work: Work) -> None:
        """Decides the commands of a batch, each the short way where there is one and it can go it."""
        self._fetch(messages, rows)
        if self._short is None:
            super().handle_all(messages, rows, work)
        else:
            self._short.run(messages, rows, work)

    def _fetch(self, messages: Sequence[Received], rows: Mapping[int, Rows[Aggregate]]) -> None:
        """Reads the aggregates that a batch will ask for, where the poll thread has not done so."""
        unread = [number for number, own in rows.items() if not own.whole and not own.take_ahead()]
        wanted = self.wanted(messages) if unread else {}
        for number in unread:
            rows[number].fetch(wanted.get(number, ()))

    def handle(self, message: Received, rows: Rows[Aggregate], work: Work) -> None:
        """Decides one command."""
        key, value = message.key(), message.value()
        if key is None:
            return work.dead_letter(message, "null-key", "a command needs a key: the aggregate's id")
        aggregate = rows.get(key)
        if aggregate is None:  # one that is here is at home
            aggregate, home = self.blank, shortcut.partition_of(key, self.count)
            if home != message.partition():
                return self._forward(message, key, home, work)
            if key == CHECKPOINT:
                return work.dead_letter(
                    message, "reserved-key", f"{key!r} is the key of checkpoints; choose another id"
                )
        if value is None:
            return work.dead_letter(message, "null-value", "a command needs a value")
        try:
            self._run(message, self._command(key, value), aggregate, rows, work)
        except FAULTS as error:
            self.blame(message, work, error, "decide-failed")
        return None

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

    def _run(self, message: Received, command: Record, aggregate: Aggregate, rows: Any, work: Work) -> None:
        key, headers = message.key() or b"", headers_of(message)
        id_ = _id_of(message, headers)
        # A place is no id to repeat: a command that is moved is moved in a transaction.
        item = b"" if id_.startswith(self.places) else item_of(id_)
        if item and (before := version_of(item, aggregate.known)) is not None:
            return self._reply(message, headers, work, Reply(id_, "accepted", before, duplicate=True))
        meta = meta_of_command(message, key.decode(), aggregate.version, headers, id_) if self._told else None
        decide, state, version = self._decide, aggregate.state, aggregate.version
        try:
            events = decide(command, state) if meta is None else decide(command, state, meta)
        except Rejected as rejected:
            log.info("rejected", processor=self.name, command=id_, aggregate=key.decode(), reason=str(rejected))
            return self._reply(message, headers, work, Reply(id_, "rejected", version, reason=text_of(rejected)))
        if events:
            start = origin(_time_of(message), text(id_), headers.get("correlation-id"), headers.get("actor"))
            state, written = self._written(key, aggregate, events, start, meta)
            version += len(written)
            known = remember(item, version, aggregate.known) if item else aggregate.known
            work.add(message.partition(), written)
            rows.set(key, Aggregate(version, known, state))
        if headers:
            self._reply(message, headers, work, Reply(id_, "accepted", version))
        return None

    def _written(
        self, key: bytes, aggregate: Aggregate, events: Sequence[Record], start: bytes, meta: Meta | None
    ) -> tuple[Any, Events]:
        """The state after events, and the events as records; all of them or an exception."""
        state, version = aggregate.state, aggregate.version
        evolve, encode, prefix = self._evolve, self._codec.encode_before, self.prefix
        records: Events = []
        for event in events:
            version += 1
            place, envelope = meta_after(prefix, key, version, start)
            value = encode(event, envelope)
            if len(value) + len(place) > LARGEST:
                fitting(Output(self.log, 0, place, value))
            if meta is None:
                state = evolve(state, event)
            else:
                meta = replace(meta, event_id=f"{self.name}:{place.decode()}", version=version)
                state = evolve(state, event, meta)
            records.append((place, value))
        return state, records

    def _reply(self, message: Received, headers: Mapping[str, str], work: Work, reply: Reply) -> None:
        if "reply-to" in headers:
            work.replies.append((message.partition(), reply))

    def fail(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Puts a command aside and tells its sender."""
        super().fail(message, work, cause, error)
        try:
            headers = headers_of(message)
        except DecodeError:  # then nobody knows what to call the command
            return
        try:
            id_ = _id_of(message, headers)
        except DecodeError:
            id_ = place_of(message)
        self._reply(message, headers, work, Reply(id_, "failed", 0, reason=text_of(error)))

    def replies(self, work: Work, ends: Mapping[Place, int]) -> Iterator[Run]:
        """The replies of a batch, each with a place in the log at which its command's events are all there."""
        return self._replies.runs(work.replies, ends)

    def _forward(self, message: Received, key: bytes, partition: int, work: Work) -> None:
        """Moves a command to the partition of its key, with its first place as its id and its own time."""
        try:
            headers = forwarded(message)
            output = Output(self.commands, partition, key, message.value(), headers, message.timestamp()[1])
            work.outputs.append(fitting(output))
        except (DecodeError, EncodeError) as error:
            self.fail(message, work, error.cause, error)


def _id_of(message: Received, headers: Mapping[str, str]) -> str:
    """A command's id: the sender's, else the first place at which the command stood."""
    named = headers.get("command-id") or headers.get(FORWARDED)
    if named is None:
        return place_of(message)
    if len(named) > LONGEST_ID:
        raise DecodeError(f"the command id has more than {LONGEST_ID} characters", "malformed")
    return named or place_of(message)


def _time_of(message: Received) -> int:
    """A command's timestamp in milliseconds; DecodeError where no Meta could say it."""
    time = message.timestamp()[1]
    if not FIRST_MS <= time <= LAST_MS:
        raise DecodeError(f"the timestamp {time} is beyond the years 1 to 9999", "malformed")
    return time
