"""The read side, measured: `python -m tests.bench.read [--rows N] [--seconds S]`.

On a cluster of its own under build/bench-read: how fast a replica catches up, how soon a killed one is ready again,
and how long a list takes at 200 requests a second while 20,000 rows a second change. All on the same machine, load
generators included; the figures are printed and kept in build/bench-read.json, and nothing depends on them.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import quantiles

import httpx

from foldlog.cluster import embedded
from tests.engine.running import Bank, fresh_bank
from tests.query.filling import Rows, balance
from tests.query.processes import Served

HOME = Path("build/bench-read")
RESULT = Path("build/bench-read.json")
REQUESTS = 200  # a second
CHANGES = 20_000  # a second
BURST = 0.05  # s
LISTS = (
    "/views/balances?owner=eq:owner-07&sort=-postings&limit=50",
    "/views/balances?amount=gte:1000&sort=amount&limit=50",
    "/views/balances?limit=50",
    "/views/balances/account-0000042",
)


def main() -> int:
    """Measures, prints, keeps."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=300_000)
    arguments.add_argument("--seconds", type=float, default=20.0)
    wanted = arguments.parse_args()
    home = HOME.absolute()
    try:
        cluster = embedded.up(home, train=False)
        with fresh_bank(cluster) as bank:
            figures = measured(bank, home, wanted.rows, wanted.seconds)
    finally:
        embedded.down(home, wipe_data=True)
    text = json.dumps(figures, indent=2)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


def measured(bank: Bank, home: Path, rows: int, seconds: float) -> dict[str, object]:
    """The figures of the three questions."""
    writer = Rows(bank)
    writer.write((f"account-{number:07}", balance(number)) for number in range(rows))
    with closing(Served(bank, home / "service")) as served:
        first = _ready_after(served)
        applied, loading = _load_of(served)
    with closing(Served(bank, home / "service")) as served:
        again = _ready_after(served)
        with _changing(writer, rows) as changed:
            took, failed = asyncio.run(_asked(served.url, seconds))
            rate = changed()
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
            "failed": failed,
            "p50 ms": round(cuts[499] * 1000, 1),
            "p99 ms": round(cuts[989] * 1000, 1),
            "longest ms": round(max(took) * 1000, 1),
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
def _changing(writer: Rows, rows: int) -> Iterator[Callable[[], float]]:
    """Changes rows at a rate until the end of the block; gives a function of how many a second it were."""
    stop, done, start = threading.Event(), 0, time.monotonic()

    def run() -> None:
        nonlocal done
        size, began = int(CHANGES * BURST), time.monotonic()
        while not stop.is_set():
            changes = ((f"account-{number % rows:07}", balance(number)) for number in range(done, done + size))
            writer.write(changes)
            done += size
            stop.wait(max(0.0, began + done / CHANGES - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: done / (time.monotonic() - start)
    finally:
        stop.set()
        thread.join()


async def _asked(url: str, seconds: float) -> tuple[list[float], int]:
    """How long each answer took from when it was due, whatever became of those before; how many failed."""
    took: list[float] = []
    failed = 0
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, limits=limits) as client:
        began = time.monotonic()

        async def ask(number: int) -> None:
            nonlocal failed
            due = began + number / REQUESTS
            await asyncio.sleep(due - time.monotonic())
            try:
                answer = await client.get(LISTS[number % len(LISTS)])
            except httpx.HTTPError:
                failed += 1
                return
            failed += answer.status_code != 200
            took.append(time.monotonic() - due)

        await asyncio.gather(*(ask(number) for number in range(int(seconds * REQUESTS))))
    return took, failed


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
