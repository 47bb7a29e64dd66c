"""A sink at work: the topic's records into the target, batch by batch, over every failure of either."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog

from foldlog.core.errors import AwayError, ClusterError, RegistryError, SinkError
from foldlog.sinks.source import Batch, Source
from foldlog.sinks.target import Applied, Consistency, Target

log = structlog.get_logger()

# A deletion is kept for `delete.retention.ms` after compaction, a day by default: a target that was told nothing for
# half of that may have missed one.
LONGEST_AWAY = timedelta(hours=12)
SHOWN_S = 1.0


class Progress(NamedTuple):
    """What a sink has done since it began, and how many records are before it."""

    records: int
    transactions: int
    lag: int


class Sink:
    """One topic into one target; `records` and `transactions` count what it has done.

    Set `stop` to end it after the transaction in hand.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        consistency: Consistency,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.stop = threading.Event()
        self._source, self._target = source, target
        self._consistency = consistency
        self._on_progress = on_progress
        self.records = self.transactions = self._failures = 0
        self._shown = float("-inf")

    def run(self, *, once: bool = False) -> None:
        """Works until it is stopped, or with `once` until the end that the topic has when it begins.

        Where somebody is away it waits; with `once` it raises AwayError, ClusterError or RegistryError. It raises
        SinkError where the target cannot hold a row or is not made for it, FencedError where a younger process took
        over, ContractError where a record cannot be decoded. Nothing is lost then: the offsets stay before it.
        """
        try:
            done = False
            while not done and not self.stop.is_set():
                done = self._attempt(once)
        finally:
            self._close()

    def _attempt(self, once: bool) -> bool:
        """Follows until it is done; False where somebody was away, after a pause."""
        try:
            self._follow(once)
        except (AwayError, ClusterError, RegistryError) as error:
            if once:
                raise
            self._close()
            self._failures += 1
            seconds = self._consistency.backoff(self._failures)
            log.warning("away", target=self._target.name, error=str(error), again_in_s=round(seconds, 1))
            self.stop.wait(seconds)
            return False
        return True

    def _close(self) -> None:
        self._source.close()
        self._target.close()

    def _follow(self, once: bool) -> None:
        self._topic_id = self._source.find()
        applied = self._target.open()
        ends = self._source.start(applied.offsets)
        self._check(applied, self._source.lag(ends))
        written, told, sync_s = dict(applied.offsets), time.monotonic(), self._consistency.sync_ms / 1000
        while not self.stop.is_set():
            batch = self._source.batch(sync_s, self._consistency.batch_records, ends if once else None)
            beat = time.monotonic() - told > self._consistency.heartbeat_s
            at_end = once and self._source.lag(ends) == 0
            if batch.changes or beat or (at_end and batch.offsets != written):
                self._apply(batch)
                written = batch.offsets
            if beat:
                told = time.monotonic()
                self._stay()
            if at_end:
                return

    def _stay(self) -> None:
        """Begins anew where the view's readers are pointed to another topic now."""
        if self._source.has_moved():
            raise AwayError(f"{self._source.topic} is not what readers of the view read any more")

    def _apply(self, batch: Batch) -> None:
        self._target.apply(batch.changes, Applied(batch.offsets, self._topic_id, datetime.now(UTC)))
        self._failures = 0
        self.records += batch.records
        self.transactions += 1
        if time.monotonic() - self._shown > SHOWN_S:
            self._shown = time.monotonic()
            self._on_progress(Progress(self.records, self.transactions, self._source.known_lag()))

    def _check(self, applied: Applied, lag: int) -> None:
        """A target that follows another topic, or may have missed a deletion, must not go on as if nothing were."""
        name, topic = self._target.name, self._source.topic
        if applied.topic not in (None, self._topic_id):
            raise SinkError(f"{name} is filled from another {topic} than there is now: add --rebuild to fill it anew")
        if lag and applied.at is not None and datetime.now(UTC) - applied.at > LONGEST_AWAY:
            raise SinkError(
                f"{name} has not followed {topic} since {applied.at:%Y-%m-%d %H:%M}, and deletions may be compacted "
                "away: add --rebuild to fill it anew"
            )
