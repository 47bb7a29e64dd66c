"""Sagas in the engine: a step in, commands out, the saga's state moved on."""

from typing import Any

import msgspec

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.contract import Process
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.saga import Saga
from foldlog.core.topology import Topology
from foldlog.engine.batch import Received
from foldlog.engine.commanding import derived_id, sent_command
from foldlog.engine.kind import Table
from foldlog.engine.routing import moved
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import FAULTS, FORWARDED, Work, headers_of, key_of, meta_of_command, place_of


class Running(msgspec.Struct, frozen=True):
    """A saga in memory: the steps it took, whether it has ended, its state."""

    process: Process
    state: Any


class Coordinating(Table[Running]):
    """One saga over its sources' logs, its commands and its inbox; its compacted topic is its log."""

    kind = "saga"

    def __init__(self, topology: Topology, saga: Saga[Any, Any, Any], codec: Codec) -> None:
        context = topology.name
        self.name = saga.name
        self.log = topics.table(context, saga.name)
        self._inbox = topics.inbox(context, saga.name)
        self._commands = topics.commands(context, saga.name)
        own = (self._commands,) if saga.commands else ()
        self.inputs = (*(topics.events(context, source.name) for source in saga.sources), *own, self._inbox)
        self.trims = (self._inbox,)
        self._topology = topology
        self.count = topology.partitions
        self._saga = saga
        self._codec = codec
        self._react = with_meta(saga.react)
        self._evolve = with_meta(saga.evolve)
        self._accepts = frozenset(saga.steps)
        self._blank = Running(Process(0, False), saga.initial)

    def rows(self, store: Store, memory: int) -> Rows[Running]:
        """The sagas of one partition."""
        return Rows(store, self._pack, self._unpack, memory)

    def handle(self, message: Received, rows: Rows[Running], work: Work) -> None:
        """Takes one step of one saga."""
        is_command = message.topic() == self._commands
        if is_command and message.value() is None:  # elsewhere it is a deleted aggregate
            work.dead_letter(message, "null-value", "a command needs a value")
        found = self.read(message, work)
        if found is None:
            return
        step, meta = found
        if type(step) not in (self._saga.commands if is_command else self._accepts):
            if is_command:
                work.dead_letter(message, "unexpected-type", f"{type(step).__name__} is no command of {self.name}")
            return
        done = len(work.outputs)
        try:
            self._step(message, step, meta, rows, work)
        except FAULTS as error:
            del work.outputs[done:]  # half of a step's commands must not go out
            self.blame(message, work, error, "fold-failed")

    def _step(self, message: Received, step: Record, meta: Meta | None, rows: Rows[Running], work: Work) -> None:
        id_, is_command = self._saga.correlate(step), message.topic() == self._commands
        if id_ is None:
            return
        key = key_of(id_)
        running = rows.get(key)  # one that is here is at home
        if running is None:
            if moved(message, key, self._inbox, self.count, work, is_command=is_command):
                return
            running = self._blank
        if running.process.ended:
            return
        meta = self._meta(message, id_, running, meta)
        sent = self._react(running.state, step, meta)
        state = self._evolve(running.state, step, meta)
        number = running.process.steps + 1
        for index, command in enumerate(sent):
            named = derived_id(self.name, id_, f":{number}.{index}")
            work.outputs.append(sent_command(self._topology, self._codec, command, named, meta))
        if state is not running.state or sent:
            rows.set(key, Running(Process(number, self._saga.ended(state)), state))

    def _meta(self, message: Received, id_: str, running: Running, meta: Meta | None) -> Meta:
        if meta is not None:
            return replace(meta, position=place_of(message))
        headers = headers_of(message)
        cause = headers.get("command-id") or headers.get(FORWARDED) or place_of(message)
        return meta_of_command(message, id_, running.process.steps, headers, cause)

    def _pack(self, running: Running) -> bytes:
        return self.fitted(self._codec.encode(running.state, running.process))

    def _unpack(self, packed: bytes) -> Running:
        state, process = self._codec.decode_with(packed)
        return Running(process, state)
