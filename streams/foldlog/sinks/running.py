"""A sink at work: the topic's records into the target, batch by batch, over every failure of either."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog

from foldlog.core.errors import AwayError, ClusterError, RegistryError, SinkError
from foldlog.sinks.source import Batch, Source
from foldlog.sinks.target import Applied, Change, Consistency, Target

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
        """Follows; False where it is to begin anew, after a pause where somebody was away."""
        try:
            return self._follow(once)
        except (AwayError, ClusterError, RegistryError) as error:
            if once:
                raise
            self._close()
            self._failures += 1
            seconds = self._consistency.backoff(self._failures)
            log.warning("away", target=self._target.name, error=str(error), again_in_s=round(seconds, 1))
            self.stop.wait(seconds)
            return False

    def _close(self) -> None:
        self._source.close()
        self._target.close()

    def _follow(self, once: bool) -> bool:
        """Works until it is done; False where the view's readers are pointed to another topic now."""
        topic_id = self._source.find()
        self._topic = f"{self._source.topic}@{topic_id}"
        applied = self._target.open()
        renewed = self._is_of_another_generation(applied)
        ends = self._source.start({} if renewed else applied.offsets)
        if renewed:
            applied = self._renew(applied, ends)
        else:
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
                if self._source.has_moved():
                    return False
            if at_end:
                return True
        return True

    def _is_of_another_generation(self, applied: Applied) -> bool:
        topic = (applied.topic or "").rpartition("@")[0]
        return not applied.whole or (topic != self._source.topic and self._source.is_generation(topic))

    def _renew(self, applied: Applied, ends: Mapping[int, int]) -> Applied:
        """Replaces the rows of the generation before by those that the topic has now."""
        log.info("another generation", target=self._target.name, before=applied.topic, topic=self._topic)
        now = Applied()

        def batches() -> Iterator[tuple[Sequence[Change], Applied]]:
            nonlocal now
            while now.topic is None or self._source.lag(ends):
                if self.stop.is_set():
                    raise AwayError(f"it was stopped before it had read all of {self._source.topic}: it begins anew")
                seconds = self._consistency.sync_ms / 1000
                batch = self._source.batch(seconds, self._consistency.batch_records, ends)
                now = Applied(batch.offsets, self._topic, datetime.now(UTC))
                yield batch.changes, now
                self._done(batch)

        self._target.renew(batches())
        return now

    def _apply(self, batch: Batch) -> None:
        self._target.apply(batch.changes, Applied(batch.offsets, self._topic, datetime.now(UTC)))
        self._done(batch)

    def _done(self, batch: Batch) -> None:
        self._failures = 0
        self.records += batch.records
        self.transactions += 1
        if time.monotonic() - self._shown > SHOWN_S:
            self._shown = time.monotonic()
            self._on_progress(Progress(self.records, self.transactions, self._source.known_lag()))

    def _check(self, applied: Applied, lag: int) -> None:
        """A target that follows another topic, or may have missed a deletion, must not go on as if nothing were."""
        name, topic = self._target.name, self._source.topic
        if applied.topic not in (None, self._topic):
            raise SinkError(f"{name} is filled from another {topic} than there is now: add --rebuild to fill it anew")
        if lag and applied.at is not None and datetime.now(UTC) - applied.at > LONGEST_AWAY:
            raise SinkError(
                f"{name} has not followed {topic} since {applied.at:%Y-%m-%d %H:%M}, and deletions may be compacted "
                "away: add --rebuild to fill it anew"
            )
