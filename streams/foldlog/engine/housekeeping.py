"""What a worker does once a second beside its work: figures, probe files, emptying inboxes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from foldlog.engine.line import Line
from foldlog.engine.stats import ProcessorStats

log = structlog.get_logger()

TRIM_EVERY = 10.0  # s


class Housekeeping:
    """The once-a-second turn of a worker."""

    def __init__(
        self,
        lines: Sequence[Line],
        admin: AdminClient,
        directory: Path,
        on_stats: Callable[[list[ProcessorStats]], None] | None,
    ) -> None:
        self._lines = lines
        self._admin = admin
        self._alive = directory / "alive"
        self._ready = directory / "ready"
        self._on_stats = on_stats
        self._before: dict[str, tuple[float, int]] = {}
        self._trimmed = self.turned = time.monotonic()
        self._ready.unlink(missing_ok=True)

    def turn(self) -> None:
        """One turn; `alive` is touched in each, `ready` exists while every processor runs."""
        self._alive.touch()
        if all(line.processor.counters.state == "running" for line in self._lines):
            self._ready.touch()
        else:
            self._ready.unlink(missing_ok=True)
        self.turned = time.monotonic()
        stats = self._stats()
        if self._on_stats is not None:
            self._on_stats(stats)
        if time.monotonic() - self._trimmed > TRIM_EVERY:
            self._trimmed = time.monotonic()
            self._trim()

    def end(self) -> None:
        """The last figures; the probe files go."""
        self._ready.unlink(missing_ok=True)
        self._alive.unlink(missing_ok=True)
        if self._on_stats is not None:
            self._on_stats(self._stats())

    def _stats(self) -> list[ProcessorStats]:
        """The processors as of now, their rates since the turn before."""
        for line in self._lines:
            records, now = line.processor.counters.records, time.monotonic()
            then, before = self._before.get(line.kind.name, (now, records))
            self._before[line.kind.name] = now, records
            line.rate = (records - before) / (now - then) if now > then else 0.0
        return [line.stats() for line in self._lines]

    def _trim(self) -> None:
        """Empties what nobody else reads, behind the committed offsets; a failure is tried again at the next turn."""
        marks = [
            TopicPartition(topic, partition, offset)
            for line in self._lines
            for (topic, partition), offset in list(line.processor.committed.items())
            if topic in line.kind.trims and offset > 0
        ]
        if marks:
            self._admin.delete_records(marks)
