"""Throughput: a backlog of commands, from the first one processed to the last event that committed readers can see."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from foldlog.bench.kafka import Kafka
from foldlog.bench.process import Launch, Running, started
from foldlog.bench.workload import PARTITIONS
from foldlog.core.errors import EngineError

Report = Callable[[int, int], None]
"""Called with (events seen, events wanted)."""

START_S = 120.0
STALL_S = 60.0
SETTLE_S = 2.5  # above the longest commit interval of any system: then nothing more is coming
CLOSE = 0.8  # of the way, from where on the end is watched closely
SELDOM_S, OFTEN_S = 0.05, 0.01


@dataclass(frozen=True)
class Measured:
    """A round: seconds from the first command processed to the last event stable, CPU seconds of the system's
    processes in that time, and the most memory they held, in MB."""

    commands: int
    seconds: float
    cpu_s: float
    rss_mb: float

    @property
    def rate(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds

    @property
    def cpu_per_100k(self) -> float:
        """CPU seconds for 100,000 commands."""
        return self.cpu_s * 100_000 / self.commands


def measure(kafka: Kafka, launch: Launch, topic: str, commands: int, report: Report) -> Measured:
    """Starts a system before its backlog and watches the topic of its events until the end no longer moves.

    Raises EngineError where it ends, does not begin in 120 s, or stands still for 60 s with events missing.
    """
    before = kafka.end(topic, PARTITIONS)
    with started(launch) as running:
        first = _first(running)
        last, cpu = _Watch(kafka, topic, running, before, report).until(commands)
        return Measured(commands, last - first, cpu, running.rss)


def _first(running: Running) -> float:
    deadline = time.monotonic() + START_S
    while (first := running.first()) is None:
        running.check()
        if time.monotonic() > deadline:
            raise EngineError(f"{running.launch.name} got no record in {START_S:.0f} s; see {running.launch.log}")
        time.sleep(SELDOM_S)
    running.cpu()  # the processes that were there at the start count from here
    return first


class _Watch:
    """The stable end of a topic as it moves."""

    def __init__(self, kafka: Kafka, topic: str, running: Running, before: int, report: Report) -> None:
        self._kafka, self._topic, self._running, self._before = kafka, topic, running, before
        self._report = report

    def until(self, wanted: int) -> tuple[float, float]:
        """When the end last moved (seconds of the epoch), and the CPU seconds used by then."""
        passed, moved, cpu = -1, time.time(), 0.0
        while True:
            end = self._kafka.end(self._topic, PARTITIONS) - self._before
            now = time.time()
            if end != passed:
                passed, moved, cpu = end, now, self._running.cpu()
                self._report(min(end, wanted), wanted)
            elif passed >= wanted and now - moved > SETTLE_S:
                return moved, cpu
            elif now - moved > STALL_S:
                raise EngineError(f"{self._running.launch.name} stands still at {passed:,} of {wanted:,} events")
            self._running.check()
            time.sleep(OFTEN_S if passed > CLOSE * wanted else SELDOM_S)
