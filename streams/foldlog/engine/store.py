"""The local store of one partition: rows, and how far of its log they are, in one write."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import structlog
from rocksdict import ReadOptions, WriteBatch

from foldlog.core.errors import StoreError
from foldlog.engine.database import add_table, opened

log = structlog.get_logger()

_ROW = b"r"
_POSITION = b"p"  # next offset of the log, decimal
_LOG = b"t"  # id of the log's topic (one made anew has another history) and fingerprint of the rows
_COUNT = b"n"  # number of rows, decimal
_WRITTEN = b"w"  # seconds since the epoch, decimal
_MARK = b"m"  # and a number that grows, and how many: keys of rows that changed since the last checkpoint, of one write
_NUMBER = 8  # bytes of the first
_FEW = 50_000  # marked keys that are always kept
_SINCE = b"s"  # position of that checkpoint, decimal
_FORMAT = b"#2"  # of all this; what another release wrote is folded again


class Store:
    """Rows of one partition in RocksDB; only the thread that processes the partition uses it, others may `get_all`.

    A store is a cache of its log: whatever is wrong with it, it is deleted and folded again.
    Raises StoreError where RocksDB reports damage while reading or writing.
    """

    def __init__(self, path: Path, log_id: str) -> None:
        self.path = path
        self.log_id = log_id
        self.position = self.count = self.since = 0
        self._names: list[bytes] = []  # of the marks, the oldest first: to walk through them would sort all in memory
        self._marked, self._whole = 0, False  # keys in marks that are not taken yet, and whether one stands for all
        self._db = opened(path)
        try:
            self._load()
        except StoreError as error:  # a damaged table opens like any other, and tells when it is read
            self.clear(str(error))
            self._load()

    def get(self, key: bytes) -> bytes | None:
        """The row of a key, None where there is none."""
        found: bytes | None = self._get(_ROW + key)
        return found

    def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The row of each key, None where there is none; other threads go on meanwhile."""
        found: list[bytes | None] = self._get([_ROW + key for key in keys])
        return found

    def apply(
        self,
        rows: Mapping[bytes, bytes | None],
        position: int,
        count: int,
        *,
        marked: bool = False,
        settled: Collection[bytes] = (),
    ) -> None:
        """Writes and deletes rows, moves the log position and notes the number of rows, all or nothing.

        With `marked` the keys are one mark more; marks that are `settled` go.
        """
        new = len(rows) if marked and not self._whole else 0
        total = self._marked + new
        whole = self._whole or total > max(_FEW, count)
        batch = _written(rows)
        names = [name for name in self._names if name not in settled]
        for mark in settled:
            batch.delete(_MARK + mark)
        now = time.time()
        for name, value in self._state(position, count, now).items():
            batch.put(name, value)
        try:
            if new:
                names.append(self._mark(batch, [] if whole else [*rows]))
            self._db.write(batch)
        except Exception as error:
            raise StoreError(f"store {self.path} cannot be written: {error}") from error
        self.position, self.count, self.written = position, count, now
        self._marked, self._whole, self._names = total, whole, names

    def load(self, rows: Mapping[bytes, bytes | None], position: int, count: int) -> None:
        """Does what `apply` does, for very many rows: sorted into a table of their own they cost a third less."""
        now = time.time()
        entries: dict[bytes, bytes | None] = {_ROW + key: row for key, row in rows.items()}
        try:
            add_table(self._db, self.path, entries | self._state(position, count, now))
        except Exception as error:
            raise StoreError(f"store {self.path} cannot be written: {error}") from error
        self.position, self.count, self.written = position, count, now

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and row."""
        return (
            (key[1:], row)
            for key, row in self._until_other(
                _ROW, self._db.items(from_key=_ROW, read_opt=_in_order()), lambda each: bytes(each[0])
            )
        )

    def take_marks(self) -> tuple[list[bytes], bool]:
        """The marks, the oldest first, and whether they stand for every row; what changes later is marked anew.

        Where more keys are marked than there are rows, one mark stands for all: a standby's are never settled.
        """
        self._marked, self._whole = 0, False
        marks = [*self._names]
        return marks, any(not _size(mark) for mark in marks)

    def marked(self, mark: bytes) -> list[bytes]:
        """The keys of a mark."""
        try:
            return msgspec.msgpack.decode(self._get(_MARK + mark) or b"", type=list[bytes])
        except msgspec.DecodeError as error:
            raise StoreError(f"store {self.path} cannot be read: {error}") from error

    def keys(self, after: bytes | None, most: int) -> list[bytes]:
        """The next keys of rows, in their order."""
        start = b"" if after is None else after + b"\0"
        return [*islice(self._keys(_ROW, start), most)]

    def clear(self, why: str) -> None:
        """Deletes everything; the log has it all."""
        log.warning("store deleted, it is folded again from its log", store=str(self.path), because=why)
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._db = opened(self.path)
        self._name()
        self.position = self.count = self.since = self._marked = 0
        self._whole, self._names = False, []

    def close(self) -> None:
        """Releases the files; what RocksDB could not write before it complains of again, and the log has it."""
        try:
            self._db.close()
        except Exception as error:
            log.debug("store closed", store=str(self.path), because=str(error))

    def _state(self, position: int, count: int, now: float) -> dict[bytes, bytes]:
        named = {_POSITION: position, _COUNT: count, _SINCE: self.since, _WRITTEN: int(now)}
        return {name: b"%d" % value for name, value in named.items()}

    def _named(self) -> bytes:
        return self.log_id.encode() + _FORMAT

    def _name(self) -> None:
        try:
            self._db[_LOG] = self._named()
        except Exception as error:
            raise StoreError(f"store {self.path} cannot be written: {error}") from error

    def _load(self) -> None:
        known = self._get(_LOG)
        if known != self._named():
            if known is not None:
                self.clear("it is of another log, or of rows of another shape")
            self._name()
        self.position = int(self._get(_POSITION) or 0)
        self.count = int(self._get(_COUNT) or 0)
        self.since = int(self._get(_SINCE) or 0)
        self.written = float(self._get(_WRITTEN) or time.time())
        self._names = [*self._keys(_MARK)]
        sizes = [*map(_size, self._names)]
        self._marked, self._whole = sum(sizes), 0 in sizes

    def _mark(self, batch: WriteBatch, keys: list[bytes]) -> bytes:
        number: int = self._db.latest_sequence_number()
        mark = number.to_bytes(_NUMBER, "big") + len(keys).to_bytes(4, "big")
        batch.put(_MARK + mark, msgspec.msgpack.encode(keys))
        return mark

    def _keys(self, kind: bytes, start: bytes = b"") -> Iterator[bytes]:
        found = self._db.keys(from_key=kind + start, read_opt=_in_order())
        return (key[1:] for key in self._until_other(kind, found, bytes))

    def _until_other(self, kind: bytes, found: Any, key: Callable[[Any], bytes]) -> Iterator[Any]:
        """What is of a kind. Another one comes after it: an iterator that meets damage ends as if it were the end."""
        why = "it ends in the middle"
        try:
            for each in found:
                if not key(each).startswith(kind):
                    return
                yield each
        except Exception as error:
            why = str(error)
        del found  # it would hold the store open for as long as the error is known
        raise StoreError(f"store {self.path} cannot be read: {why}")

    def _get(self, key: Any) -> Any:
        """The value of a key, or those of a list of keys."""
        try:
            return self._db.get(key)
        except Exception as error:
            raise StoreError(f"store {self.path} cannot be read: {error}") from error


def _written(rows: Mapping[bytes, bytes | None]) -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    for key, row in rows.items():
        if row is None:
            batch.delete(_ROW + key)
        else:
            batch.put(_ROW + key, row)
    return batch


def _in_order() -> ReadOptions:
    """To walk from key to key: what is in memory is hashed, and of that only the first key's own would be found."""
    options = ReadOptions()
    options.set_total_order_seek(True)
    return options


def _size(mark: bytes) -> int:
    """How many keys a mark names; 0 where it stands for every row."""
    return int.from_bytes(mark[_NUMBER:], "big")
