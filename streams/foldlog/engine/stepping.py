"""A saga in memory, a step that it is about to take, and what is no step any more."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from foldlog.core.contract import Process, Taken
from foldlog.core.meta import Meta
from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.core.timers import Action

Headers = Mapping[str, str]


class Running(msgspec.Struct, frozen=True):
    """A saga in memory: what the engine keeps of it, and its state."""

    process: Process
    state: Any


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
