"""The lateness of timers, measured: `python -m tests.bench.timers [--timers N] [--seconds S]`.

On a cluster of its own under build/bench-timers, with one worker: N timers pend at once. First they come due spread
over S seconds, then all in the same second. Late is the time from when a timer is due until the step that follows is
written. The figures are printed and kept in build/bench-timers.json, and nothing depends on them.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from foldlog.core import topics
from tests.bench.keeping import keep
from tests.conftest import ephemeral
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh_bank
from tests.engine.timed import lateness, orders

HOME = Path("build/bench-timers")
RESULT = Path("build/bench-timers.json")
AHEAD = 20.0  # s from the first order until the first is due: by then all pend
PATIENCE = 600.0  # s


def main() -> int:
    """Measures, prints, keeps."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--timers", type=int, default=10_000)
    arguments.add_argument("--seconds", type=float, default=30.0)
    wanted = arguments.parse_args()
    home = HOME.absolute()
    with ephemeral(home) as cluster:
        figures = {
            "machine": {"cores": os.cpu_count(), "load before": [round(load, 1) for load in os.getloadavg()]},
            "pending": wanted.timers,
        }
        for seconds in (wanted.seconds, 1.0):
            with fresh_bank(cluster) as bank, closing(Worker(bank, home / bank.name, "w", "standing")) as worker:
                eventually(worker.is_ready, "the worker's start", PATIENCE)
                figures[f"due within {seconds:g} s"] = measured(bank, wanted.timers, seconds)
    keep(figures, RESULT)
    return 0


def measured(bank: Bank, count: int, seconds: float) -> dict[str, float]:
    """How late the timers of one round are, in ms; `pended` is how many pended when the first was due."""
    began = time.time()
    names = orders(bank, count, int(AHEAD * 1000), int((AHEAD + seconds) * 1000))
    table = bank.tail(topics.table(bank.name, "standing"))
    time.sleep(max(0.0, began + AHEAD - time.time()))
    pended = min(count, len(table.entries()))
    time.sleep(seconds)
    while len(table.entries()) < 2 * count:  # two rows for each: when it is asked for, and when it pays
        assert time.time() < began + PATIENCE, "not every timer went off"
        time.sleep(1)  # to look more often would disturb
    late = lateness(bank, names)
    assert len(late) == count, f"{len(late)} of {count} timers went off"
    at = {"p50": late[count // 2], "p99": late[count * 99 // 100], "longest": late[-1]}
    return {"pended": pended, **{f"{name} ms": round(value * 1000) for name, value in at.items()}}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
