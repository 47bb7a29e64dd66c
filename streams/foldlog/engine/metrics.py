"""Prometheus metrics, read from the counters when they are asked for: nothing is paid for a record.

Names and types follow https://prometheus.io/docs/practices/naming/. Every sample has the labels context, processor
and kind.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from foldlog import __version__
from foldlog.engine.line import Line
from foldlog.engine.stats import Counters, Histogram, ProcessorStats, State

LABELS = ("context", "processor", "kind")

_GAUGES: tuple[tuple[str, str, Callable[[ProcessorStats], float]], ...] = (
    ("records_per_second", "Records handled in the last second.", lambda one: one.rate),
    ("lag_records", "Records of the assigned partitions that are not handled yet, as last seen.", lambda one: one.lag),
    (
        "lag_seconds",
        "Age of the oldest record that is known and not committed; 0 where all are.",
        lambda one: one.lag_s,
    ),
    ("rows", "Rows in the local stores.", lambda one: one.rows),
    ("parked_keys", "Keys that wait for a repair.", lambda one: one.parked),
    ("assigned_partitions", "Partitions that this worker owns.", lambda one: len(one.partitions)),
    ("epoch", "Number of the assignment, counted up by each rebalance and each abort.", lambda one: one.epoch),
    ("restored_records", "Records of its log read since the last restore began.", lambda one: one.restored),
    ("restore_records", "Records of its log that the last restore has, or had, to read.", lambda one: one.to_restore),
    ("batch_in_work_seconds", "For how long the batch in work has been; 0 for none.", lambda one: one.working_s),
    ("poll_age_seconds", "How long ago the poll thread began a turn.", lambda one: one.turned_s),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Counters], float]], ...] = (
    ("records", "Records handled and committed.", lambda of: of.records),
    ("dead_letters", "Records put aside.", lambda of: of.dead_letters),
    ("late_events", "Events that came too late for a window of theirs and do not count in it.", lambda of: of.late),
    ("assignments", "Assignments of partitions taken.", lambda of: of.assignments),
    ("aborts", "Transactions without a commit, for whatever reason.", lambda of: of.aborts),
    (
        "taints",
        "Those of them whose outcome was not known, so that the producer was thrown away.",
        lambda of: of.taints,
    ),
    ("fences", "Those of them refused because another member or process had taken over.", lambda of: of.fences),
)
_CACHE: tuple[tuple[str, str, Callable[[Counters], float]], ...] = (
    ("cache_hits", "Rows found in memory.", lambda of: of.cache_hits),
    ("cache_misses", "Rows read from the store.", lambda of: of.cache_misses),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[Counters], Histogram]], ...] = (
    ("batch_records", "Records in a committed batch.", lambda of: of.batch_records),
    ("batch_seconds", "From taking up a batch to the end of its transaction.", lambda of: of.batch_seconds),
    ("commit_seconds", "A transaction: from its first record to the broker's answer.", lambda of: of.commit_seconds),
)


class Metrics(Collector):
    """The metrics of a worker's processors."""

    def __init__(self, context: str, lines: Sequence[Line]) -> None:
        self._lines = {(context, line.kind.name, line.kind.kind): line for line in lines}

    def collect(self) -> Iterator[Metric]:
        """Every metric as of now."""
        stats = {labels: line.stats() for labels, line in self._lines.items()}
        counters = {labels: line.processor.counters for labels, line in self._lines.items()}
        yield from (_gauge(name, text, {of: get(one) for of, one in stats.items()}) for name, text, get in _GAUGES)
        yield _states(stats)
        committed = {of: each.committed for of, each in counters.items() if each.committed}
        yield _gauge("last_commit_timestamp_seconds", "When a batch was last committed.", committed)
        read = {of: each for of, each in counters.items() if each.cache_hits or each.cache_misses}
        for name, text, count in _COUNTERS:
            yield _counter(name, text, {of: count(each) for of, each in counters.items()})
        for name, text, count in _CACHE:
            yield _counter(name, text, {of: count(each) for of, each in read.items()})
        yield from (
            _histogram(name, text, {of: get(c) for of, c in counters.items()}) for name, text, get in _HISTOGRAMS
        )
        build = GaugeMetricFamily("foldlog_build_info", "The version that runs.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build


def registry(context: str, lines: Sequence[Line]) -> CollectorRegistry:
    """What a scrape gets: the processors' metrics and the process's own."""
    found = CollectorRegistry()
    found.register(Metrics(context, lines))
    ProcessCollector(registry=found)
    return found


Labels = tuple[str, str, str]


def _gauge(name: str, text: str, values: dict[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"foldlog_{name}", text, labels=LABELS)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _counter(name: str, text: str, values: dict[Labels, float]) -> Metric:
    family = CounterMetricFamily(f"foldlog_{name}", text, labels=LABELS)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, values: dict[Labels, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"foldlog_{name}", text, labels=LABELS)
    for labels, value in values.items():
        family.add_metric(labels, value.buckets(), value.sum)
    return family


def _states(stats: dict[Labels, ProcessorStats]) -> Metric:
    family = GaugeMetricFamily("foldlog_state", "1 for the state that a processor is in.", labels=(*LABELS, "state"))
    for labels, one in stats.items():
        for state in get_args(State):
            family.add_metric((*labels, state), one.state == state)
    return family
