"""Carries a schedule out: every fault in a thread of its own, at its time, with what was observed of it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foldlog.core.errors import FoldlogError
from tests.chaos.faults import FAULTS
from tests.chaos.schedule import Fault
from tests.chaos.stage import Stage
from tests.chaos.waiting import NeverCame


@dataclass(frozen=True)
class Done:
    """A fault that was tried: when it began and ended (s since the start), what was observed, what went wrong.

    It counts only where something was observed; `missed` says what did not come, as among other faults may happen.
    """

    fault: Fault
    began: float
    ended: float
    observed: str
    missed: str = ""
    failed: str = ""


def carry_out(stage: Stage, faults: Sequence[Fault], tell: Callable[[Done], None], seconds: float) -> list[Done]:
    """Does every fault and waits until the last is undone, at least so many seconds; in the order of their ends."""
    started, done, lock = time.monotonic(), list[Done](), threading.Lock()

    def run(fault: Fault) -> None:
        began = time.monotonic() - started
        observed = missed = failed = ""
        try:
            observed = FAULTS[fault.name](stage, fault)
        except NeverCame as error:
            missed = str(error)
        except (FoldlogError, OSError, RuntimeError) as error:
            failed = f"{type(error).__name__}: {error}"
        one = Done(fault, began, time.monotonic() - started, observed, missed, failed)
        with lock:
            done.append(one)
            tell(one)

    threads = []
    for fault in faults:
        time.sleep(max(0.0, started + fault.at - time.monotonic()))
        threads.append(threading.Thread(target=run, args=(fault,), name=fault.name, daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    return done
