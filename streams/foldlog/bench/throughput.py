"""Throughput: a backlog of commands, from the first one processed to the last event that committed readers can see."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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


def measure(
    kafka: Kafka,
    launches: Sequence[Launch],
    topic: str,
    commands: int,
    report: Report,
    *,
    release: Callable[[Callable[[], None]], None] = lambda _: None,
    over: Callable[[], bool] = lambda: True,
) -> Measured:
    """Starts a system before its backlog and watches the topic of its events until the end no longer moves.

    `release` makes the backlog visible once the processes run; it is given a function that raises where one has
    ended. `over` is asked once nothing has moved for a while: whether nothing more is coming. Raises EngineError where
    a process ends, none begins in 120 s, or for 60 s nothing moves with events missing.
    """
    before = kafka.end(topic, PARTITIONS)
    with ExitStack() as stack:
        running = [stack.enter_context(started(launch)) for launch in launches]
        release(lambda: _check(running))
        first = _first(running)
        last, cpu = _Watch(kafka, topic, running, before, report).until(commands, over)
        return Measured(commands, last - first, cpu, sum(process.rss for process in running))


def _check(running: Sequence[Running]) -> None:
    for process in running:
        process.check()


def _first(running: Sequence[Running]) -> float:
    deadline, name = time.monotonic() + START_S, running[0].launch.name
    while (first := running[0].first()) is None:
        if time.monotonic() > deadline:
            raise EngineError(f"{name} got no record in {START_S:.0f} s; see {running[0].launch.log}")
        _check(running)
        time.sleep(SELDOM_S)
    for process in running:
        process.cpu()  # those that have no stamp yet count from here
    return first


class _Watch:
    """The stable end of a topic as it moves."""

    def __init__(self, kafka: Kafka, topic: str, running: Sequence[Running], before: int, report: Report) -> None:
        self._kafka, self._topic, self._running, self._before = kafka, topic, running, before
        self._report = report

    def until(self, wanted: int, over: Callable[[], bool]) -> tuple[float, float]:
        """When the end last moved (seconds of the epoch), and the CPU seconds used by then."""
        passed, moved, cpu, done = -1, time.time(), 0.0, False
        while True:
            end = self._kafka.end(self._topic, PARTITIONS) - self._before
            now = time.time()
            if end != passed:
                passed, moved, cpu, done = end, now, sum(process.cpu() for process in self._running), False
                self._report(min(end, wanted), wanted)
            elif done:
                return moved, cpu
            elif passed >= wanted and now - moved > SETTLE_S and over():
                done = True  # and the end is asked for once more: it may have moved in between
            elif now - moved > STALL_S:
                one = self._running[0].launch
                raise EngineError(f"{one.name} stands still at {passed:,} of {wanted:,} events; its log is {one.log}")
            _check(self._running)
            time.sleep(OFTEN_S if passed > CLOSE * wanted else SELDOM_S)
