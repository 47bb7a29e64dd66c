"""Read your writes: from an event's place to the ends of a view's topic that contain what the view made of it.

A view commits its offsets in one transaction with its rows. So once its group is beyond the event, the rows are
written, and lie before the ends that the view's topic has *then*. Where events are moved to the partition of their row
first, the group must also get beyond what had been moved by then. Nothing is added to the log for this.

However many readers wait, one thread asks for all of them: a few requests to the broker a turn.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException

from foldlog.client.positions import Position
from foldlog.core.errors import ClusterError
from foldlog.core.topics import events
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.kafka.connection import admin
from foldlog.kafka.gaps import without_records
from foldlog.kafka.marks import Place, end_offsets, group_offsets
from foldlog.kafka.reading import committed_reader

log = structlog.get_logger()

Ends = Mapping[Place, int]

_LOOK_EVERY = 0.005  # s between two turns while somebody waits
_AGAIN = 0.5  # s after a failure
_LOOK = 2.0  # s to look at what was moved and is not handled yet; an answer takes some ms
_FETCH_MS = 5  # that the broker waits for a record before it says that there is none


@dataclass
class _Waiting:
    """A reader: `moved` are the ends of the moved events once the group was beyond the event itself."""

    at: Position
    answer: "Future[Ends]" = field(default_factory=Future)
    moved: dict[Place, int] | None = None


class _Progress:
    """A view's topic: who waits for it, and how far its group was found to be."""

    def __init__(self, topology: Topology, view: View[Any, Any], topic: str) -> None:
        count = range(topology.partitions)
        self.group = topic  # the group, too, is called by context and generation
        self.inputs = [(events(topology.name, source.name), number) for source in view.sources for number in count]
        self.moved = [(f"{topic}.rekeyed", number) for number in count]
        self.outputs = [(topic, number) for number in count]
        self.committed: dict[Place, int] = {}
        self.waiting: list[_Waiting] = []
        self.contained: dict[Place, tuple[int, Ends]] = {}  # the last event found, and the ends that contain it


class Frontier:
    """Answers, for events, which ends of a view's topic contain them; has a thread of its own until it is closed."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self._bootstrap, self._topology = bootstrap, topology
        self._admin = admin(bootstrap)
        self._topics: dict[str, _Progress] = {}
        self._lock = threading.Condition()
        self._closed = threading.Event()
        self._consumer: Consumer | None = None
        self._thread = threading.Thread(target=self._run, name="frontier", daemon=True)
        self._thread.start()

    def ends(self, view: View[Any, Any], topic: str, at: Position) -> "Future[Ends]":
        """The ends of a topic of the view's that contain the event at a place; done once there are such ends.

        Cancel it to wait no longer.
        """
        asked = _Waiting(at)
        with self._lock:
            if topic not in self._topics:
                self._topics[topic] = _Progress(self._topology, view, topic)
            progress = self._topics[topic]
            found = progress.contained.get(at.place)
            if found is None or found[0] < at.offset:
                progress.waiting.append(asked)
                self._lock.notify()
                return asked.answer
        asked.answer.set_result(found[1])
        return asked.answer

    def close(self) -> None:
        """Ends the thread; whoever still waits is cancelled."""
        self._closed.set()
        with self._lock:
            self._lock.notify()
        self._thread.join()
        for progress in self._topics.values():
            for each in progress.waiting:
                each.answer.cancel()
        if self._consumer is not None:
            self._consumer.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                for progress in self._topics.values():
                    progress.waiting = [each for each in progress.waiting if not each.answer.done()]
                busy = [progress for progress in self._topics.values() if progress.waiting]
                if not busy:
                    self._lock.wait()
            try:
                for progress in busy:
                    self._turn(progress)
            except (KafkaException, ClusterError, TimeoutError) as error:
                log.debug("the progress of a view is not known", because=str(error))
                self._closed.wait(_AGAIN)
            self._closed.wait(_LOOK_EVERY)

    def _turn(self, progress: _Progress) -> None:
        """One look at a view for all who wait. The order of the requests matters: ends are asked for last."""
        with self._lock:
            waiting = list(progress.waiting)
        progress.committed = group_offsets(self._admin, progress.group, [*progress.inputs, *progress.moved])
        beyond = [each for each in waiting if each.moved or progress.committed[each.at.place] > each.at.offset]
        if any(each.moved is None for each in beyond):
            moved = end_offsets(self._admin, progress.moved, committed=False)
            for each in beyond:
                each.moved = moved if each.moved is None else each.moved
        done = [each for each in beyond if self._handled(progress, each)]
        if done:
            found = end_offsets(self._admin, progress.outputs, committed=False)
            self._answer(progress, done, found)

    def _handled(self, progress: _Progress, each: _Waiting) -> bool:
        """Whether the group is beyond everything that had been moved, but for the marks of transactions."""
        left = {place: end for place, end in (each.moved or {}).items() if max(0, progress.committed[place]) < end}
        empty = self._without_records({place: (progress.committed[place], end) for place, end in left.items()})
        each.moved = {place: end for place, end in left.items() if place not in empty}
        return not each.moved

    def _without_records(self, spans: Mapping[Place, tuple[int, int]]) -> set[Place]:
        if not spans:
            return set()
        if self._consumer is None:
            self._consumer = Consumer({**committed_reader(self._bootstrap), "fetch.wait.max.ms": _FETCH_MS})
        return without_records(self._consumer, spans, _LOOK)

    def _answer(self, progress: _Progress, done: list[_Waiting], found: Ends) -> None:
        with self._lock:
            for each in done:
                before, _ = progress.contained.get(each.at.place, (-1, found))
                if each.at.offset > before:
                    progress.contained[each.at.place] = each.at.offset, found
        for each in done:
            if each.answer.set_running_or_notify_cancel():
                each.answer.set_result(found)
