"""Rows of windows: they know which windows a key has, and which rows have had their time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from foldlog.core import window
from foldlog.core.window import Sessions, Window
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store


class WindowedRows(Rows[Any]):
    """Rows with windows; where the window says how long rows are kept, the names of all of them are in memory.

    What has had its time is deleted with the batch that brings a window so much later, in its transaction.
    """

    def __init__(
        self, store: Store, pack: Callable[[Any], bytes], unpack: Callable[[bytes], Any], memory: int, kind: Window
    ) -> None:
        super().__init__(store, pack, unpack, memory)
        self._keep = kind.keep
        self._by_key = isinstance(kind, Sessions)
        self._known: _Known | None = None
        self._opened: defaultdict[str, set[str]] = defaultdict(set)
        self.table = _Table(self)

    @property
    def gone(self) -> datetime | None:
        """Windows that end then or before have had their time; None while that is not known of any."""
        return self._gone(self._all().newest) if self._keep is not None else None

    def sessions(self, key: str) -> Iterable[str]:
        """The names of a key's rows, and of some that it has no more."""
        return {*self._all().of(key), *self._opened.get(key, ())}

    def set(self, key: bytes, row: Any) -> None:
        """Changes a row in the overlay; None deletes it."""
        super().set(key, row)
        if self._by_key:
            name = key.decode()
            self._opened[window.key_of(name)].add(name)

    def pack(self) -> bool:
        """Deletes what has had its time, then makes the changed rows bytes."""
        if self._keep is not None and self.changed:
            self._expire()
        return super().pack()

    def apply(self, position: int) -> None:
        """Takes the packed overlay as committed."""
        if self._known is not None:
            self._known.take(self.changed)
        super().apply(position)

    def drop(self) -> None:
        """Forgets the overlay."""
        super().drop()
        self._opened.clear()

    def forget(self) -> None:
        """Forgets all that the store does not have."""
        super().forget()
        self._known = None

    def load(self, packed: Mapping[bytes, bytes | None], position: int) -> None:
        """Takes rows as they are, up to a position of the log."""
        super().load(packed, position)
        self._known = None

    def _gone(self, newest: datetime | None) -> datetime | None:
        return newest - self._keep if newest is not None and self._keep is not None else None

    def _expire(self) -> None:
        known = self._all()
        gone = self._gone(_newest(known.newest, self.changed.values()))
        if gone is None:
            return
        for key, row in list(self.changed.items()):
            if row is not None and row.end <= gone:
                if key in known.ends:
                    self.changed[key] = None
                else:
                    del self.changed[key]
        for key in known.ended(gone):
            if key not in self.changed and self.get(key) is not None:  # looked at, so that it is counted
                self.changed[key] = None

    def _all(self) -> "_Known":
        """What is known of the committed rows; found out when it is asked for first."""
        if self._known is None:
            known = self._known = _Known(self._by_key)
            committed: dict[bytes, bytes | None] = {**dict(self.store.rows()), **self.recent.waiting}
            known.take({key: self._decoded(packed) for key, packed in committed.items() if packed is not None})
        return self._known


class _Table:
    """The rows by their names, as the fold asks for them."""

    def __init__(self, rows: WindowedRows) -> None:
        self._rows = rows

    def get(self, name: str) -> Any:
        return self._rows.get(name.encode())

    def sessions(self, key: str) -> Iterable[str]:
        return self._rows.sessions(key)


class _Known:
    """The committed rows' ends, and their names by key where that is asked for."""

    def __init__(self, by_key: bool) -> None:
        self.ends: dict[bytes, datetime] = {}
        self.newest: datetime | None = None
        self._order: list[tuple[datetime, bytes]] = []  # a heap; ends that have moved on stay in it
        self._names: defaultdict[str, set[str]] | None = defaultdict(set) if by_key else None

    def of(self, key: str) -> Iterable[str]:
        return self._names.get(key, ()) if self._names is not None else ()

    def take(self, changed: Mapping[bytes, Any]) -> None:
        for key, row in changed.items():
            name = key.decode()
            if row is None:
                self.ends.pop(key, None)
            elif self.ends.get(key) != row.end:
                self.ends[key] = row.end
                heappush(self._order, (row.end, key))
            if self._names is not None:
                names = self._names[window.key_of(name)]
                (names.discard if row is None else names.add)(name)
                if not names:
                    del self._names[window.key_of(name)]
        self.newest = _newest(self.newest, changed.values())

    def ended(self, gone: datetime) -> list[bytes]:
        """The rows that end then or before; they are known until they are taken as deleted."""
        found: dict[bytes, datetime] = {}
        while self._order and self._order[0][0] <= gone:
            end, key = heappop(self._order)
            if self.ends.get(key) == end:
                found[key] = end
        for key, end in found.items():  # the batch may be aborted: then they are asked for again
            heappush(self._order, (end, key))
        return list(found)


def _newest(known: datetime | None, rows: Iterable[Any]) -> datetime | None:
    ends = [row.end for row in rows if row is not None]
    return max(ends if known is None else [known, *ends], default=None)
