"""Packed rows of one partition that were committed lately: those the store does not have yet, and those it got last.

A busy row is written once for its many changes, and is read from here, not from the store. After a crash the log has
what is missing.
"""

import time
from collections.abc import Iterable, Mapping

from foldlog.engine.passes import Packed, find_all

MANY = 5_000  # rows
_WAIT = 3.0  # s: so long rows wait that may change again
_HEAVIEST = 16 << 20  # bytes that may wait, or as many as may be cached


class Recent:
    """What waits and what was written last; a row of None is deleted.

    The process thread changes them. Another may `find` rows, which are as they were at some moment of its search.
    """

    def __init__(self) -> None:
        self.waiting: Packed = {}
        self._taken = self._size = 0  # rows that were taken since it was empty, and bytes of them
        self._written: Packed = {}
        self._due = time.monotonic() + _WAIT

    def take(self, rows: Mapping[bytes, bytes | None], size: int) -> None:
        """Takes rows that were committed, of so many bytes."""
        self.waiting |= rows
        self._taken += len(rows)
        self._size += size

    @property
    def weight(self) -> int:
        """Bytes of what waits, as far as rows are alike; those that later ones replaced are gone."""
        return self._size * len(self.waiting) // max(1, self._taken)

    def find(self, keys: Iterable[bytes]) -> tuple[Packed, list[bytes]]:
        """The rows that are here, and the keys of the others."""
        waiting, written = self.waiting, self._written  # in this order: see `turn`
        return find_all(keys, waiting, written)

    def ripe(self, again: bool) -> int:
        """How many rows should be written now: they have waited, or are many of which few will change `again` soon."""
        waiting = len(self.waiting)
        return waiting if (waiting >= MANY and not again) or time.monotonic() >= self._due else 0

    def is_full(self, memory: int) -> bool:
        """Whether no more may wait."""
        return self.weight >= max(_HEAVIEST, memory)

    def turn(self, room: int) -> None:
        """The store has what has waited; it is kept where there is room for so many bytes."""
        self._written = self.waiting if self.weight <= room else {}  # first: who looks in between finds them twice
        self.waiting = {}
        self._taken = self._size = 0
        self._due = time.monotonic() + _WAIT

    def clear(self) -> None:
        """Forgets them."""
        self.waiting, self._written = {}, {}
        self._taken = self._size = 0
