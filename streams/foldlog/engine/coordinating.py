"""Sagas in the engine: a step in, commands and timers out, the saga's state moved on."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.contract import Process, Timer
from foldlog.core.errors import DecodeError, Rejected
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.record import Record, replace
from foldlog.core.saga import Saga
from foldlog.core.timers import Schedule
from foldlog.core.topology import Topology
from foldlog.engine.alarms import Alarms
from foldlog.engine.batch import Place, Received, Run
from foldlog.engine.commanding import derived_id, sent_command
from foldlog.engine.kind import Table
from foldlog.engine.repairing import repaired
from foldlog.engine.replying import Replying
from foldlog.engine.routing import moved
from foldlog.engine.rows import Rows
from foldlog.engine.stepping import Definitions, Headers, Running, Step, without_a_step
from foldlog.engine.store import Store
from foldlog.engine.timing import gone_off, pending
from foldlog.engine.work import (
    FAULTS,
    FORWARDED,
    TIMER,
    Work,
    headers_of,
    key_of,
    meta_of_command,
    place_of,
    text_of,
)

log = structlog.get_logger()

_AT_ONCE = 2000  # timers of a partition that go off in one transaction


class Coordinating(Table[Running]):
    """One saga over its sources' logs, its commands and its inbox; its compacted topic is its log.

    A timer that goes off is a record of the inbox. It names the timer, and counts only while the row still has it: so
    it is handled once however often it is written, and not at all once the timer is cancelled or replaced.
    """

    kind = "saga"

    def __init__(self, topology: Topology, saga: Saga[Any, Any, Any], codec: Codec) -> None:
        context = topology.name
        self.name = saga.name
        self.log = topics.table(context, saga.name)
        self._inbox = topics.inbox(context, saga.name)
        self._commands = topics.commands(context, saga.name)
        self._replies = Replying(context, self.log, topology.partitions, codec)
        own = (self._commands,) if saga.commands else ()
        self.repairs = topics.repairs(context)
        sources = (topics.events(context, source.name) for source in saga.sources)
        self.inputs = (*sources, *own, self._inbox, self.repairs)
        self.trims = (self._inbox,)
        self._topology = topology
        self.count = topology.partitions
        self._saga = saga
        self._codec = codec
        self._definitions = Definitions(saga)

    def rows(self, store: Store, memory: int) -> Rows[Running]:
        """The sagas of one partition."""
        if not self._saga.timed:
            return Rows(store, self._pack, self._unpack, memory)
        return Alarms(store, self._pack, self._unpack, memory, lambda running: running.process.due)

    def handle(self, message: Received, rows: Rows[Running], work: Work) -> None:
        """Takes one step of one saga."""
        is_command = message.topic() == self._commands
        if is_command and message.value() is None:  # elsewhere it is a deleted aggregate
            work.dead_letter(message, "null-value", "a command needs a value")
        found = self.read(message, work)
        if found is None:
            return None
        step, meta = found
        if type(step) not in (self._definitions.commands if is_command else self._definitions.steps):
            if is_command:
                reason = f"{type(step).__name__} is no command of {self.name}"
                self.fail(message, work, "unexpected-type", DecodeError(reason, "unexpected-type"))
                return None
            return repaired(self, message, step, rows, work)
        done, work.home = len(work.outputs), None
        try:
            self._find(message, step, meta, rows, work)
        except FAULTS as error:
            del work.outputs[done:]  # half of a step's commands must not go out
            if isinstance(error, Rejected) and meta is None:
                return self._reject(message, work, error)
            self.blame(message, work, error, "fold-failed")
        return None

    def _reject(self, message: Received, work: Work, error: Rejected) -> None:
        headers = headers_of(message)
        log.info("rejected", processor=self.name, place=place_of(message), reason=str(error))
        self._reply(message, headers, work, Reply("", "rejected", 0, reason=text_of(error)))

    def fail(self, message: Received, work: Work, cause: str, error: BaseException) -> None:
        """Puts a step aside and tells its sender, if it is a command that asks for a reply."""
        super().fail(message, work, cause, error)
        try:
            headers = headers_of(message)
        except DecodeError:  # then nobody knows what to call the command
            return
        self._reply(message, headers, work, Reply("", "failed", 0, reason=text_of(error)))

    def ring(self, partitions: Mapping[int, Any], work: Work) -> None:
        """Has the timers go off that are due, at most one of each saga."""
        now = datetime.now(UTC)
        for number, rows in partitions.items() if self._saga.timed else ():
            for key in rows.ring(now.timestamp(), _AT_ONCE):
                running: Running | None = rows.get(key)
                if running is not None and running.process.due is not None and running.process.due <= now:
                    work.outputs.append(gone_off(running.process.timers[0], self._inbox, number, key, now))
                    work.rang.add(number)

    def due(self, partitions: Mapping[int, Any]) -> float:
        """When the next timer is due."""
        found = [rows.next() for rows in partitions.values()] if self._saga.timed else []
        return min(found, default=super().due(partitions))

    def replies(self, work: Work, ends: Mapping[Place, int]) -> Iterator[Run]:
        """The replies of a batch, each with a place in the saga's topic at which the command's effect is there."""
        return self._replies.runs(work.replies, ends)

    def _find(self, message: Received, record: Record, meta: Meta | None, rows: Rows[Running], work: Work) -> None:
        """Finds the saga of a step, and lets it take the step if it is one."""
        headers = headers_of(message) if meta is None else {}
        timer = headers.get(TIMER) if message.topic() == self._inbox and FORWARDED not in headers else None
        id_ = self._definitions.id_of(record) if timer is None else (message.key() or b"").decode()
        if id_ is None:
            return
        key = key_of(id_)
        running = rows.get(key)  # one that is here is at home
        if running is None:
            is_command = message.topic() == self._commands
            if moved(message, key, self._inbox, self.count, work, is_command=is_command):
                return
            running = self._definitions.blank
        if work.waits(key, message):
            return
        answer = without_a_step(running.process, headers, timer)
        if answer is None:
            meta = meta or self._meta(message, id_, running.process, headers)
            after = self._take(id_, running, Step(record, replace(meta, position=place_of(message)), timer), work)
            answer = Reply("", "accepted", after.process.steps)
            if after is not running:
                rows.set(key, after)
        self._reply(message, headers, work, answer)

    def _take(self, id_: str, running: Running, step: Step, work: Work) -> Running:
        """The saga after a step; its commands go out. The same one where the step changed nothing."""
        running, by = self._definitions.of(running)
        if step.record.__class__ not in by.steps:  # another version's
            return running
        process, asked = running.process, by.react(running.state, step.record, step.meta)
        state = by.evolve(running.state, step.record, step.meta)
        if state is running.state and not asked and step.timer is None:
            return running
        number, ended, sent = process.steps + 1, by.ended(state), 0
        for each in asked:
            if isinstance(each, Record):
                named = derived_id(self.name, id_, f":{number}.{sent}")
                work.outputs.append(sent_command(self._topology, self._codec, each, named, step.meta))
                sent += 1
        timers = process.timers
        if ended:
            timers = ()
        elif timers or sent < len(asked):
            left = (timer for timer in timers if timer.causation != step.timer)
            timers = pending(left, asked, lambda each: self._timer(each, id_, number, step.meta))
        taken = (*process.taken, step.told(number, asked))[-by.remembered :] if by.remembered else ()
        return Running(Process(number, ended, process.version, taken, timers, timers[0].due if timers else None), state)

    def _timer(self, asked: Schedule, id_: str, number: int, meta: Meta) -> Timer:
        if type(asked.step) not in self._definitions.commands:
            raise TypeError(f"timer `{asked.name}`: {type(asked.step).__name__} is no command of {self.name}")
        cause = derived_id(self.name, id_, f":{number}.{asked.name}"), meta.correlation, meta.actor
        return Timer(asked.name, asked.due(meta.time), self._codec.encode(asked.step), *cause)

    def _meta(self, message: Received, id_: str, process: Process, headers: Headers) -> Meta:
        cause = headers.get("command-id") or headers.get(FORWARDED) or place_of(message)
        return meta_of_command(message, id_, process.steps, headers, cause)

    def _reply(self, message: Received, headers: Headers, work: Work, reply: Reply) -> None:
        """Tells the sender of a command what has become of it, if it wants to know."""
        if "reply-to" in headers:
            id_ = headers.get("command-id") or headers.get(FORWARDED) or place_of(message)
            work.replies.append((message.partition(), replace(reply, command_id=id_)))

    def _pack(self, running: Running) -> bytes:
        return self.fitted(self._codec.encode(running.state, running.process))

    def _unpack(self, packed: bytes) -> Running:
        state, process = self._codec.decode_with(packed)
        return Running(process, state)
