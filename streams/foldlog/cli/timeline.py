"""A saga as text and as JSON: state, steps, timers, timeline."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from foldlog.cli import output
from foldlog.cli.values import cell
from foldlog.core.contract import Process, Timer
from foldlog.core.errors import DecodeError
from foldlog.core.plain import plain
from foldlog.core.record import Record
from foldlog.core.steps import Progress

_NEVER = datetime.min.replace(tzinfo=UTC)


class Shown(NamedTuple):
    """One saga as its topic has it."""

    id: str
    state: Record
    process: Process

    @property
    def status(self) -> str:
        """The status of a saga made of steps; of any other, whether it has ended."""
        if isinstance(self.state, Progress):
            return self.state.status
        return "ended" if self.process.ended else "open"

    @property
    def moved(self) -> datetime:
        """When it took its last step, as far as its row remembers."""
        return self.process.taken[-1].time if self.process.taken else _NEVER


def summary(saga: Shown) -> dict[str, object]:
    """One saga of a list, as JSON."""
    process, last = saga.process, saga.process.taken[-1:]
    return {
        "id": saga.id,
        "status": saga.status,
        "ended": process.ended,
        "steps": process.steps,
        "version": process.version,
        "last_step": last[0].step if last else None,
        "moved": last[0].time.isoformat() if last else None,
        "next_timer": process.due.isoformat() if process.due else None,
    }


def cells(saga: Shown) -> tuple[str, ...]:
    """One saga of a list, as cells."""
    process, last = saga.process, saga.process.taken[-1:]
    step, moved = (last[0].step, time(last[0].time)) if last else ("", "")
    return saga.id, saga.status, str(process.steps), step, moved, time(process.due) if process.due else ""


def details(saga: Shown, decode: Callable[[bytes], Record]) -> dict[str, Any]:
    """All that is known of one saga, as JSON."""
    return {
        **summary(saga),
        "state": plain(saga.state),
        "timers": [_timer(timer, decode) for timer in saga.process.timers],
        "timeline": [plain(taken) for taken in saga.process.taken],
    }


def print_details(told: dict[str, Any]) -> None:
    """The same for people."""
    end = "ended" if told["ended"] else "open"
    output.write(f"{told['id']}: {told['status']}, {end} after {told['steps']} steps, version {told['version']}\n")
    state = dict(told["state"])
    steps = state.pop("steps", None)
    if not (isinstance(steps, list) and all(isinstance(step, dict) and "status" in step for step in steps)):
        state, steps = told["state"], []
    output.write("\n")
    output.write_table(("field", "value"), [(name, cell(value)) for name, value in state.items()])
    if steps:
        output.write("\n")
        header = ("step", "status", "attempts", "unanswered")
        rows = [(each["name"], each["status"], str(each["attempts"]), str(each["unanswered"])) for each in steps]
        output.write_table(header, rows, frozenset({"attempts", "unanswered"}))
    if told["timers"]:
        output.write("\n")
        rows = [(each["name"], _short(each["due"]), each["step"]["type"], each["caused_by"]) for each in told["timers"]]
        output.write_table(("timer", "due", "step", "caused by"), rows)
    if told["timeline"]:
        output.write("\n")
        output.write_table(("number", "time", "step", "caused by", "actor", "sent"), _timeline(told))


def time(when: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _short(text: str) -> str:
    return time(datetime.fromisoformat(text))


def _timeline(told: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            str(each["number"]),
            _short(each["time"]),
            each["step"],
            each["causation"],
            each["actor"] or "",
            ", ".join(each["sent"]),
        )
        for each in told["timeline"]
    ]


def _timer(timer: Timer, decode: Callable[[bytes], Record]) -> dict[str, Any]:
    try:
        step = decode(timer.step)
        told: dict[str, object] = {"type": type(step).__name__, "data": plain(step)}
    except DecodeError as error:
        told = {"type": "unreadable", "data": str(error)}
    return {"name": timer.name, "due": timer.due.isoformat(), "step": told, "caused_by": timer.causation}
