"""What a processor tells about itself."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from foldlog.engine.batch import Place

State = Literal["starting", "restoring", "running", "waiting", "stopped"]  # waiting: for the schema registry

RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)  # a batch
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # a transaction


@dataclass(frozen=True)
class ProcessorStats:
    """A processor as of now: rate in records/s, lag in records, rows in its stores, records of its log to restore.

    `lag_s` is the age of the oldest record that is known and not committed. `turned_s` is how long ago its poll
    thread began a turn, `working_s` for how long its process thread has had the batch that it works on; 0 for none.
    `standby` are the partitions of others that are kept warm here, `standby_lag` the records that these stores lack.
    `parked` are the keys that wait for a repair.
    """

    processor: str
    kind: str
    partitions: tuple[int, ...]
    state: State
    records: int
    rate: float
    lag: int
    rows: int
    dead_letters: int
    restored: int
    to_restore: int
    lag_s: float = 0.0
    epoch: int = 0
    turned_s: float = 0.0
    working_s: float = 0.0
    standby: tuple[int, ...] = ()
    standby_lag: int = 0
    parked: int = 0


class Histogram:
    """How often a value fell below each bound; fed once a batch, by one thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated counts by upper bound, in Prometheus' text form; the last bound is `+Inf`."""
        names = (*(str(float(bound)) for bound in self._bounds), "+Inf")
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))


@dataclass
class Counters:
    """What a processor counts; written by its process thread, read by others."""

    state: State = "starting"
    records: int = 0
    dead_letters: int = 0
    late: int = 0  # events that came too late for a window
    restored: int = 0
    to_restore: int = 0
    rows: int = 0
    parked: int = 0  # keys
    assignments: int = 0
    aborts: int = 0  # transactions without a commit, for whatever reason
    taints: int = 0  # those of them whose outcome was not known: the producer was thrown away
    fences: int = 0  # those of them that were refused, because another member or process had taken over
    cache_hits: int = 0
    cache_misses: int = 0
    unread: dict[Place, int] = field(default_factory=dict)  # records behind the end when they were restored
    batch_records: Histogram = field(default_factory=lambda: Histogram(RECORDS))
    batch_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    since: float = 0.0  # monotonic s: when the batch in work was begun; 0 for none
    oldest: float = 0.0  # Unix s: timestamp of the first record of the batch in work, or of the last one that was
    committed: float = 0.0  # Unix s: when a batch was last committed

    def lag_s(self, lag: int) -> float:
        """The age of the oldest known record that is not committed: 0 where all are.

        While a batch is in work that is its first record. Between two batches it is the last committed record: the
        one after it is no older where a topic's timestamps ascend, so the figure is an upper bound.
        """
        return max(0.0, time.time() - self.oldest) if self.oldest and (self.since or lag) else 0.0
