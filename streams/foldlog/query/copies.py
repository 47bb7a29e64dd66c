"""Copies of the rows for other processes, as DuckDB lets one alone open a file that is written to."""

import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO

from foldlog.query.reader import Reader
from foldlog.query.state import State
from foldlog.query.storage import Storage


class Copy:
    """Views as files of Arrow's IPC streams, all of one snapshot; the files have no names, so nothing is left over."""

    def __init__(self, version: int, state: State, files: dict[str, IO[bytes]]) -> None:
        self.version, self.state, self.files = version, state, files
        self.readers = 0

    def close(self) -> None:
        """Gives its files up; who has mapped them keeps them."""
        _close(self.files)


class Copies:
    """The last copy, as long as the rows do not change; older ones end with the last who reads them."""

    def __init__(self, storage: Storage, reader: Reader) -> None:
        self._storage, self._reader = storage, reader
        self._lock = threading.Lock()
        self._last: Copy | None = None

    @contextmanager
    def of(self, views: Collection[str]) -> Iterator[Copy]:
        """A copy that has these views, of now; whoever comes while it is made takes the same."""
        with self._lock:
            copy = self._current(views)
            copy.readers += 1
        try:
            yield copy
        finally:
            with self._lock:
                copy.readers -= 1
                if copy is not self._last and not copy.readers:
                    copy.close()

    def close(self) -> None:
        """Gives all up; nobody reads any more."""
        if self._last is not None:
            self._last.close()

    def _current(self, views: Collection[str]) -> Copy:
        version, last = self._storage.version, self._last
        if last is not None and last.version == version:
            missing = [view for view in views if view not in last.files]
            if not missing:
                return last
            state, files = self._made(missing)
            if state == last.state:
                last.files |= files
                return last
            _close(files)  # a change came between
            version = self._storage.version
        state, files = self._made(views)
        if last is not None and not last.readers:
            last.close()
        self._last = Copy(version, state, files)
        return self._last

    def _made(self, views: Collection[str]) -> tuple[State, dict[str, IO[bytes]]]:
        files = dict[str, IO[bytes]]()
        try:
            for view in views:
                files[view] = tempfile.TemporaryFile(dir=self._storage.path.parent)  # noqa: SIM115 — a Copy closes it
            return self._reader.copy(files), files
        except BaseException:
            _close(files)
            raise


def _close(files: Mapping[str, IO[bytes]]) -> None:
    for file in files.values():
        with suppress(OSError):  # what had no room on the disk is tried once more
            file.close()
