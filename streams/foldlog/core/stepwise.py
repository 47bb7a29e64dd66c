"""Sagas from steps: commands and their answers in, a `Saga` out."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

import msgspec

from foldlog.core import signatures
from foldlog.core.errors import Rejected, TopologyError
from foldlog.core.meta import Meta
from foldlog.core.moves import Move
from foldlog.core.record import Record
from foldlog.core.saga import Migration, Saga
from foldlog.core.steps import Action, Call, Intervention, Plan, Progress, Step, StepTimer
from foldlog.core.timers import Cancel, Schedule
from foldlog.core.view import Source, sources_of

S = TypeVar("S", bound=Progress)
T = TypeVar("T", bound=Record)


def stepwise(
    name: str,
    source: Source,
    initial: S,
    *,
    start: Callable[[S, Any], S],
    correlate: Callable[[Any], str | None],
    steps: Sequence[Step[S] | tuple[Step[S], ...]],
    note: Callable[[S, Any], S] | None = None,
    remembered: int = 32,
    version: int = 1,
    earlier: tuple[Saga[Any, Any, Any] | Migration, ...] = (),
) -> Saga[Any, Any, S]:
    """A saga that takes steps in order, those of a tuple in parallel, and where one fails undoes what succeeded.

    `start` makes the state from the message that begins the saga, a command of its own or an event of a source, by the
    annotation of its second parameter. `note` may keep data of later events. Compensation goes back from the latest
    success, one step at a time. Status, steps and the reason for turning back are fields of the state (`Progress`).

    The saga ends when all steps are done, or all that succeeded is undone and no command is unanswered: a success that
    comes after its time is undone like any other. An operator may retry, skip or turn back (`foldlog sagas`).
    `version` and `earlier` are those of `Saga`.
    Raises TopologyError where step names collide, an answer is no event of a source, or `send` is not annotated.
    """
    groups = tuple(step if isinstance(step, tuple) else (step,) for step in steps)
    calls = tuple(_calls(groups))
    sources = {kind for decider in sources_of(source) for kind in decider.events}
    _check(name, groups, calls, sources)
    timer, intervention = _own(StepTimer, earlier), _own(Intervention, earlier)
    starts = signatures.accepted(start, 1)
    noted = signatures.accepted(note, 1) if note is not None else ()
    plan = Plan(groups, start, starts, note, noted, timer)

    def react(state: Any, step: Any, meta: Meta) -> Any:
        if state.status != "new" and isinstance(step, starts) and type(step) not in sources:
            raise Rejected(f"it is {state.status}: it began before")
        return Move(plan, state, step, meta).asked

    def evolve(state: Any, step: Any, meta: Meta) -> Any:
        return Move(plan, state, step, meta).state

    heard = dict.fromkeys((*starts, *(kind for call in calls for kind in call.events), *noted, timer, intervention))
    sent = dict.fromkeys(kind for call in calls for kind in signatures.made(call.send))
    evolve.__annotations__ = {"state": type(initial), "step": reduce(or_, heard), "meta": Meta}
    react.__annotations__ = {"meta": Meta, "return": list[reduce(or_, (*sent, Schedule, Cancel))]}  # type: ignore[misc]

    def of(step: Any) -> str | None:
        if isinstance(step, StepTimer):  # comes to the saga that asked for it; by hand, to none
            return None
        return step.saga if isinstance(step, Intervention) else correlate(step)

    return Saga(name, source, initial, of, react, evolve, _ended, remembered, version, earlier)


def timed_out(saga: Saga[Any, Any, Any], step: str, attempt: int = 1) -> Record:
    """What a stepwise saga is told when a step got no answer in time; for specifications."""
    return _of(saga, StepTimer)(step, attempt, "timeout")


def retry_due(saga: Saga[Any, Any, Any], step: str, attempt: int = 1) -> Record:
    """What a stepwise saga is told when the pause after an attempt is over; for specifications."""
    return _of(saga, StepTimer)(step, attempt, "retry")


def intervention(
    saga: Saga[Any, Any, Any], id_: str, action: Action, step: str | None = None, reason: str | None = None
) -> Record:
    """The command by which an operator moves a stepwise saga; TopologyError where the saga is no such one."""
    return _of(saga, Intervention)(id_, action, step, reason)


def _of(saga: Saga[Any, Any, Any], kind: type[T]) -> Callable[..., T]:
    found = _found(saga, kind)
    if found is None:
        raise TopologyError(f"{saga.name} is not made of steps: nobody but its own `react` can move it")
    return found


def _found(saga: Saga[Any, Any, Any], kind: type[T]) -> Callable[..., T] | None:
    return next((command for command in saga.commands if issubclass(command, kind)), None)


def _own(kind: type[T], earlier: tuple[Saga[Any, Any, Any] | Migration, ...]) -> Callable[..., T]:
    """A type of this saga's own, in all its versions: a type has one part in a context only, and one Avro name."""
    for saga in earlier:
        found = _found(saga, kind) if isinstance(saga, Saga) else None
        if found is not None:
            return found
    told = {"__doc__": kind.__doc__, "__module__": kind.__module__}
    made: Any = msgspec.defstruct(kind.__name__, [], bases=(kind,), namespace=told, frozen=True, gc=False)
    return made  # type: ignore[no-any-return]


def _calls(groups: tuple[tuple[Step[Any], ...], ...]) -> Iterator[Call[Any]]:
    for group in groups:
        for step in group:
            yield step.call
            if step.undo is not None:
                yield step.undo


def _check(name: str, groups: Any, calls: tuple[Call[Any], ...], sources: set[type[Record]]) -> None:
    names = Counter(step.name for group in groups for step in group)
    if not names:
        raise TopologyError(f"{name}: a saga needs a step")
    for step, count in names.items():
        Cancel(step)  # a step's name is that of its timer
        if count > 1:
            raise TopologyError(f"{name}: {count} steps are called `{step}`; names are unique")
    for call in calls:
        for kind in call.events:
            if kind not in sources:
                raise TopologyError(f"{name}: {kind.__name__} is no event of its sources, so it answers nothing")


def _ended(state: Progress) -> bool:
    """Whether nothing can come any more that matters: an answer that is due still would."""
    open_ = any(step.unanswered for step in state.steps if step.status in ("failed", "skipped"))
    return state.status == "completed" or (state.status == "compensated" and not open_)
