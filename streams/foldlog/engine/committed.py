"""Rows of one partition as they are committed, in bytes: what was committed lately, over the store.

A store says itself how far it is; rows that are loaded are added to it many at a time.
"""

from collections.abc import Mapping

from foldlog.engine.passes import Packed, weight
from foldlog.engine.recent import Recent
from foldlog.engine.store import Store

_MOST_UNLOADED = 50_000  # rows, while they are loaded
_HEAVIEST = 16 << 20  # bytes of them
_LEAST_LOADED = 5_000  # rows: a table of fewer costs more than it saves
_MOST_MET = 2_000_000  # keys kept to count a store that is loaded; beyond, it is asked for each


class Committed:
    """Packed rows by key, those that wait to be written included.

    With `marks` the store marks what changes, until it is `settled`; not while it is not `marking`.
    """

    def __init__(self, store: Store, *, marks: bool = False) -> None:
        self.store = store
        self._marks = marks
        self.recent = Recent()
        self._begin()

    def _begin(self) -> None:
        """Knows what the store has, and nothing else."""
        self.position, self.count = self.store.position, self.store.count
        self.settled: set[bytes] = set()
        self.marking = self._marks
        self.recent.complete = not self.count
        self._met: set[bytes] | None = None if self.count else set()

    def forget(self) -> None:
        """Forgets all that the store does not have: it is at its own position again."""
        self.recent.clear()
        self._begin()

    def stored(self, keys: list[bytes]) -> Packed:
        """The rows that are not in memory, read together, which costs half; the store is not asked where all are."""
        read = [None] * len(keys) if self.recent.complete else self.store.get_all(keys)
        return dict(zip(keys, read, strict=True))

    def take(self, packed: Mapping[bytes, bytes | None], size: int, position: int, growth: int) -> None:
        """Takes rows of so many bytes as committed, up to a position of the log; there are so many more with them."""
        self._met = None
        self.recent.take(packed, size)
        self.position = position
        self.count += growth

    def flush(self, room: int) -> None:
        """Writes what waits, in one write with the log position; it is kept while there is room for so many bytes."""
        waiting = self.recent.waiting
        if self.position != self.store.position or waiting:
            self.store.apply(waiting, self.position, self.count, marked=self.marking, settled=self.settled)
            self.settled = set()
        self.recent.turn(room)

    def load(self, packed: Mapping[bytes, bytes | None], position: int) -> None:
        """Takes rows as they are, up to a position of the log; they are not marked, and written where that is due."""
        self.count = self._counted(packed)
        self.recent.take(packed, weight(packed))
        self.position = position
        if len(self.recent.waiting) >= _MOST_UNLOADED or self.recent.weight >= _HEAVIEST:
            self._load()

    def loaded(self, position: int) -> None:
        """Ends loading: the rows are those at a position of the log, and none has changed since."""
        self._met = None
        self.store.since = self.position = position
        self._load()

    def _counted(self, packed: Mapping[bytes, bytes | None]) -> int:
        """How many rows there are with these."""
        known = self._met
        if known is None:
            recent, missing = self.recent.find(packed)
            before = recent | self.stored(missing)
            return self.count + sum((row is not None) - (before[key] is not None) for key, row in packed.items())
        known.update(packed)
        known.difference_update([key for key, row in packed.items() if row is None])
        if len(known) > _MOST_MET:
            self._met = None
        return len(known)

    def _load(self) -> None:
        waiting = self.recent.waiting
        write = self.store.load if len(waiting) >= _LEAST_LOADED else self.store.apply
        write(waiting, self.position, self.count)
        self.recent.clear()
