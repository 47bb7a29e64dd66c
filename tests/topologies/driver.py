"""Runs a context in memory: its deciders and sagas over queues that are emptied in any order.

Like the engine, it keeps the order of one sender's messages to one receiver and no other.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from foldlog.core import Record, Rejected, Topology
from foldlog.core.folding import with_meta
from foldlog.core.specification import meta_of

Place = tuple[str, ...]
Choose = Callable[[Sequence[Place]], Place]


class Driver:
    """`choose` picks the queue whose first message is handled next; `run` ends when all are empty."""

    def __init__(self, topology: Topology, choose: Choose) -> None:
        self._deciders = {decider.name: decider for decider in topology.deciders}
        self._sagas = {saga.name: saga for saga in topology.sagas}
        self._by_command = topology.deciders_by_command
        self._functions = {
            **{decider.name: (with_meta(decider.decide), with_meta(decider.evolve)) for decider in topology.deciders},
            **{saga.name: (with_meta(saga.react), with_meta(saga.evolve)) for saga in topology.sagas},
        }
        self._choose = choose
        self._queues: dict[Place, deque[Record]] = {}
        self.states: dict[tuple[str, str], Any] = {}
        self.events: list[tuple[str, Record]] = []
        self.sent: list[Record] = []
        self.rejections: list[str] = []

    def send(self, sender: str, *commands: Record) -> None:
        """Commands of one sender; they reach their aggregates in this order."""
        for command in commands:
            decider = self._by_command[type(command)]
            self._put((sender, decider.name, decider.key(command)), command)

    def run(self) -> None:
        """Handles messages until none is left."""
        while self._queues:
            place = self._choose(sorted(self._queues))
            message = self._queues[place].popleft()
            if not self._queues[place]:
                del self._queues[place]
            sender, receiver, key = place
            if receiver in self._sagas:
                self._react(receiver, key, message)
            else:
                self._decide(sender, receiver, key, message)

    def of(self, name: str) -> dict[str, Any]:
        """The states of one aggregate or saga, by id."""
        return {key: state for (owner, key), state in self.states.items() if owner == name}

    def events_of(self, name: str) -> list[Record]:
        """The events of one aggregate's log, in the order in which they were decided."""
        return [event for owner, event in self.events if owner == name]

    def _put(self, place: Place, message: Record) -> None:
        self._queues.setdefault(place, deque()).append(message)

    def _decide(self, sender: str, name: str, key: str, command: Record) -> None:
        decide, evolve = self._functions[name]
        state, meta = self.states.get((name, key), self._deciders[name].initial), meta_of(0, key)
        try:
            events = decide(command, state, meta)
        except Rejected as rejected:
            self.rejections.append(f"{sender}: {rejected}")
            return
        for event in events:
            state = evolve(state, event, meta)
            self.events.append((name, event))
            self._publish(name, key, event)
        self.states[name, key] = state

    def _publish(self, name: str, key: str, event: Record) -> None:
        for saga in self._sagas.values():
            heard = type(event) in saga.steps and self._deciders[name] in saga.sources
            id_ = saga.correlate(event) if heard else None
            if id_ is not None:
                self._put((f"{name} {key}", saga.name, id_), event)

    def _react(self, name: str, key: str, step: Record) -> None:
        saga, (react, evolve) = self._sagas[name], self._functions[name]
        state, meta = self.states.get((name, key), saga.initial), meta_of(0, key)
        if not saga.ended(state):
            commands = react(state, step, meta)
            self.states[name, key] = evolve(state, step, meta)
            self.sent += commands
            self.send(f"{name} {key}", *commands)
