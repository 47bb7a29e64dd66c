"""Decoded rows that are kept, for as long as that saves more than it costs."""

from collections.abc import Mapping
from itertools import islice
from typing import Generic, TypeVar, cast

T = TypeVar("T")

_AROUND = 300  # bytes of a cached row beside its values: objects, dictionary entry, key
_TYPICAL = 200  # bytes of a row, before any was seen
_SAMPLE = 10_000  # look-ups from one judgement to the next
_WORTH = 0.75  # of the look-ups in a full cache must hit
_ENOUGH = 0.9  # hit: to read the others one by one costs less than to find out beforehand which they are
_WITHOUT = 1_000_000  # look-ups without a cache, then it gets another chance


class Cache(Generic[T]):
    """Rows by key in a room of `memory` bytes; those that were cached first are dropped first.

    To drop those first that were not changed for longest, every change would have to move its row: that costs more
    than to read again, once in a turn of the cache, one that is changed all the time.
    """

    def __init__(self, memory: int) -> None:
        self.rows: dict[bytes, T] = {}
        self.memory = memory
        self.typical = _TYPICAL  # bytes of a row
        self._hits = self._asked = 0  # in a sample
        self._filled = 0.0  # when the sample began
        self._without = 0  # look-ups that are still to come
        self.suffices = False  # whether so many look-ups hit that nothing else needs to be read together

    @property
    def on(self) -> bool:
        """Whether rows are cached."""
        return not self._without

    def take(self, changed: Mapping[bytes, T | None], *, deletes: bool) -> None:
        """Takes rows as they are now; without any that `deletes` its key that is done at once."""
        if not deletes:
            if self.on:
                self.rows.update(cast(Mapping[bytes, T], changed))
            return
        for key, row in changed.items():
            if row is None:
                self.rows.pop(key, None)
            elif self.on:
                self.rows[key] = row

    def clear(self) -> None:
        """Drops every row."""
        self.rows.clear()
        self.suffices = False
        self._hits = self._asked = 0
        self._filled = 0.0

    def weigh(self, size: int, rows: int) -> None:
        """Takes what some rows weigh."""
        size //= rows
        self.typical = max(1, size, self.typical + (size - self.typical) // 8)  # what grows is believed at once

    def shrink(self) -> None:
        """Drops the rows that have no room."""
        for key in list(islice(self.rows, max(0, len(self.rows) - self._most))):
            del self.rows[key]

    def judge(self, hits: int, misses: int, *, ahead: bool) -> None:
        """Takes look-ups; where rows are read ahead and too few are found here, none is cached for a while.

        Such a miss costs the process thread little, but of very many rows each that is cached, found in a large
        dictionary and dropped again costs more: 1,000,000 aggregates, a third of them cached, had 0.8 to 0.87 of the
        rate that they have without. Rows that are drawn evenly hit a cache that is half full half as often.
        """
        if self._without:
            self._without = max(0, self._without - hits - misses)
            return
        self._hits += hits
        self._asked += hits + misses
        if self._asked < _SAMPLE:
            return
        if ahead and self._hits < _WORTH * self._filled * self._asked:
            self.rows.clear()
            self._without = _WITHOUT
        self.suffices = self._hits >= _ENOUGH * self._asked
        self._hits = self._asked = 0
        self._filled = min(1.0, len(self.rows) / max(1, self._most))

    @property
    def _most(self) -> int:
        return self.memory // (self.typical + _AROUND)
