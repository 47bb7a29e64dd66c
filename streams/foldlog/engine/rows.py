"""Decoded rows of one partition: what this batch changed, over what is cached, over the store."""

from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

from foldlog.core.errors import DecodeError, EncodeError, StoreError
from foldlog.engine.store import Store

T = TypeVar("T")


class Rows(Generic[T]):
    """Rows by key; changes stay in an overlay until the batch's transaction is committed."""

    def __init__(self, store: Store, pack: Callable[[T], bytes], unpack: Callable[[bytes], T], cached: int) -> None:
        self.store = store
        self.changed: dict[bytes, T | None] = {}
        self.packed: dict[bytes, bytes | None] = {}
        self._pack = pack
        self.unpack = unpack
        self._cached = cached
        self._cache: dict[bytes, T] = {}

    def get(self, key: bytes) -> T | None:
        """The row as this batch has it so far."""
        if key in self.changed:
            return self.changed[key]
        row = self._cache.get(key)
        if row is None:
            packed = self.store.get(key)
            if packed is not None:
                row = self._cache[key] = self._decoded(packed)
        return row

    def _decoded(self, packed: bytes) -> T:
        try:
            return self.unpack(packed)
        except DecodeError as error:  # the store's fault, never that of the record that asks for the row
            raise StoreError(f"{self.store.path}: a row cannot be read: {error}") from error

    def set(self, key: bytes, row: T | None) -> None:
        """Changes a row in the overlay; None deletes it."""
        self.changed[key] = row

    def pack(self) -> bool:
        """Makes the changed rows bytes; False where one does not fit its schema or a record."""
        pack = self._pack
        try:
            self.packed = {key: None if row is None else pack(row) for key, row in self.changed.items()}
        except EncodeError:
            return False
        return True

    def fault(self, row: T | None) -> EncodeError | None:
        """Why a row cannot be made bytes, None where it can."""
        try:
            if row is not None:
                self._pack(row)
        except EncodeError as error:
            return error
        return None

    def apply(self, position: int, blind: bool = False) -> None:
        """Makes the packed overlay lasting: one write with the log position.

        A row that was looked at before it was set is cached if it existed; `blind` rows were not looked at.
        """
        known, store = self._cache, self.store
        count = store.count
        for key, row in self.changed.items():
            existed = key in known or (blind and store.get(key) is not None)
            count += (row is not None) - existed
        store.apply(self.packed, position, count)
        for key, row in self.changed.items():
            self._cache.pop(key, None)
            if row is not None:
                self._cache[key] = row
        self.drop()
        for key in list(islice(self._cache, max(0, len(self._cache) - self._cached))):
            del self._cache[key]

    def drop(self) -> None:
        """Forgets the overlay: its transaction was aborted."""
        self.changed = {}
        self.packed = {}

    def forget(self) -> None:
        """Forgets overlay and cache: the store has moved on without them."""
        self.drop()
        self._cache = {}
