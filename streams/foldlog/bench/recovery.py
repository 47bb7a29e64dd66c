"""Recovery: how long after the start of a process a waiting command has its event, with much state, little, or none.

`empty_disk` is the whole start with the state in Kafka and nothing on disk, `warm` that with the disk intact. `restore`
is what the state adds to a start from an empty disk: the first minus a start without any state. That takes the start of
interpreters and virtual machines out of it, but where a system restores while it still does other things (Kafka Streams
waits for its group) little is left; so what the system itself says it took is beside it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from foldlog.bench.kafka import Kafka, reading
from foldlog.bench.process import Launch, started
from foldlog.bench.throughput import Report, measure
from foldlog.bench.workload import PARTITIONS, Order, name_of, openings
from foldlog.core.errors import EngineError
from foldlog.core.partitioning import partition_of
from foldlog.kafka.reading import is_record

KEYS = 1_000_000
PATIENCE_S = 180.0


class Subject(Protocol):
    """A system with topics of its own that can be filled, stopped and started again."""

    @property
    def events(self) -> str:
        """The topic of its events."""

    def load(self, sent: Iterable[Order]) -> None:
        """Sends commands."""

    def launch(self) -> Launch:
        """How it is started; its disk stays between two starts."""

    def told(self) -> float | None:
        """How many seconds of its last start it says it restored, where it says so."""

    def forget(self) -> None:
        """Empties its disk."""

    def close(self) -> None:
        """Removes what it left in Kafka."""


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process until every partition serves: without state, from an empty disk, and
    with the disk intact; `told_s` is what the system itself says of restoring from the empty disk."""

    blank_s: float
    empty_disk_s: float
    warm_s: float
    told_s: float | None = None


@dataclass(frozen=True)
class Recovered:
    """Several starts of each kind, taken in turns, so that a machine's moods meet all kinds."""

    keys: int
    starts: Sequence[Start]

    @property
    def restore_s(self) -> float:
        """What the state adds to a start from an empty disk: the median of the differences."""
        return max(0.0, median(start.empty_disk_s - start.blank_s for start in self.starts))

    @property
    def empty_disk_s(self) -> float:
        """The median start from an empty disk."""
        return median(start.empty_disk_s for start in self.starts)

    @property
    def told_s(self) -> float | None:
        """The median of what the system says of restoring; None where it says nothing."""
        told = [start.told_s for start in self.starts if start.told_s is not None]
        return median(told) if told else None

    @property
    def warm_s(self) -> float:
        """The median start with the disk intact."""
        return median(start.warm_s for start in self.starts)


def recover(kafka: Kafka, new: Callable[[], Subject], keys: int, starts: int, report: Report) -> Recovered:
    """Fills one system and restarts it, beside one with four accounts; `new` gives a system that never ran."""
    with closing(new()) as small, closing(new()) as full:
        serving(kafka, small)  # makes whatever topics a system makes for itself
        full.load(openings(keys))
        measure(kafka, [full.launch()], full.events, keys, report)
        return Recovered(keys, [_start(kafka, small, full) for _ in range(starts)])


def _start(kafka: Kafka, small: Subject, full: Subject) -> Start:
    small.forget()
    blank, warm = serving(kafka, small), serving(kafka, full)
    full.forget()
    return Start(blank, serving(kafka, full), warm, full.told())


def serving(kafka: Kafka, subject: Subject) -> float:
    """Seconds from a start until a command that waited in each partition has its event, seen by a committed reader."""
    subject.load(_one_each())
    with closing(reading(kafka.bootstrap, subject.events, PARTITIONS)) as consumer:
        began, waiting = time.monotonic(), set(range(PARTITIONS))
        with started(subject.launch()) as running:
            while waiting:
                message = consumer.poll(0.05)
                if message is not None and is_record(message):
                    waiting.discard(message.partition() or 0)
                running.check()
                if time.monotonic() - began > PATIENCE_S:
                    raise EngineError(f"{running.launch.name} does not serve after {PATIENCE_S:.0f} s")
            return time.monotonic() - began


def _one_each() -> list[Order]:
    """A deposit to one account of each partition."""
    accounts: dict[int, Order] = {}
    for number in range(10_000):
        name = name_of(number)
        home = partition_of(name.encode(), PARTITIONS)
        accounts.setdefault(home, Order(f"waiting-{time.time_ns()}-{home}", name, False, 1))
    return list(accounts.values())
