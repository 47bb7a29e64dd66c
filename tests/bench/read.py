"""The read side, measured: `python -m tests.bench.read [--rows N] [--seconds S]`.

On a cluster of its own under build/bench-read: how fast a replica catches up, how soon a killed one is ready again,
and how long a list takes at 200 requests a second while 20,000 rows a second change. All on the same machine, load
generators included; the figures are printed and kept in build/bench-read.json, and nothing depends on them.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.bench.keeping import keep
from tests.conftest import ephemeral
from tests.engine.running import Bank, fresh_bank
from tests.query.filling import Encoded, Rows, balance
from tests.query.processes import Served

HOME = Path("build/bench-read")
RESULT = Path("build/bench-read.json")
REQUESTS = 200  # a second
CHANGES = 20_000  # a second
BURST = 0.05  # s
QUESTIONS = 4000  # different ones, then again from the first: most are asked once in 20 s


def questions(rows: int) -> Iterator[str]:
    """Paths to ask for: lists of a filter and an order each, a first page, a row; their values differ."""
    for number in range(QUESTIONS // 4):
        yield f"/views/balances?owner=eq:owner-{number % 100:02}&sort=-postings&limit=50"
        yield f"/views/balances?amount=gte:{number * 7 % (rows // 100)}&sort=amount&limit=50"
        yield "/views/balances?limit=50"
        yield f"/views/balances/account-{number * 7919 % rows:07}"


def main() -> int:
    """Measures, prints, keeps."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=300_000)
    arguments.add_argument("--seconds", type=float, default=20.0)
    wanted = arguments.parse_args()
    home = HOME.absolute()
    with ephemeral(home) as cluster, fresh_bank(cluster) as bank:
        figures = measured(bank, home, wanted.rows, wanted.seconds)
    keep(figures, RESULT)
    return 0


def measured(bank: Bank, home: Path, rows: int, seconds: float) -> dict[str, object]:
    """The figures of the three questions."""
    writer = Rows(bank)
    encoded = [writer.encoded(f"account-{number:07}", balance(number)) for number in range(rows)]
    writer.put(encoded)
    with closing(Served(bank, home / "service")) as served:
        first = _ready_after(served)
        applied, loading = _load_of(served)
    with closing(Served(bank, home / "service")) as served:
        again = _ready_after(served)
        before, began = _cpu(served), time.monotonic()
        with _changing(writer, encoded) as changed:
            answers = _asked(served.url, seconds, rows)
            rate = changed()
        used = (_cpu(served) - before) / (time.monotonic() - began)
    took = answers["took"]
    cuts = quantiles(took, n=1000)
    return {
        "machine": {"cores": os.cpu_count(), "load average": [round(load, 1) for load in os.getloadavg()]},
        "catching up": {
            "rows": applied,
            "rows/s": round(applied / loading),
            "process started to ready s": round(first, 2),
        },
        "restart after kill -9": {"process started to ready s": round(again, 2)},
        f"lists at {REQUESTS} requests/s": {
            "rows changed/s": round(rate),
            "answers": len(took),
            "failed": answers["failed"],
            "p50 ms": round(cuts[499] * 1000, 1),
            "p99 ms": round(cuts[989] * 1000, 1),
            "longest ms": round(max(took) * 1000, 1),
            "cores of the service": round(used, 2),
            "CPU ms of the client an answer": round(answers["cpu"] / len(took) * 1000, 2),
        },
    }


def _ready_after(served: Served) -> float:
    """Seconds until the service that was just started can answer."""
    started = time.monotonic()
    while not served.is_ready():
        time.sleep(0.02)
    return time.monotonic() - started


def _load_of(served: Served) -> tuple[int, float]:
    """The rows that were applied, and the seconds from the first look at the topics until they were."""
    [line] = [line for line in served.output.splitlines() if "the replica is loaded" in line]
    words = dict(word.split("=") for word in line.split() if "=" in word)
    return int(words["applied"]), float(words["seconds"])


@contextmanager
def _changing(writer: Rows, rows: Sequence[Encoded]) -> Iterator[Callable[[], float]]:
    """Changes rows at a rate until the end of the block; gives a function of how many a second it were."""
    stop, done, start = threading.Event(), 0, time.monotonic()

    def run() -> None:
        nonlocal done
        size, began = int(CHANGES * BURST), time.monotonic()
        while not stop.is_set():
            some = range(done, done + size)
            # The value of another row, so that the row changes.
            writer.put((*rows[number % len(rows)][:2], rows[(number * 7 + 1) % len(rows)][2]) for number in some)
            done += size
            stop.wait(max(0.0, began + done / CHANGES - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: done / (time.monotonic() - start)
    finally:
        stop.set()
        thread.join()


def _cpu(served: Served) -> float:
    """Seconds of CPU that the service has taken."""
    user, system = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _asked(url: str, seconds: float, rows: int) -> Any:
    """What `tests.bench.asking` has to say."""
    host, _, port = url.removeprefix("http://").partition(":")
    command = [sys.executable, "-m", "tests.bench.asking", host, port, str(REQUESTS), str(seconds)]
    ran = subprocess.run(command, input="\n".join(questions(rows)), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
