"""Rows that wait for a time: which of a partition's rows is due next.

A heap of the earliest time of each waiting row, built from the store when it is first asked for and kept up to date by
what is committed. An entry whose row has another time by now is passed by; where such entries prevail, the heap is
made anew.
"""

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from math import inf
from typing import TypeVar

from foldlog.engine.rows import Rows
from foldlog.engine.store import Store

T = TypeVar("T")

_STALE = 1000  # entries more than there are waiting rows


class Alarms(Rows[T]):
    """Rows of one partition; `due` tells when a row wants to be looked at, None for never.

    The envelope of a row ends with that time, an optional: only of a row that waits is the last byte not 0.
    """

    def __init__(
        self,
        store: Store,
        pack: Callable[[T], bytes],
        unpack: Callable[[bytes], T],
        memory: int,
        due: Callable[[T], datetime | None],
    ) -> None:
        super().__init__(store, pack, unpack, memory)
        self._due_of = due
        self._waiting: dict[bytes, float] | None = None
        self._heap: list[tuple[float, bytes]] = []
        self._rung: list[bytes] = []

    def next(self) -> float:
        """When the next row is due, in Unix seconds."""
        waiting = self._known()
        while self._heap and waiting.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def ring(self, now: float, most: int) -> Iterator[bytes]:
        """Keys of rows that are due, the earliest first; each once, until its row changes or the batch is dropped."""
        self._rung = []
        while len(self._rung) < most and self.next() <= now:
            key = heapq.heappop(self._heap)[1]
            self._rung.append(key)
            yield key

    def apply(self, position: int) -> None:
        """Takes the overlay as committed, with the times of its rows."""
        changed, self._rung = self.changed, []
        super().apply(position)
        if self._waiting is not None:
            for key, row in changed.items():
                self._note(self._waiting, key, row)
            if len(self._heap) > 2 * len(self._waiting) + _STALE:
                self._heap = [(due, key) for key, due in self._waiting.items()]
                heapq.heapify(self._heap)

    def drop(self) -> None:
        """Forgets the overlay; what rang for it rings again."""
        super().drop()
        for key in self._rung:
            if self._waiting is not None and key in self._waiting:
                heapq.heappush(self._heap, (self._waiting[key], key))
        self._rung = []

    def forget(self) -> None:
        """Forgets all that the store does not have."""
        super().forget()
        self._waiting, self._heap = None, []

    def _known(self) -> dict[bytes, float]:
        if self._waiting is None:
            self.write()
            self._waiting = {}
            for key, packed in self.store.rows():
                if packed[-1]:
                    self._note(self._waiting, key, self._decoded(packed))
        return self._waiting

    def _note(self, waiting: dict[bytes, float], key: bytes, row: T | None) -> None:
        due = None if row is None else self._due_of(row)
        if due is None:
            waiting.pop(key, None)
        else:
            waiting[key] = due.timestamp()
            heapq.heappush(self._heap, (waiting[key], key))
