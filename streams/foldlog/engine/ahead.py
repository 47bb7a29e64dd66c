"""Rows that the next batch will ask for, read by the poll thread while the process thread is at work.

RocksDB lets other threads go on while it reads, and reading is most of what a row costs that is not cached. Only what
needs the interpreter is left to the process thread.
"""

import weakref
from collections.abc import Callable, Collection, Iterable

from foldlog.engine.passes import Packed
from foldlog.engine.recent import Recent

_FIRST = 1_000  # rows


class Ahead:
    """Rows of one partition for one batch, as the store has them; it is told of whatever is committed since."""

    def __init__(self) -> None:
        self.rows: Packed = {}
        self.whole = True  # whether all were read that were asked for
        self.changed: list[Collection[bytes]] = []
        self._room = 0  # bytes that more rows may have
        self.hits = self.misses = 0  # rows that were in memory, and that were read from the store

    def read(self, keys: list[bytes], get_all: Callable[[list[bytes]], list[bytes | None]], room: int) -> None:
        """Reads rows that are not in memory, a few at first: how large they are is not known before."""
        self.hits = len(self.rows)
        size, read, most = 0, 0, _FIRST
        while keys and most:
            found = get_all(keys[:most])
            self.rows.update(zip(keys, found, strict=False))
            self.misses += len(found) - found.count(None)
            size += sum(map(len, filter(None, found)))
            read += len(found)
            keys, most = keys[most:], max(0, room - size) * read // max(1, size)
        self.whole, self._room = not keys, max(0, room - size)

    def current(self, recent: Recent) -> Packed:
        """The rows as they are now: those that have changed meanwhile are recent ones, or left to the batch."""
        while self.changed:
            self._room = recent.renew(self.rows, self.changed.pop(), self._room)
        return self.rows


class Readings:
    """Those of one partition that somebody still holds: the poll thread begins them, the process thread tells them.

    One whose batch was dropped with its epoch goes with it.
    """

    def __init__(self) -> None:
        self._known: list[weakref.ref[Ahead]] = []

    def begin(self) -> Ahead:
        """A new one. What it reads from now on is as the store has it, or told."""
        ahead = Ahead()
        self._known.append(weakref.ref(ahead))
        return ahead

    def tell(self, keys: Iterable[bytes]) -> None:
        """Tells each whose rows are committed, by key: the rows would stay in memory until its batch begins."""
        changed = [*keys] if self._known else []
        for reference in [*self._known]:
            ahead = reference()
            if ahead is None:
                self._known.remove(reference)
            else:
                ahead.changed.append(changed)
