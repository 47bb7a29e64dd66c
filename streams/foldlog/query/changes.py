"""Changes of rows as they are applied, for whoever listens."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from foldlog.core.record import Record

MOST_WAITING = 256  # batches that a listener may be behind; then it is let go, and reads from Kafka what it missed


class Change(NamedTuple):
    """The last change of a row in a batch: `row` is None where it was deleted."""

    key: str
    row: Record | None
    partition: int
    offset: int


class Listener:
    """One who listens to the changes of a topic, from an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._batches: asyncio.Queue[Sequence[Change] | None] = asyncio.Queue()
        self.is_behind = False

    async def next(self) -> Sequence[Change] | None:
        """The next changes, in the order of partitions and offsets; None where there will be no more: the listener
        is too far behind, or the topic is no longer the view's."""
        return None if self.is_behind and self._batches.empty() else await self._batches.get()

    def tell(self, changes: Sequence[Change] | None) -> None:
        """Called by the replica's thread; one who does not listen is not waited for."""
        if self._batches.qsize() >= MOST_WAITING:
            self.is_behind = True
        if not self.is_behind:
            self._loop.call_soon_threadsafe(self._batches.put_nowait, changes)


class Changes:
    """Passes the changes of each batch on to those who listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}

    def listen(self, topic: str) -> Listener:
        """A listener to the changes of a topic from now on."""
        listener = Listener()
        with self._lock:
            self._listeners.setdefault(topic, []).append(listener)
        return listener

    def leave(self, topic: str, listener: Listener) -> None:
        """Listens no more."""
        with self._lock:
            self._listeners[topic].remove(listener)

    def end(self, topic: str) -> None:
        """Tells those who listen to a topic that it is over."""
        with self._lock:
            told = list(self._listeners.get(topic, ()))
        for listener in told:
            listener.tell(None)

    def close(self) -> None:
        """Tells everybody that it is over."""
        with self._lock:
            topics = list(self._listeners)
        for topic in topics:
            self.end(topic)

    @property
    def listeners(self) -> int:
        """How many listen."""
        with self._lock:
            return sum(map(len, self._listeners.values()))

    def publish(self, changes: Mapping[str, Sequence[Change]]) -> None:
        """Tells everybody who listens to one of these topics."""
        with self._lock:
            told = [(each, found) for topic, found in changes.items() for each in self._listeners.get(topic, ())]
        for listener, found in told:
            listener.tell(found)
