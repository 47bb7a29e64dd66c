"""Read your writes: from an event's place to the ends of a view's topic that contain what the view made of it.

A view commits its offsets in one transaction with its rows. So once its group is beyond the event, the rows are
written, and lie before the ends that the view's topic has *then*. Where events are moved to the partition of their row
first, the group must also get beyond what had been moved by then. So it is with sagas and what they send, and with
aggregates. Nothing is added to the log for this.

However many readers wait, one thread asks for all of them: a few requests to the broker a turn.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaException

from foldlog.client.positions import Position
from foldlog.core.errors import ClusterError
from foldlog.kafka.connection import admin
from foldlog.kafka.gaps import Gap, gaps
from foldlog.kafka.marks import GroupOffsets, Place, end_offsets
from foldlog.kafka.reading import committed_reader
from foldlog.query.causation import Step

log = structlog.get_logger()

Ends = Mapping[Place, int]

_LOOK_EVERY = 0.005  # s between two turns while somebody waits
_AGAIN = 0.5  # s after a failure
_LOOK = 2.0  # s to look at what was moved and is not handled yet; an answer takes some ms
_FETCH_MS = 5  # that the broker waits for a record before it says that there is none


@dataclass
class _Waiting:
    """A reader: `beyond` is what the group has still to pass, `moved` what it had moved once it was there."""

    beyond: dict[Place, int]
    event: Place | None  # where `beyond` is the place after an event, the event's partition; else it is ends of logs
    answer: "Future[Ends]" = field(default_factory=Future)
    moved: dict[Place, int] | None = None


class _Progress:
    """A step: who waits for it, and how far its group was found to be."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.committed: dict[Place, int] = {}
        self.gaps: dict[Place, Gap] = {}  # that begin where the group was when they were looked for
        self.waiting: list[_Waiting] = []
        self.contained: dict[Place, tuple[int, Ends]] = {}  # the last event found, and the ends that contain it

    def reached(self, place: Place) -> int:
        """How far the group is, the marks of transactions that it has before it counted."""
        committed, gap = max(0, self.committed[place]), self.gaps.get(place)
        return gap.end if gap is not None and gap.start == committed else committed

    def left(self, marks: Mapping[Place, int]) -> dict[Place, int]:
        """The marks that the group has not come to."""
        return {place: mark for place, mark in marks.items() if self.reached(place) < mark}

    def unknown(self, marks: Mapping[Place, int]) -> dict[Place, int]:
        """Where the group is in the partitions of marks that it may have come to but for the marks of transactions."""
        before = {place: max(0, self.committed[place]) for place in self.left(marks)}
        known = {place for place, gap in self.gaps.items() if gap.sure and gap.start == before.get(place)}
        return {place: at for place, at in before.items() if place not in known}


class Frontier:
    """Answers, for events, which ends of a view's topic contain them; has a thread of its own until it is closed."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin, self._offsets = admin(bootstrap), GroupOffsets(bootstrap)
        self._steps: dict[Step, _Progress] = {}
        self._lock = threading.Condition()
        self._closed = threading.Event()
        self._consumer: Consumer | None = None
        self._thread = threading.Thread(target=self._run, name="frontier", daemon=True)
        self._thread.start()

    def beyond_event(self, step: Step, at: Position) -> "Future[Ends]":
        """The ends of what a step writes that contain what it made of an event; done once there are such ends.

        Cancel it to wait no longer.
        """
        with self._lock:
            found = self._progress(step).contained.get(at.place)
        if found is None or found[0] < at.offset:
            return self._wait(step, _Waiting({at.place: at.offset + 1}, at.place))
        answer: Future[Ends] = Future()
        answer.set_result(found[1])
        return answer

    def beyond_ends(self, step: Step, ends: Ends) -> "Future[Ends]":
        """Likewise for everything before the ends of logs that it reads, which marks of transactions may be part of."""
        return self._wait(step, _Waiting({place: end for place, end in ends.items() if place in step.inputs}, None))

    def close(self) -> None:
        """Ends the thread; whoever still waits is cancelled."""
        self._closed.set()
        with self._lock:
            self._lock.notify()
        self._thread.join()
        for progress in self._steps.values():
            for each in progress.waiting:
                each.answer.cancel()
        if self._consumer is not None:
            self._consumer.close()
        self._offsets.close()

    def _progress(self, step: Step) -> _Progress:
        return self._steps.setdefault(step, _Progress(step))

    def _wait(self, step: Step, asked: _Waiting) -> "Future[Ends]":
        with self._lock:
            self._progress(step).waiting.append(asked)
            self._lock.notify()
        return asked.answer

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                for progress in self._steps.values():
                    progress.waiting = [each for each in progress.waiting if not each.answer.done()]
                busy = [progress for progress in self._steps.values() if progress.waiting]
                if not busy:
                    self._lock.wait()
            try:
                for progress in busy:
                    self._turn(progress)
            except (KafkaException, ClusterError, TimeoutError) as error:
                log.debug("the progress is not known", because=str(error))
                self._closed.wait(_AGAIN)
            self._closed.wait(_LOOK_EVERY)

    def _turn(self, progress: _Progress) -> None:
        """One look at a step for all who wait. The order of the requests matters: ends are asked for last."""
        with self._lock:
            waiting, step = list(progress.waiting), progress.step
        progress.committed = self._offsets.of(step.group, [*step.inputs, *step.moved])
        self._look(progress, [each.beyond for each in waiting if each.moved is None and each.event is None])
        beyond = [each for each in waiting if each.moved is not None or not progress.left(each.beyond)]
        if any(each.moved is None for each in beyond):
            moved = end_offsets(self._admin, step.moved, committed=False) if step.moved else {}
            for each in beyond:
                each.moved = moved if each.moved is None else each.moved
        self._look(progress, [each.moved for each in beyond if each.moved])
        done = [each for each in beyond if not progress.left(each.moved or {})]
        if done:
            self._answer(progress, done, end_offsets(self._admin, step.outputs, committed=False))

    def _look(self, progress: _Progress, wanted: list[dict[Place, int]]) -> None:
        """Looks once for all who wait whether more than the marks of transactions lies before the group."""
        starts = {place: start for marks in wanted for place, start in progress.unknown(marks).items()}
        if not starts:
            return
        if self._consumer is None:
            self._consumer = Consumer({**committed_reader(self._bootstrap), "fetch.wait.max.ms": _FETCH_MS})
        progress.gaps |= gaps(self._consumer, starts, _LOOK)

    def _answer(self, progress: _Progress, done: list[_Waiting], found: Ends) -> None:
        with self._lock:
            for each in done:
                if each.event is not None:
                    offset = each.beyond[each.event] - 1
                    before, _ = progress.contained.get(each.event, (-1, found))
                    if offset > before:
                        progress.contained[each.event] = offset, found
        for each in done:
            if each.answer.set_running_or_notify_cancel():
                each.answer.set_result(found)
