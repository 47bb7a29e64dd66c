"""How far a replica has come, and who waits for it to come further."""

import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future

from foldlog.kafka.marks import Place


class Positions:
    """The next offset of each partition whose rows can be read; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[Place, int] = {}
        self._waiting: list[tuple[dict[Place, int], Future[None]]] = []
        self._awaited = threading.Event()
        self._asked: tuple[float, dict[Place, int]] | None = None
        self._fresh: dict[str, float] = {}  # by topic: when it was last known that nothing is missing

    def advance(self, reached: Mapping[Place, int]) -> None:
        """Says that everything before these offsets can be read."""
        with self._lock:
            for place, offset in reached.items():
                self._next[place] = max(offset, self._next.get(place, 0))
            done = [future for wanted, future in self._waiting if self._has(wanted)]
            self._waiting = [each for each in self._waiting if not (each[1].done() or self._has(each[0]))]
            if not self._waiting:
                self._awaited.clear()
            self._refresh()
        for future in done:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def begin(self, begin: Mapping[Place, int], anew: Collection[str]) -> None:
        """Goes on with these partitions, from these offsets; of the topics `anew` nothing is known."""
        with self._lock:
            self._next = dict(begin)
            self._asked = None
            kept = {topic for topic, _ in begin} - set(anew)
            self._fresh = {topic: moment for topic, moment in self._fresh.items() if topic in kept}

    def at(self, topics: Collection[str]) -> dict[Place, int]:
        """Where each partition of these topics is."""
        with self._lock:
            return {place: offset for place, offset in self._next.items() if place[0] in topics}

    def wait(self, wanted: Mapping[Place, int]) -> Future[None]:
        """Done once every partition has come to its offset; one that is cancelled is forgotten."""
        future: Future[None] = Future()
        with self._lock:
            if not self._has(wanted):
                self._waiting.append((dict(wanted), future))
                self._awaited.set()
                return future
        future.set_result(None)
        return future

    def rest(self, seconds: float) -> bool:
        """Returns after so long, or as soon as somebody waits; then True."""
        return self._awaited.wait(seconds)

    def was_asked(self, moment: float, ends: Mapping[Place, int]) -> None:
        """Says where the partitions ended at a moment of time.monotonic(): whoever has come there is as fresh."""
        with self._lock:
            self._refresh()
            self._asked = moment, dict(ends)
            self._refresh()

    def age(self, topics: Collection[str]) -> float | None:
        """Seconds since it was last known that nothing of these topics is missing; None where it never was."""
        with self._lock:
            known = [self._fresh.get(topic) for topic in topics]
        moments = [moment for moment in known if moment is not None]
        return time.monotonic() - min(moments) if moments and len(moments) == len(known) else None

    def _has(self, wanted: Mapping[Place, int]) -> bool:
        return all(self._next.get(place, 0) >= offset for place, offset in wanted.items())

    def _refresh(self) -> None:
        if self._asked is None:
            return
        moment, ends = self._asked
        for topic in {topic for topic, _ in ends}:
            if self._has({place: end for place, end in ends.items() if place[0] == topic}):
                self._fresh[topic] = moment
