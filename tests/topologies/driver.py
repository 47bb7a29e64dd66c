"""Runs contexts in memory: their deciders and sagas over queues that are emptied in any order.

Like the engine, it keeps the order of one sender's messages to one receiver and no other; timers go off at any time.
What one context publishes reaches those that subscribe to it, as they declare it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from foldlog.core import Cancel, Record, Rejected, Schedule, Topology
from foldlog.core.folding import translating, with_meta
from foldlog.core.specification import meta_of
from foldlog.core.timers import Action

Place = tuple[str, ...]
Choose = Callable[[Sequence[Place]], Place]


class Driver:
    """`choose` picks the queue whose first message is handled next; `run` ends when all are empty."""

    def __init__(self, topologies: Topology | tuple[Topology, ...], choose: Choose) -> None:
        self._contexts = topologies if isinstance(topologies, tuple) else (topologies,)
        self._deciders = {decider.name: decider for each in self._contexts for decider in each.deciders}
        self._sagas = {saga.name: saga for each in self._contexts for saga in each.sagas}
        self._by_command = {kind: of for each in self._contexts for kind, of in each.deciders_by_command.items()}
        self._functions = {
            **{name: (with_meta(of.decide), with_meta(of.evolve)) for name, of in self._deciders.items()},
            **{name: (with_meta(of.react), with_meta(of.evolve)) for name, of in self._sagas.items()},
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
        for context in self._contexts:
            for publication in context.publishes:
                if type(event) in publication.events and self._deciders[name] in publication.sources:
                    public = translating(publication.translate)(event, meta_of(0, key))
                    self._tell(f"{context.name}.{publication.name}", key, public)

    def _tell(self, publisher: str, key: str, public: Record | None) -> None:
        """What subscribers make of a public event, in the order of its aggregate."""
        for subscription in (each for context in self._contexts for each in context.consumes):
            for kind in subscription.records if subscription.publisher == publisher else ():
                if kind.__name__ == type(public).__name__:
                    seen = kind(**{name: getattr(public, name) for name in kind.__struct_fields__})
                    command = translating(subscription.translate)(seen, meta_of(0, key))
                    self.send(f"{publisher} {key}", *([command] if command else []))

    def _react(self, name: str, key: str, step: Record) -> None:
        saga, (react, evolve) = self._sagas[name], self._functions[name]
        state, meta = self.states.get((name, key), saga.initial), meta_of(0, key)
        if not saga.ended(state):
            actions = react(state, step, meta)
            self.states[name, key] = evolve(state, step, meta)
            for action in actions:
                self._do(name, key, action)

    def _do(self, name: str, key: str, action: Action) -> None:
        """A timer that is set may go off at any time from now on."""
        match action:
            case Schedule(timer, step):
                self._queues[f"timer {timer}", name, key] = deque([step])
            case Cancel(timer):
                self._queues.pop((f"timer {timer}", name, key), None)
            case command:
                self.sent.append(command)
                self.send(f"{name} {key}", command)
