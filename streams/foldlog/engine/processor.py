"""A processor: batches in, one Kafka transaction each; whatever goes wrong ends in a restore from the log."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaException

from foldlog.contracts.codec import Codec
from foldlog.core.errors import AbortError, RegistryError, StateError, StoreError, TaintError, UnreachableError
from foldlog.engine.batch import Assignment, Batch, Output, Place, Run
from foldlog.engine.feed import Feed
from foldlog.engine.kind import Folding, Kind, State
from foldlog.engine.parking import Parking
from foldlog.engine.partitions import Partitions
from foldlog.engine.repairing import carefully
from foldlog.engine.restoring import NO_OFFSET, Group, LogReader, first_offsets, numbers_of
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import Snapshots
from foldlog.engine.stats import Counters
from foldlog.engine.transactions import Transactions
from foldlog.engine.work import Work

log = structlog.get_logger()

_TURN = 0.02  # s between two looks at parked keys whose time has come
_LONGEST_PAUSE = 10.0  # s between two tries at something that is away


@dataclass
class Parts:
    """What a processor is made of."""

    context: str
    kind: Kind
    codec: Codec
    feed: Feed
    transactions: Transactions
    group: Group
    reader: LogReader
    partitions: Partitions | None
    snapshots: Snapshots | None
    topics: Callable[[tuple[str, ...]], dict[str, tuple[str, int]]]
    parking: Parking | None = None


class Processor:
    """Runs in its process thread; nothing here is called from another, but for reading counters."""

    def __init__(self, parts: Parts, counters: Counters) -> None:
        self._parts = parts
        self._feed = parts.feed
        self._kind = parts.kind
        self._tx = parts.transactions
        self._partitions = parts.partitions
        self._log = parts.kind.log if isinstance(parts.kind, Folding) else ""
        self._output = self._log or parts.kind.output
        self.counters = counters
        self.committed: dict[Place, int] = {}
        self._snapshots = parts.snapshots
        self._parking = parts.parking
        waiting = parts.parking.partitions if parts.parking is not None else None
        self._tables = tuple(each for each in (parts.partitions, waiting) if each is not None)
        self._places: tuple[Place, ...] = ()
        self._group: Any = None
        self._failures = 0  # in a row

    def take(self, item: Assignment | Batch) -> None:
        """Takes what the poll thread hands over; an exception means that the process must end."""
        current = self._feed.begin(item.epoch)
        try:
            match item:
                case Assignment(epoch, places, group) if current:
                    self._places, self._group = places, group
                    self._kind.forget()
                    self._restore(epoch)
                case Batch() if current:
                    self._batch(item)
        except BaseException:
            self._feed.stop()  # no later batch may move the offsets beyond this one
            raise
        finally:
            self._feed.end(isinstance(item, Batch))

    def close(self) -> None:
        """Ends what is open."""
        self._kind.forget()
        self._tx.discard()
        for table in self._tables:
            table.close()
        self._kind.close()
        self.counters.state = "stopped"

    def _batch(self, batch: Batch) -> None:
        try:
            work = self._fold(batch)
            if work is None:
                return self._drop()
            offsets = self._offsets(batch, work)
            if not offsets:  # a tick for what is not due any more
                return self._wait()
            then = (lambda ends: self._kind.replies(work, self._positions() | dict(ends))) if work.replies else None
            outputs: list[Output | Run] = [*work.outputs, *work.runs()]
            for table in self._tables:
                outputs += table.outputs()
            if self._snapshots is not None:
                outputs += self._snapshots.due(self._rows, len(batch.messages))
            ends = self._tx.write(outputs, offsets, batch.group, then)
            self._apply(ends)
            if self._snapshots is not None:
                self._snapshots.committed(self._rows)
        except AbortError as error:
            log.warning("aborted", processor=self._kind.name, because=str(error), tainted=isinstance(error, TaintError))
            return self._again(batch.epoch, error)
        except StoreError as error:
            return self._again(batch.epoch, error)
        self._failures = 0
        self.counters.state = "running"
        self.committed |= batch.offsets
        self.counters.records += len(batch.messages)
        self.counters.dead_letters += work.letters
        self.counters.late += len(work.late)
        return self._wait()

    def _offsets(self, batch: Batch, work: Work) -> Mapping[Place, int]:
        """The next offsets, also of partitions for which something is written though none of their records is."""
        if not work.rang:
            return batch.offsets
        rang = {place: self.committed[place] for place in self._places if place[1] in work.rang}
        return {**rang, **batch.offsets}

    def _wait(self) -> None:
        """Has the feed wake this thread when something is due, whether or not a record comes."""
        due = self._kind.due(self._rows)
        if self._parking is not None and self._kind.patient:  # what is due may have to wait for room
            due = min(due, max(self._parking.next(), time.time() + _TURN))
        self._feed.due = due

    @property
    def _rows(self) -> dict[int, Rows[Any]]:
        """The rows by partition; a kind without state has none."""
        return {} if self._partitions is None else self._partitions.rows

    def _fold(self, batch: Batch) -> Work | None:
        """Handles the records; None where the epoch ended while a registry was away."""
        tries = 0
        while True:
            try:
                return self._handle(batch, careful=False) or self._handle(batch, careful=True)
            except (RegistryError, UnreachableError) as error:
                what = "the registry" if isinstance(error, RegistryError) else "another system"
                log.warning(f"waiting for {what}", processor=self._kind.name, because=str(error))
                self._drop()
                tries += 1
                self.counters.state = "waiting"
                self._pause(batch.epoch, tries)
                if not self._feed.is_current(batch.epoch):
                    return None

    def _handle(self, batch: Batch, careful: bool) -> Work | None:
        """Handles the records; None where a row cannot be packed: then it must be known whose fault that is."""
        work = Work(self._parts.context, self._kind.name, self._parts.codec, self._log, self._parking)
        rows, handle = self._rows, self._kind.handle
        if self._parking is not None:
            self._parking.begin()
        if careful:
            for message in batch.messages:
                carefully(self._kind, message, rows.get(message.partition()), work)
        else:
            for message in batch.messages:
                handle(message, rows.get(message.partition()), work)
        packed = all(table.pack() for table in self._tables)
        if not packed and not careful:
            self._drop()
            return None
        self._kind.finish(work)  # first: where it has to wait for others, nothing has rung
        self._kind.ring(rows, work)
        if self._parking is not None:
            self._parking.partitions.pack()  # also what was parked at the end
        return work

    def _apply(self, ends: dict[Place, int]) -> None:
        positions = self._positions() | ends
        for table in self._tables:
            table.apply(positions)
        if self._parking is not None:
            self._parking.committed()
            self.counters.parked = self._parking.keys

    def _positions(self) -> dict[Place, int]:
        return {(self._log, number): rows.position for number, rows in self._rows.items()}

    def _drop(self) -> None:
        for table in self._tables:
            table.drop()

    def _again(self, epoch: int, error: Exception) -> None:
        """After a failed batch: forget it, and go on from what the log and the committed offsets say."""
        epoch = self._feed.rewind(epoch)
        self._drop()
        self.counters.state = "restoring"
        if self._failures:
            self._pause(epoch, self._failures)
        self._failures += 1
        self._recover(error)
        self._restore(epoch)

    def _pause(self, epoch: int, tries: int) -> None:
        """Waits twice as long after each try, 0.2 s after the first; not beyond the epoch."""
        doublings = min(tries, 10)  # an outage of hours must not end in a number too large for a float
        until = time.monotonic() + min(0.1 * 2**doublings, _LONGEST_PAUSE)
        while time.monotonic() < until and self._feed.is_current(epoch):
            time.sleep(0.05)

    def _recover(self, error: Exception) -> None:
        match error:
            case TaintError():
                self._tx.discard()
            case AbortError():
                try:
                    self._tx.abort()
                except TaintError:
                    self._tx.discard()
            case StoreError() if self._tables:
                for table in self._tables:
                    table.clear(str(error))

    def _restore(self, epoch: int) -> None:
        """Restores until it succeeds, the epoch is over, or going on would break a promise (StateError)."""
        self.counters.state = "restoring"
        tries, damaged = 0, False
        while self._feed.is_current(epoch):
            try:
                offsets = self._restored(epoch)
            except (AbortError, RegistryError, KafkaException, StoreError) as error:
                if isinstance(error, StoreError) and damaged:
                    raise
                damaged = damaged or isinstance(error, StoreError)
                log.warning("restoring again", processor=self._kind.name, because=str(error))
                self._recover(error if not isinstance(error, KafkaException) else TaintError(str(error)))
                tries += 1
                self._pause(epoch, tries)
            else:
                self._wait()
                self._feed.go_on(epoch, offsets)
                self.counters.state = "running"
                return

    def _restored(self, epoch: int) -> dict[Place, int]:
        """Offsets first, ends of logs second, state third: the order in which each is known to be the last word."""
        parts, kind = self._parts, self._kind
        numbers = numbers_of(kind.name, kind.inputs, self._places)
        self._tx.open()
        committed = parts.group.committed(self._places)
        logs = {(self._output, number) for number in numbers} if self._output else set()
        states = {(table.kind.log, number) for table in self._tables for number in numbers}
        kept = {(self._snapshots.topic, number) for number in numbers} if self._snapshots else set()
        marks = parts.reader.watermarks({*self._places, *logs, *states, *kept})
        if self._snapshots is not None:
            self._snapshots.drop()
        for table in self._tables:
            table.open(numbers, self._store_id(table.kind))
            table.catch_up(
                parts.reader,
                marks,
                go_on=lambda: self._feed.is_current(epoch),
                stalled=lambda: parts.group.end_predecessors(self._places),
            )
        if self._parking is not None:
            self._parking.restored()
            self.counters.parked = self._parking.keys
        has_output = {place[1]: marks[place][1] > 0 for place in logs}
        begin = first_offsets(parts.group.name, committed, {place: marks[place] for place in self._places}, has_output)
        self.counters.unread = {place: max(0, marks[place][1] - offset) for place, offset in begin.items()}
        fresh = {place for place in begin if committed.get(place, NO_OFFSET) < 0}
        begin |= {place: marks[place][1] for place in fresh if place[0] == kind.repairs}
        if fresh and self._feed.is_current(epoch):
            self._tx.write([], {place: begin[place] for place in fresh}, self._group)
        self.committed = dict(begin)
        return begin

    def _store_id(self, state: State[Any]) -> str:
        """What a store must be of: this topic, and these rows."""
        kept = (state.snapshots,) if state.snapshots else ()
        described = self._parts.topics((*self._kind.inputs, state.log, *kept))
        counts = {name: count for name, (_, count) in described.items()}
        if set(counts.values()) != {state.count}:
            raise StateError(f"{self._kind.name}: its topics must have {state.count} partitions, they have {counts}")
        return f"{described[state.log][0]}{state.fingerprint()}"
