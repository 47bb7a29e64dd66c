"""Packed rows of one partition that were committed lately: those the store does not have yet, and those it got before.

A busy row is written once for its many changes, and is read from here, not from the store. After a crash the log has
what is missing.
"""

import time
from collections.abc import Iterable, Mapping

from foldlog.engine.passes import Packed, find_all, renew

MANY = 5_000  # rows
_WAIT = 5.0  # s: so long rows wait that may change again
_AROUND = 125  # bytes of a row beside its own: the object, its key, their place in a dictionary
_HEAVIEST = 16 << 20  # bytes that may wait, or as many as may be cached


class Recent:
    """What waits and what was written lately; a row of None is deleted.

    The process thread changes them. Another may `find` rows, which are as they were at some moment of its search.
    """

    def __init__(self) -> None:
        self.waiting: Packed = {}
        self.weight = 0  # bytes of it, each row as often as it was taken
        self._taken = 0  # so many rows
        self.written: Packed = {}
        self._each = 0  # bytes of one of them, at most
        self.complete = False  # whether every row of the store is here, so that one that is not is nowhere
        self._due = time.monotonic() + _WAIT

    def take(self, rows: Mapping[bytes, bytes | None], size: int) -> None:
        """Takes rows that were committed, of so many bytes."""
        self.waiting |= rows
        self._taken += len(rows)
        self.weight += size

    def find(self, keys: Iterable[bytes]) -> tuple[Packed, list[bytes]]:
        """The rows that are here, and the keys of the others."""
        waiting, written = self.waiting, self.written  # in this order: see `turn`
        return find_all(keys, waiting, written)

    def renew(self, rows: Packed, keys: Iterable[bytes], room: int) -> int:
        """Takes some of these rows anew, and drops those that are not here or have no room; gives what is left of it.

        The process thread asks.
        """
        return renew(rows, keys, self.waiting, self.written, room)

    def ripe(self, again: bool) -> int:
        """How many rows should be written now: they have waited, or are many of which few will change `again` soon."""
        waiting = len(self.waiting)
        return waiting if (waiting >= MANY and not again) or time.monotonic() >= self._due else 0

    def is_full(self, memory: int) -> bool:
        """Whether no more may wait."""
        return self.weight >= max(_HEAVIEST, memory)

    def turn(self, room: int) -> None:
        """The store has what has waited; it is kept, with what was before, while there is room for so many bytes."""
        each = _AROUND + self.weight // max(1, self._taken)
        self._each = max(self._each, each)
        self.written.update(self.waiting)  # first: who looks in between finds them twice
        if len(self.written) * self._each > room:
            self.complete = False
            self.written = self.waiting if len(self.waiting) * each <= room else {}
            self._each = each
        self.waiting = {}
        self.weight = self._taken = 0
        self._due = time.monotonic() + _WAIT

    def clear(self) -> None:
        """Forgets them."""
        self.waiting, self.written = {}, {}
        self.weight = self._taken = 0
        self.complete = False

    def fill(self, rows: Iterable[tuple[bytes, bytes]], room: int) -> None:
        """Takes all rows of the store, while nothing waits; none where they have no room of so many bytes."""
        written: Packed = {}
        size = 0
        for key, row in rows:
            written[key] = row
            size += len(row)
            if size + len(written) * _AROUND > room:
                return
        self.written, self.complete = written, True
        self._each = _AROUND + size // max(1, len(written))
