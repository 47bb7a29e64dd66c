"""Decoded rows of one partition: what this batch changed, over what is cached, over what is committed."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast

from foldlog.core.errors import DecodeError, EncodeError, StateError, StoreError
from foldlog.engine.ahead import Ahead, Readings
from foldlog.engine.cache import Cache
from foldlog.engine.committed import Committed
from foldlog.engine.passes import count_new, find_all, pack_all, weight
from foldlog.engine.store import Store

T = TypeVar("T")

_AGAIN = 0.75  # of the rows that were asked for
_ABSENT = object()


class Rows(Committed, Generic[T]):
    """Rows by key; changes stay in an overlay until the batch's transaction is committed.

    `memory` is the room for cached rows in bytes; `hits` and `misses` count rows that were found in memory and those
    that were read from the store, until they are taken. With `marks` the store marks what changes.
    """

    def __init__(
        self,
        store: Store,
        pack: Callable[[T], bytes],
        unpack: Callable[[bytes], T],
        memory: int,
        *,
        marks: bool = False,
    ) -> None:
        super().__init__(store, marks=marks)
        self.changed: dict[bytes, T | None] = {}
        self.packed: dict[bytes, bytes | None] = {}
        self.size = 0  # bytes of them
        self.unpack = unpack
        self.cache: Cache[T] = Cache(memory)
        self.cached = self.cache.rows
        self.hits = self.misses = 0
        self._pack = pack
        self.fetched: dict[bytes, bytes | None] = {}
        self._readings = Readings()
        self._ahead: Ahead | None = None
        self._again = False  # whether most rows that were asked for lately were in memory

    def fetch(self, keys: Iterable[bytes]) -> None:
        """Reads rows that this batch will ask for: together they cost half of what they cost one by one."""
        if not self._began:  # else `apply` must know of each that it was there
            self.fetched = {} if self._ahead is None else self._ahead.current(self.recent)
            self.cache.shrink()
        self._fetch(set(keys).difference(self.cached, self.fetched))

    def _fetch(self, keys: Iterable[bytes]) -> None:
        found, missing = self.recent.find(keys)
        read = self.stored(missing)
        self.fetched |= found
        self.fetched |= read
        self.hits += len(found)
        self.misses += len(read) - [*read.values()].count(None)

    def read_ahead(self, keys: Iterable[bytes], room: int) -> Ahead:
        """Reads rows that the next batch will ask for, as another thread than that which uses all else here.

        Those from the store have room for so many bytes; where they are more, some are left to the batch. So are all
        where all are in memory.
        """
        ahead = self._readings.begin()
        if self.recent.complete:
            return ahead
        ahead.rows, missing = self.recent.find(set(keys))
        ahead.read(missing, self.store.get_all, room)
        return ahead

    def adopt(self, ahead: Ahead | None) -> None:
        """Takes what was read ahead for the batch that begins; such a batch has no use for a cache.

        Of many rows, each that is cached, found in a large dictionary and dropped again costs more than to decode it.
        """
        self._ahead = ahead
        self.cache.turn(on=ahead is None)
        if ahead is not None:
            self.hits += ahead.hits
            self.misses += ahead.misses

    def take_ahead(self) -> bool:
        """Takes the rows that were read ahead; False where a batch has yet to read what it will ask for."""
        if self._ahead is None or not self._ahead.whole or self._began:
            return False
        self.fetched = self._ahead.current(self.recent)
        return True

    @property
    def whole(self) -> bool:
        """Whether every row is cached."""
        return len(self.cached) >= self.count

    def get(self, key: bytes) -> T | None:
        """The row as this batch has it so far."""
        row = self.changed.get(key, _ABSENT)
        if row is not _ABSENT:
            return cast("T | None", row)
        if key in self.packed:
            packed = self.packed[key]
            return None if packed is None else self._decoded(packed)
        cached = self.cached.get(key)
        if cached is not None:
            self.hits += 1
            return cached
        if key not in self.fetched:
            self._fetch([key])  # so that `apply` knows whether it was there
        packed = self.fetched[key]
        if packed is None:
            return None
        found = self._decoded(packed)
        if self.cache.on:
            self.cached[key] = found
        return found

    def looked(self) -> tuple[int, int]:
        """Takes the hits and misses since the last time."""
        hits, misses = self.hits, self.misses
        self.hits = self.misses = 0
        if hits or misses:
            self._again = hits >= _AGAIN * (hits + misses)
        return hits, misses

    def _decoded(self, packed: bytes) -> T:
        try:
            return self.unpack(packed)
        except (DecodeError, IndexError) as error:  # the store's fault, never that of the record that asks for the row
            if getattr(error, "cause", "") == "unexpected-type":  # its log says the same: folding it again is no help
                raise StateError(f"a row was written by another release: {error}") from error
            raise StoreError(f"{self.store.path}: a row cannot be read: {error}") from error

    @property
    def at_once(self) -> Callable[[T], bytes] | None:
        """How a row becomes bytes as soon as it changes, for `packed`; None where decoded ones are cached."""
        return None if self.cache.on else self._pack

    @property
    def _began(self) -> bool:
        """Whether this batch has changed a row."""
        return bool(self.changed or self.packed)

    def set(self, key: bytes, row: T | None) -> None:
        """Changes a row in the overlay; None deletes it."""
        self.changed[key] = row

    def pack(self) -> bool:
        """Makes the changed rows bytes; False where one does not fit its schema or a record."""
        try:
            packed, size = pack_all(self.changed, self._pack)
        except EncodeError:
            return False
        if self.packed:
            size += self.size - weight({key: self.packed.get(key) for key in packed})
            packed = self.packed | packed
        self.packed, self.size = packed, size
        return True

    def fault(self, row: T | None) -> EncodeError | None:
        """Why a row cannot be made bytes, None where it can."""
        try:
            if row is not None:
                self._pack(row)
        except EncodeError as error:
            return error
        return None

    def apply(self, position: int) -> None:
        """Takes the packed overlay as committed, up to a position of the log; writes it where it is too much to keep.

        A row is looked at before it is set: if it existed, it is cached or was fetched.
        """
        deletes = None in self.packed.values()
        growth = self._growth(deletes)
        self.cache.take(self.changed, deletes=deletes)
        self.take(self.packed, self.size, position, growth)
        self._readings.tell(self.packed)  # after: a reading that begins in between finds them
        if self.packed:
            self.cache.weigh(self.size, len(self.packed))
        self.cache.shrink()
        self.drop()
        if self.recent.is_full(self.cache.memory):
            self.write()

    @property
    def small(self) -> bool:
        """Whether all rows have room in memory, as bytes: most that are asked for are there, and so few are read."""
        return self.count * self.cache.typical <= self.cache.memory

    @property
    def ripe(self) -> int:
        """How many rows should be written now."""
        return self.recent.ripe(self._again or self.small)

    def write(self) -> None:
        """Writes what is committed: one write with the log position."""
        self.flush(self.cache.memory)

    def _growth(self, deletes: bool) -> int:
        """How many rows more there are with the overlay."""
        new = count_new(self.packed, self.cached, self.fetched)
        if not deletes:
            return new
        left = sum(row is not None for row in self.packed.values())
        return left - (len(self.packed) - new)

    def drop(self) -> None:
        """Forgets the overlay: its transaction was aborted."""
        self.changed = {}
        self.packed, self.size = {}, 0
        self.fetched = {}

    def forget(self) -> None:
        """Forgets all that the store does not have: it is at its own position again."""
        super().forget()
        self.drop()
        self.cached.clear()
        self._ahead = None

    def fill(self, most: int) -> None:
        """Reads all rows of the store, while nothing waits, where they are at most so many and have room in memory."""
        if not self.recent.complete and self.store.count <= most:
            self.recent.fill(self.store.rows(), self.cache.memory)

    def packed_of(self, keys: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """Rows as bytes, as this batch has them; to pack one that is cached costs a third of what reading it does."""
        found, missing = find_all(keys, self.packed, {})
        recent, missing = self.recent.find(missing)
        cached = {key: self._pack(self.cached[key]) for key in missing if key in self.cached}
        return found | recent | cached | self.stored([key for key in missing if key not in cached])
