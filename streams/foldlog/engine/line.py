"""A processor with its feed and its two threads: one polls, one processes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from structlog.contextvars import bind_contextvars

from foldlog.engine.batch import Assignment, Batch, Place, Received
from foldlog.engine.feed import Feed
from foldlog.engine.kind import Kind
from foldlog.engine.processor import Processor
from foldlog.engine.shadows import Shadows
from foldlog.engine.stats import ProcessorStats

if TYPE_CHECKING:
    from foldlog.engine.tracing import Traces


class Line:
    """What the worker's agent and its housekeeping hold on to; `rate` is of the last second, in records/s."""

    def __init__(self, processor: Processor, kind: Kind, feed: Feed) -> None:
        self.processor = processor
        self.kind = kind
        self.feed = feed
        self.executor = ThreadPoolExecutor(1, f"process-{kind.name}", lambda: bind_contextvars(processor=kind.name))
        self.thread: threading.Thread | None = None
        self.rate = 0.0
        self.traces: Traces | None = None
        self.shadows: Shadows | None = None  # of the partitions that others own

    def poll(self) -> None:
        """Runs the feed; its log lines name the processor."""
        bind_contextvars(processor=self.kind.name)
        self.feed.run()

    def take(self, item: Assignment | Batch) -> None:
        """Has an item processed, and measures what becomes of it; an exception means that the process must end."""
        bind_contextvars(epoch=item.epoch)
        if isinstance(item, Assignment):
            self.processor.counters.assignments += 1
            self.processor.take(item)
        elif item.messages:
            self._take(item)
        else:
            self.processor.take(item)

    def _take(self, batch: Batch) -> None:
        counters = self.processor.counters
        before, counters.oldest, counters.since = counters.records, _time(batch.messages[0]), time.monotonic()
        try:
            self.processor.take(batch)
        finally:
            took, counters.since = time.monotonic() - counters.since, 0.0
            if self.traces is not None:
                self.traces.end(committed=counters.records > before)
        if counters.records > before:  # committed
            counters.oldest, counters.committed = _time(batch.messages[-1]), time.time()
            counters.batch_records.observe(len(batch.messages))
            counters.batch_seconds.observe(took)

    def unread(self) -> dict[Place, int]:
        """Records behind the end of each assigned partition, as far as is known: as read, else as restored."""
        assigned, known = self.feed.assigned, {**self.processor.counters.unread, **self.feed.lags}
        return {place: known.get(place, 0) for place in assigned}

    def stats(self) -> ProcessorStats:
        """The processor as of now; may be called from any thread."""
        counters, now = self.processor.counters, time.monotonic()
        lag, since = sum(self.unread().values()), counters.since
        return ProcessorStats(
            processor=self.kind.name,
            kind=self.kind.kind,
            partitions=tuple(sorted({number for _, number in self.feed.assigned})),
            state=counters.state,
            records=counters.records,
            rate=self.rate,
            lag=lag,
            rows=counters.rows,
            dead_letters=counters.dead_letters,
            restored=counters.restored,
            to_restore=counters.to_restore,
            lag_s=counters.lag_s(lag),
            epoch=self.feed.epoch,
            turned_s=now - self.feed.turned,
            working_s=now - since if since else 0.0,
            standby=self.shadows.numbers if self.shadows else (),
            standby_lag=self.shadows.lag if self.shadows else 0,
            parked=counters.parked,
        )


def _time(message: Received) -> float:
    """A record's timestamp in Unix seconds; 0 where it has none."""
    return max(0, message.timestamp()[1]) / 1000
