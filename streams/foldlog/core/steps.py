"""The parts of a stepwise saga: calls with their answers, steps with their compensation, and how far a saga is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

from foldlog.core.record import Record

Status = Literal["new", "running", "completed", "compensating", "compensated", "failed"]
StepStatus = Literal[
    "sent",  # its command waits for an answer
    "delayed",  # its command is sent again after a pause
    "done",
    "failed",  # given up: after a failure, without an answer in time, or by hand
    "skipped",  # passed over: by its own `send`, or by hand
    "undoing",  # its compensation waits for an answer
    "undo-delayed",
    "undone",
    "kept",  # done, and its compensation passed over by hand
    "stuck",  # its compensation failed: an operator must retry or skip it
]
Action = Literal["retry", "skip", "compensate"]


class StepState(Record):
    """How far one step is: how often its present command was sent, and how many of its commands have no answer.

    `refused` are the ids of the commands that were answered by a failure: another failure of the same one is no news.
    """

    name: str
    status: StepStatus
    attempts: int = 1
    unanswered: int = 1
    refused: tuple[str, ...] = ()


class Progress(Record):
    """The state of a stepwise saga; its own data are the fields of a subclass, each with a default.

    `steps` are those that began, in that order; `succeeded` are names in the order of success; `reason` says why the
    saga turned back. Failed is a saga whose compensation failed: it waits for an operator.
    """

    status: Status = "new"
    reason: str | None = None
    steps: tuple[StepState, ...] = ()
    succeeded: tuple[str, ...] = ()


class StepTimer(Record):
    """What the timer of a step says: no answer came in time, or the pause before another attempt is over."""

    step: str
    attempt: int
    kind: Literal["timeout", "retry"]


class Intervention(Record):
    """What an operator wants of a saga; without a step, the one step that waits is meant."""

    saga: str
    action: Action
    step: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Retry:
    """How often a command or effect is tried again, and the pauses: `first`, then `factor` times more to `longest`."""

    limit: int = 0
    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(days=1)

    def pause(self, attempts: int) -> timedelta:
        """The pause after so many attempts."""
        doublings = min(attempts - 1, 64)  # an exponent that no number of attempts makes too large for a float
        return timedelta(seconds=min(self.first.total_seconds() * self.factor**doublings, self.longest.total_seconds()))


S = TypeVar("S", bound=Progress)
Types = type[Record] | tuple[type[Record], ...]


def _always(_: Any, __: Any) -> bool:
    return True


@dataclass(frozen=True)
class Call(Generic[S]):
    """A command and its answers. `send` makes it from the saga's state; with None there is nothing to do.

    `success` and `failure` are event types; where several calls share them, `answers` tells whose answer an event is.
    Without an answer within `timeout`, or after a failure, the command is sent again as `retry` says. A command that
    is sent again after a timeout may have had its effect: its aggregate must know it by what the command says.
    """

    send: Callable[[S], Record | None]
    success: Types
    failure: Types = ()
    answers: Callable[[S, Any], bool] = _always
    timeout: timedelta | None = None
    retry: Retry = field(default=Retry())

    def outcome(self, state: S, event: Record) -> Literal["success", "failure"] | None:
        """What an event says about this call."""
        success = isinstance(event, self.success)
        if not (success or isinstance(event, self.failure)) or not self.answers(state, event):
            return None
        return "success" if success else "failure"

    @property
    def events(self) -> tuple[type[Record], ...]:
        """The types of its answers."""
        return tuple(
            kind for types in (self.success, self.failure) for kind in (types if isinstance(types, tuple) else (types,))
        )


@dataclass(frozen=True)
class Step(Generic[S]):
    """A step: what it calls, and the call that undoes it; without one, a step that is done needs no undoing."""

    name: str
    call: Call[S]
    undo: Call[S] | None = None


@dataclass(frozen=True)
class Plan(Generic[S]):
    """The definition of a stepwise saga; the steps of a group run in parallel, one group after the other."""

    groups: tuple[tuple[Step[S], ...], ...]
    start: Callable[[S, Any], S]
    starts: tuple[type[Record], ...]
    note: Callable[[S, Any], S] | None
    noted: tuple[type[Record], ...]
    timer: Callable[[str, int, str], StepTimer]

    def step(self, name: str) -> Step[S] | None:
        """The step of a name."""
        return next((step for group in self.groups for step in group if step.name == name), None)
