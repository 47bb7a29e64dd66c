"""A saga in memory, a step that it is about to take, and what is no step any more."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from foldlog.core.contract import Process, Taken
from foldlog.core.errors import StateError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.record import Record, replace
from foldlog.core.saga import Migration, Saga
from foldlog.core.signatures import accepted
from foldlog.core.timers import Action

Headers = Mapping[str, str]


class Running(msgspec.Struct, frozen=True):
    """A saga in memory: what the engine keeps of it, and its state."""

    process: Process
    state: Any


class Definitions:
    """The versions of a saga: by which one a running saga goes on, and whose steps they are."""

    def __init__(self, saga: Saga[Any, Any, Any]) -> None:
        self.commands = frozenset(saga.commands)
        self.steps = frozenset(saga.steps)
        self._name = saga.name
        self._by_version = {each.version: Definition(each) for each in saga.definitions}
        self._migrations = {each.version: each.migrate for each in saga.earlier if isinstance(each, Migration)}
        self._present = saga.version
        self._correlate = {
            kind: each.correlate for each in reversed(saga.definitions) for kind in accepted(each.evolve, 1)
        }
        self.blank = Running(Process(0, False, saga.version), saga.initial)

    def id_of(self, step: Record) -> str | None:
        """The saga that a step belongs to, by the newest definition that knows its type."""
        found: str | None = self._correlate[step.__class__](step)
        return found

    def of(self, running: Running) -> tuple[Running, "Definition"]:
        """The saga and its definition; a saga of a version that is migrated is one of the present version after that.

        Raises StateError where the version is unknown: another release has begun it, and only that can go on with it.
        """
        process = running.process
        found = self._by_version.get(process.version)
        if found is not None:
            return running, found
        migrate = self._migrations.get(process.version)
        if migrate is None:
            known = sorted((*self._by_version, *self._migrations))
            raise StateError(
                f"{self._name}: a saga runs by version {process.version} of its definition; known are {known}: "
                "deploy the release that began it, or declare that version as `earlier`"
            )
        present = replace(process, version=self._present)
        return Running(present, migrate(running.state)), self._by_version[self._present]


class Definition:
    """One version of a saga's definition."""

    def __init__(self, saga: Saga[Any, Any, Any]) -> None:
        self.react = with_meta(saga.react)
        self.evolve = with_meta(saga.evolve)
        self.ended = saga.ended
        self.remembered = saga.remembered
        self.steps = frozenset(accepted(saga.evolve, 1))


class Step(NamedTuple):
    """A step to be taken; `timer` is that of a timer's, as what it was caused by."""

    record: Record
    meta: Meta
    timer: str | None

    def told(self, number: int, asked: Sequence[Action]) -> Taken:
        """What the saga's row keeps of it."""
        sent = tuple(type(each).__name__ for each in asked if isinstance(each, Record))
        meta = self.meta
        return Taken(number, type(self.record).__name__, meta.time, meta.causation, meta.actor, sent)


def without_a_step(process: Process, headers: Headers, timer: str | None) -> Reply | None:
    """The answer to what is no step: its timer is gone, the saga has ended or has taken this very command before."""
    if timer is not None:  # cancelled, replaced, or gone off twice; nobody waits for an answer
        known = any(timer == each.causation for each in process.timers)
        return None if known else Reply("", "rejected", process.steps)
    id_ = headers.get("command-id")
    if id_ and any(id_ == each.causation for each in process.taken):
        return Reply("", "accepted", process.steps, duplicate=True)
    return Reply("", "rejected", process.steps, reason="the saga has ended") if process.ended else None
