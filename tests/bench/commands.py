"""What a command costs without Kafka: `python -m tests.bench.commands [--accounts N ...] [--ids N] [--cache-mb N]`.

On a registry of its own under build/bench-commands. For each number of accounts, each of which remembers some ids,
batches of commands to accounts drawn evenly go through a decider and its stores; the records are made, and sent to
nobody. Times are of this thread's CPU, in µs a command; a machine's other work moves them less than it moves rates.
"""

import argparse
import gc
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Message

from foldlog.bench import workload
from foldlog.bench.workload import PARTITIONS
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.partitioning import partition_of
from foldlog.core.topology import Topology
from foldlog.engine.batch import Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.store import Store
from foldlog.engine.work import Work
from tests.bench.keeping import keep
from tests.conftest import ephemeral

HOME = Path("build/bench-commands")
RESULT = Path("build/bench-commands.json")
BATCH = 10_000
BATCHES = 40
SENT = 1_700_000_000_000  # ms
_ROOM = 1 << 30  # bytes of rows that are read ahead


class Course:
    """A decider over accounts, and what each step of its batches has taken so far, in s."""

    def __init__(self, topology: Topology, codec: Codec, accounts: int, memory: int) -> None:
        self._kind = Deciding(topology, topology.deciders[0], codec)
        self._context, self._codec = topology.name, codec
        self._draw = random.Random(42)
        self._homes = [partition_of(_name(number).encode(), PARTITIONS) for number in range(accounts)]
        self._offset = 0
        home = HOME / str(accounts)
        shutil.rmtree(home, ignore_errors=True)
        self.rows = {n: self._kind.rows(Store(home / str(n), "log"), memory // PARTITIONS) for n in range(PARTITIONS)}
        self.took: dict[str, float] = {}

    def open(self, ids: int) -> None:
        """Each account gets an event, as often as it has an id to remember."""
        for _ in range(ids):
            for first in range(0, len(self._homes), BATCH):
                self.batch(range(first, min(len(self._homes), first + BATCH)))
        self.took = {}

    def go(self, batches: int) -> None:
        """Batches of commands to accounts drawn evenly."""
        for _ in range(batches):
            self.batch([self._draw.randrange(len(self._homes)) for _ in range(BATCH)])

    def batch(self, accounts: Iterable[int]) -> None:
        """One batch, from its commands to its rows."""
        messages = [self._message(number) for number in accounts]
        work = Work(self._context, self._kind.name, self._codec, self._kind.log)
        wanted = self._kind.wanted(messages)
        ahead = self._timed(
            "read", lambda: {n: own.read_ahead(wanted.get(n, ()), _ROOM) for n, own in self.rows.items()}
        )
        for number, own in self.rows.items():
            own.adopt(ahead[number])
        self._timed("decide", lambda: self._kind.handle_all(messages, self.rows, work))
        self._timed("pack", lambda: [rows.pack() for rows in self.rows.values()])
        self._timed("apply", self._apply)
        self._timed("write", self._write)

    def close(self) -> None:
        """Closes the stores."""
        for rows in self.rows.values():
            rows.store.close()

    def _apply(self) -> None:
        for rows in self.rows.values():
            rows.apply(rows.position + 1)

    def _write(self) -> None:
        for rows in self.rows.values():
            if rows.ripe:
                rows.write()

    def _timed(self, step: str, act: Callable[[], Any]) -> Any:
        began = time.thread_time()
        found = act()
        self.took[step] = self.took.get(step, 0.0) + time.thread_time() - began
        return found

    def _message(self, number: int) -> Received:
        self._offset += 1
        name = _name(number)
        message = Message(
            topic=self._kind.commands,
            partition=self._homes[number],
            offset=self._offset,
            headers=[("command-id", b"%032x" % self._draw.getrandbits(128))],
            key=name.encode(),
            value=self._codec.encode(workload.Deposit(name, 5, 0)),
            timestamp=(1, SENT),
        )
        return cast(Received, message)


def measured(topology: Topology, codec: Codec, accounts: int, ids: int, memory: int) -> dict[str, float]:
    """µs a command of each step, and together."""
    with closing(Course(topology, codec, accounts, memory)) as course:
        course.open(ids)
        course.go(BATCHES)
        took = {step: round(each * 1e6 / (BATCH * BATCHES), 2) for step, each in course.took.items()}
    return {**took, "all": round(sum(took.values()), 2)}


def main() -> int:
    """Measures, prints, keeps."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    arguments.add_argument("--ids", type=int, default=2, metavar="N", help="ids that each account remembers at first")
    arguments.add_argument("--cache-mb", type=int, default=128, metavar="N")
    wanted = arguments.parse_args()
    declared = workload.topology("bench_commands", view=False)
    gc.set_threshold(300_000)  # as a worker does
    with ephemeral(HOME.absolute()) as cluster, closing(Registry(cluster.registry)) as registry:
        push(declared, registry)
        codec = Codec(declared, registry)
        codec.prepare()
        found = {str(n): measured(declared, codec, n, wanted.ids, wanted.cache_mb << 20) for n in wanted.accounts}
    keep({"µs of CPU a command": found}, RESULT)
    return 0


def _name(number: int) -> str:
    return f"account-{number:07d}"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
