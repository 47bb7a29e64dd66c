"""What a stepwise saga does with a message: forward, group by group, or back, last success first.

A step whose command was sent and not answered may have succeeded for all the saga knows. So the saga turns back only
once every such step has answered or timed out, and a success that comes later still is undone then.
"""

from typing import Any, Generic, Literal, TypeVar

from foldlog.core.errors import Rejected
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.steps import Call, Intervention, Plan, Progress, Step, StepState, StepStatus, StepTimer
from foldlog.core.timers import Action, Cancel, Schedule

S = TypeVar("S", bound=Progress)

_FORWARD = ("sent", "delayed")
_BACK = ("undoing", "undo-delayed", "stuck")
_GIVEN_UP = ("failed", "skipped")


class Move(Generic[S]):
    """One message's effect: the state after it, and what is asked for."""

    def __init__(self, plan: Plan[S], state: S, message: Record, meta: Meta) -> None:
        self.state = state
        self.asked: list[Action] = []
        self._plan = plan
        self._gone_off = message.step if isinstance(message, StepTimer) else ""
        match message:
            case StepTimer():
                self._elapsed(message)
            case Intervention():
                self._intervene(message)
            case _ if state.status == "new":
                if isinstance(message, plan.starts):
                    self.state = replace(plan.start(state, message), status="running")
                    self._forward()
            case _:
                self._hear(message, meta.causation)

    def _hear(self, event: Record, cause: str) -> None:
        """Takes an event as the answer to whatever it answers; one that answers nothing moves nothing."""
        answered = self._answered(event)
        if self._plan.note is not None and isinstance(event, self._plan.noted):
            self.state = self._plan.note(self.state, event)
        match answered:
            case None:
                return
            case held, step, "success" if held.status in _BACK:
                self._undone(held, step, "undone")
            case held, _, "success":
                self._done(held)
            case held, _, "failure" if cause in held.refused:
                return
            case held, step, "failure" if held.status in _BACK:
                held = self._set(held, refused=(*held.refused, cause))
                self._undo_failed(held, step, type(event).__name__)
            case held, step, "failure":
                held = self._set(held, unanswered=held.unanswered - 1, refused=(*held.refused, cause))
                self._failed(held, step, type(event).__name__)

    def _answered(self, event: Record) -> tuple[StepState, Step[S], Literal["success", "failure"]] | None:
        for held in self.state.steps:
            step = self._plan.step(held.name)
            call = _awaited(held, step) if step else None
            outcome = call.outcome(self.state, event) if call else None
            if step and outcome:
                return held, step, outcome
        return None

    def _elapsed(self, timer: StepTimer) -> None:
        held, step = self._held(timer.step), self._plan.step(timer.step)
        if held is None or step is None or held.attempts != timer.attempt:
            return
        match timer.kind, held.status:
            case "timeout", "sent":
                self._failed(held, step, "no answer in time")
            case "timeout", "undoing":
                self._undo_failed(held, step, "no answer in time")
            case "retry", "delayed":
                self._send(held, step, step.call, held.attempts + 1)
                self._forward()
            case "retry", "undo-delayed" if step.undo:
                self._send(held, step, step.undo, held.attempts + 1)
                self._back()

    def _forward(self) -> None:
        """Begins what may begin: all of the first group that is not through."""
        for group in self._plan.groups:
            for step in group:
                if self._held(step.name) is None:
                    held = StepState(step.name, "sent", attempts=0, unanswered=0)
                    self.state = replace(self.state, steps=(*self.state.steps, held))
                    self._send(held, step, step.call, 1)
            names = {step.name for step in group}
            if any(held.status not in ("done", "skipped") for held in self.state.steps if held.name in names):
                return
        self.state = replace(self.state, status="completed")

    def _back(self) -> None:
        """Undoes the latest success that is not undone, once nothing is under way."""
        while not any(held.status in ("sent", *_BACK) for held in self.state.steps):
            found = next(filter(None, map(self._undoable, reversed(self.state.succeeded))), None)
            if found is None:
                self.state = replace(self.state, status="compensated")
                return
            self.state = replace(self.state, status="compensating")
            self._send(*found, 1)

    def _undoable(self, name: str) -> tuple[StepState, Step[S], Call[S]] | None:
        held, step = self._held(name), self._plan.step(name)
        return (held, step, step.undo) if held and held.status == "done" and step and step.undo else None

    def _send(self, held: StepState, step: Step[S], call: Call[S], attempt: int) -> None:
        """Sends the command of a call, and has a timer tell if no answer comes."""
        command, forward = call.send(self.state), call is step.call
        if command is None:
            self._set(held, status="skipped" if forward else "undone")
            return
        self.asked.append(command)
        unanswered = held.unanswered + 1 if forward else held.unanswered
        self._set(held, status="sent" if forward else "undoing", attempts=attempt, unanswered=unanswered)
        if call.timeout is not None:
            self.asked.append(Schedule(step.name, self._plan.timer(step.name, attempt, "timeout"), after=call.timeout))

    def _done(self, held: StepState) -> None:
        self._quiet(held)
        self._set(held, status="done", unanswered=0)
        self.state = replace(self.state, succeeded=(*self.state.succeeded, held.name))
        if self.state.status == "running":
            self._forward()
        elif self.state.status != "failed":
            self._back()

    def _failed(self, held: StepState, step: Step[S], why: str) -> None:
        """An attempt has failed: another one after a pause, or back."""
        if held.status != "sent":  # an earlier attempt's answer, that comes late
            return
        if self.state.status == "running" and held.attempts <= step.call.retry.limit:
            self._delay(held, step.call, "delayed")
            return
        self._quiet(held)
        self._set(held, status="failed")
        self._turn_back(f"{held.name}: {why}")

    def _turn_back(self, reason: str) -> None:
        if self.state.status == "running":
            self.state = replace(self.state, status="compensating", reason=reason)
            for held in self.state.steps:
                if held.status == "delayed":
                    self._quiet(held)
                    self._set(held, status="failed")
        self._back()

    def _undone(self, held: StepState, step: Step[S], status: StepStatus) -> None:
        self._quiet(held)
        self._set(held, status=status)
        self.state = replace(self.state, status="compensating")
        self._back()

    def _undo_failed(self, held: StepState, step: Step[S], why: str) -> None:
        if held.status != "undoing" or step.undo is None:
            return
        if held.attempts <= step.undo.retry.limit:
            self._delay(held, step.undo, "undo-delayed")
            return
        self._quiet(held)
        self._set(held, status="stuck")
        self.state = replace(self.state, status="failed", reason=f"{self.state.reason}; undoing {held.name}: {why}")

    def _delay(self, held: StepState, call: Call[S], status: StepStatus) -> None:
        timer = self._plan.timer(held.name, held.attempts, "retry")
        self.asked.append(Schedule(held.name, timer, after=call.retry.pause(held.attempts)))
        self._set(held, status=status)

    def _quiet(self, held: StepState) -> None:
        """Drops the timer of a step that waits for one."""
        if held.name == self._gone_off:
            return
        step = self._plan.step(held.name)
        call = step and {"sent": step.call, "undoing": step.undo}.get(held.status)
        if held.status in ("delayed", "undo-delayed") or (call and call.timeout is not None):
            self.asked.append(Cancel(held.name))

    def _intervene(self, wanted: Intervention) -> None:
        held, step = self._meant(wanted)
        back = held.status in _BACK
        match wanted.action:
            case "retry" if back and step.undo:
                self._quiet(held)
                self.state = replace(self.state, status="compensating")
                self._send(held, step, step.undo, 1)
                self._back()
            case "retry" if self.state.status == "running":
                self._quiet(held)
                self._send(held, step, step.call, 1)
                self._forward()
            case "skip" if back:
                self._undone(held, step, "kept")
            case "skip" if self.state.status == "running":
                self._quiet(held)
                self._set(held, status="skipped")
                self._forward()
            case "skip":
                self._quiet(held)
                self._set(held, status="failed")
                self._back()
            case "compensate" if self.state.status == "running":
                self._give_up(wanted.reason or "by hand")
            case _:
                raise Rejected(f"it is {self.state.status}: {wanted.action} does not apply to `{held.name}`")

    def _give_up(self, reason: str) -> None:
        for held in self.state.steps:
            if held.status in _FORWARD:
                self._quiet(held)
                self._set(held, status="failed")
        self._turn_back(reason)

    def _meant(self, wanted: Intervention) -> tuple[StepState, Step[S]]:
        waiting = [held for held in self.state.steps if held.status in (*_FORWARD, *_BACK)]
        named = [held for held in waiting if wanted.step in (None, held.name)]
        if wanted.action == "compensate":
            named = named[:1]
        if len(named) != 1:
            names = ", ".join(held.name for held in waiting) or "none"
            raise Rejected(f"it is {self.state.status}; name one of the steps that wait: {names}")
        step = self._plan.step(named[0].name)
        if step is None:
            raise Rejected(f"the definition has no step `{named[0].name}` any more")
        return named[0], step

    def _held(self, name: str) -> StepState | None:
        return next((held for held in self.state.steps if held.name == name), None)

    def _set(self, held: StepState, **changes: Any) -> StepState:
        changed = replace(held, **changes)
        steps = tuple(changed if each.name == held.name else each for each in self.state.steps)
        self.state = replace(self.state, steps=steps)
        return changed


def _awaited(held: StepState, step: Step[S]) -> Call[S] | None:
    """The call that may still be answered."""
    if held.status in _FORWARD or (held.status in _GIVEN_UP and held.unanswered):
        return step.call
    return step.undo if held.status in _BACK else None
