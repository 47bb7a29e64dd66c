"""Decoded rows that are kept where few are asked for at a time."""

from collections.abc import Mapping
from itertools import islice
from typing import Generic, TypeVar, cast

T = TypeVar("T")

_AROUND = 300  # bytes of a cached row beside its values: objects, dictionary entry, key
_TYPICAL = 200  # bytes of a row, before any was seen


class Cache(Generic[T]):
    """Rows by key in a room of `memory` bytes; those that were cached first are dropped first.

    To drop those first that were not changed for longest, every change would have to move its row: that costs more
    than to read again, once in a turn of the cache, one that is changed all the time.
    """

    def __init__(self, memory: int) -> None:
        self.rows: dict[bytes, T] = {}
        self.memory = memory
        self.on = True
        self.typical = _TYPICAL  # bytes of a row

    def turn(self, *, on: bool) -> None:
        """Caches rows from now on, or none."""
        self.on = on
        if not on:
            self.rows.clear()

    def take(self, changed: Mapping[bytes, T | None], *, deletes: bool) -> None:
        """Takes rows as they are now; without any that `deletes` its key that is done at once."""
        if not self.on:
            return
        if not deletes:
            self.rows.update(cast(Mapping[bytes, T], changed))
            return
        for key, row in changed.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row

    def weigh(self, size: int, rows: int) -> None:
        """Takes what some rows weigh."""
        size //= rows
        self.typical = max(1, size, self.typical + (size - self.typical) // 8)  # what grows is believed at once

    def shrink(self) -> None:
        """Drops the rows that have no room."""
        most = self.memory // (self.typical + _AROUND)
        for key in list(islice(self.rows, max(0, len(self.rows) - most))):
            del self.rows[key]
