"""The partitions of a processor with state: their stores, opened, brought up to their logs, closed."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from foldlog.core.errors import StoreError
from foldlog.engine.ahead import Ahead
from foldlog.engine.batch import Assignment, Batch, Place, Received, Run
from foldlog.engine.kind import State
from foldlog.engine.loading import SnapshotLoader
from foldlog.engine.portions import HEAVIEST
from foldlog.engine.recent import MANY
from foldlog.engine.restoring import LogReader
from foldlog.engine.rows import Rows
from foldlog.engine.stats import Counters
from foldlog.engine.store import Store

log = structlog.get_logger()

# A tombstone is kept for a day (delete.retention.ms); a store that slept longer may have missed one.
_OLDEST = 12 * 3600
_MOST_FILLED = 120_000  # rows that are read before any is asked for; each takes some 2.5 µs of the start
LEAST_AHEAD = 100  # records of a batch; the rows of fewer are read in no time, or cached


class Partitions:
    """Rows by partition number; used by the process thread alone, but for `prepared`."""

    def __init__(self, kind: State[Any], directory: Path, memory: int, counters: Counters) -> None:
        self.kind = kind
        self._directory = directory
        self._memory = memory
        self._counters = counters
        self.rows: dict[int, Rows[Any]] = {}
        self._settled = threading.Lock()  # held while stores are opened, filled, cleared or closed

    def prepared(self, item: Assignment | Batch) -> Assignment | Batch:
        """What the poll thread hands over next, with the rows that it will ask for; called by that thread."""
        if not isinstance(item, Batch) or len(item.messages) < LEAST_AHEAD or not self.kind.foresees:
            return item
        if not self._settled.acquire(blocking=False):
            return item
        try:
            return replace(item, ahead=self._read_ahead(item.messages))
        except StoreError as error:  # the process thread will meet it too
            log.debug("not read ahead", because=str(error))
            return item
        finally:
            self._settled.release()

    def adopt(self, ahead: Mapping[int, Ahead]) -> None:
        """Takes what was read ahead for the batch that begins."""
        for number, rows in self.rows.items():
            rows.adopt(ahead.get(number))

    def open(self, numbers: Iterable[int], log_id: str) -> None:
        """Opens the stores of these partitions and closes all others."""
        wanted = set(numbers)
        with self._settled:
            for number in set(self.rows) - wanted:
                self._close(self.rows.pop(number))
            for rows in self.rows.values():
                rows.write()
                rows.forget()
            for number in sorted(wanted - set(self.rows)):
                store = Store(self._directory / str(number), log_id)
                self.rows[number] = self.kind.rows(store, 0)
            for rows in self.rows.values():
                rows.cache.memory = self._memory // len(self.rows)

    def catch_up(
        self,
        reader: LogReader,
        marks: Mapping[Place, tuple[int, int]],
        go_on: Callable[[], bool],
        stalled: Callable[[], None],
    ) -> None:
        """Brings each store to its log's end: from snapshots where it is empty, from the log for the rest."""
        with self._settled:
            for number, rows in self.rows.items():
                self._distrust(rows, marks[self.kind.log, number][1])
            loader = SnapshotLoader(self.kind, self.rows, marks)
            self._counters.restored = 0
            self._counters.to_restore = _distance(loader.starts, loader.ends)
            loader.load(reader, go_on, stalled, self._progress)
            starts = {
                (self.kind.log, n): max(rows.position, marks[self.kind.log, n][0]) for n, rows in self.rows.items()
            }
            ends = {place: marks[place][1] for place in starts}
            self._counters.to_restore += _distance(starts, ends)
            for messages in reader.read(starts, ends, go_on, stalled):
                for number, own in _by_partition(messages).items():
                    self.kind.take(own, self.rows[number], own[-1].offset() + 1)
                self._progress(len(messages))
            for rows in self.rows.values():
                rows.write()
                rows.fill(_MOST_FILLED // len(self.rows))
            self.count()

    def _progress(self, records: int) -> None:
        self._counters.restored += records

    def pack(self) -> bool:
        """Makes the changed rows bytes; False where one does not fit its schema or a record."""
        return all(rows.pack() for rows in self.rows.values())

    @property
    def size(self) -> int:
        """Bytes of the changed rows."""
        return sum(rows.size for rows in self.rows.values())

    def outputs(self) -> Iterable[Run]:
        """The records that the changed rows become."""
        return self.kind.outputs({number: rows.packed for number, rows in self.rows.items() if rows.packed})

    def apply(self, positions: Mapping[Place, int]) -> None:
        """Takes the changes as committed; `positions` are the ends of the logs."""
        for number, rows in self.rows.items():
            if rows.packed:
                rows.apply(positions[self.kind.log, number])
        self.count()

    def write_ripe(self) -> None:
        """Writes what is committed and due: of the partitions where that is much, the one where it is most.

        The engine's time to do so is while it waits for a broker, which takes no longer for its records.
        """
        ripe = {number: count for number, rows in self.rows.items() if (count := rows.ripe)}
        most = max(ripe, key=ripe.__getitem__, default=None)
        for number, count in ripe.items():
            if count < MANY or number == most:
                self.rows[number].write()

    def drop(self) -> None:
        """Forgets the changes: their transaction was aborted."""
        for rows in self.rows.values():
            rows.drop()

    def clear(self, why: str) -> None:
        """Deletes every store; what is wrong with one is not always known."""
        with self._settled:
            for rows in self.rows.values():
                rows.store.clear(why)
                rows.forget()

    def close(self) -> None:
        """Closes every store."""
        with self._settled:
            for rows in self.rows.values():
                self._close(rows)
            self.rows = {}

    def _close(self, rows: Rows[Any]) -> None:
        try:
            rows.write()
        except StoreError as error:  # the log has it
            log.warning("store not written", because=str(error))
        rows.store.close()

    def count(self) -> None:
        """Takes the number of rows and what became of look-ups, for those who look on."""
        for rows in self.rows.values():
            hits, misses = rows.looked()
            self._counters.cache_hits += hits
            self._counters.cache_misses += misses
        self._counters.rows = sum(rows.count for rows in self.rows.values())

    def _read_ahead(self, messages: Sequence[Received]) -> dict[int, Ahead]:
        complete = all(rows.recent.complete for rows in self.rows.values())
        wanted = {} if complete else self.kind.wanted(messages)
        room = HEAVIEST // max(1, len(self.rows))
        return {number: rows.read_ahead(wanted.get(number, ()), room) for number, rows in self.rows.items()}

    def _distrust(self, rows: Rows[Any], high: int) -> None:
        store, why = rows.store, ""
        if store.position > high:
            why = f"it is at {store.position}, its log ends at {high}"
        elif self.kind.forgets and 0 < store.position < high and time.time() - store.written > _OLDEST:
            why = "it slept longer than deletions are kept"
        elif store.position == 0 and store.count:
            why = "it was left half loaded"
        if why:
            store.clear(why)
            rows.forget()


def _distance(starts: Mapping[Place, int], ends: Mapping[Place, int]) -> int:
    return sum(max(0, ends[place] - start) for place, start in starts.items())


def _by_partition(messages: Iterable[Received]) -> dict[int, list[Received]]:
    found: dict[int, list[Received]] = {}
    for message in messages:
        found.setdefault(message.partition(), []).append(message)
    return found
