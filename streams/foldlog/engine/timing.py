"""The timers of one saga: what is pending after a step, and the step that comes when one goes off."""

from collections.abc import Callable, Iterable
from datetime import datetime

from foldlog.core.contract import Timer
from foldlog.core.record import Record
from foldlog.core.timers import Action, Cancel, Schedule
from foldlog.engine.batch import Output
from foldlog.engine.work import TIMER

Timers = tuple[Timer, ...]


def pending(timers: Iterable[Timer], asked: Iterable[Action], make: Callable[[Schedule], Timer]) -> Timers:
    """The timers after what a step asked for, the earliest first."""
    found = {timer.name: timer for timer in timers}
    for each in asked:
        match each:
            case Schedule(name):
                found[name] = make(each)
            case Cancel(name):
                found.pop(name, None)
            case Record():
                pass
    return tuple(sorted(found.values(), key=lambda timer: timer.due))


def gone_off(timer: Timer, inbox: str, partition: int, key: bytes, now: datetime) -> Output:
    """The step of a timer, as a record of its saga's inbox."""
    named = {"command-id": timer.causation, TIMER: timer.causation, "correlation-id": timer.correlation}
    headers: list[tuple[str, bytes | None]] = [(name, value.encode()) for name, value in named.items()]
    if timer.actor:
        headers.append(("actor", timer.actor.encode()))
    return Output(inbox, partition, key, timer.step, headers, int(now.timestamp() * 1000))
