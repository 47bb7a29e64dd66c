"""A processor: batches in, one Kafka transaction each; whatever goes wrong ends in a restore from the log."""

import time
from collections.abc import Mapping
from typing import Any

import structlog

from foldlog.core.errors import AbortError, RegistryError, StoreError, TaintError, UnreachableError
from foldlog.engine.batch import Assignment, Batch, Output, Place, Run
from foldlog.engine.kind import Folding
from foldlog.engine.portions import Portions
from foldlog.engine.recovery import Parts, Recovery
from foldlog.engine.repairing import carefully
from foldlog.engine.rows import Rows
from foldlog.engine.stats import Counters
from foldlog.engine.work import Work

log = structlog.get_logger()

_TURN = 0.02  # s between two looks at parked keys whose time has come


class Processor:
    """Runs in its process thread; nothing here is called from another, but for reading counters."""

    def __init__(self, parts: Parts, counters: Counters) -> None:
        self._parts = parts
        self._feed = parts.feed
        self._kind = parts.kind
        self._tx = parts.transactions
        self._tx.meanwhile = self._write
        self._partitions = parts.partitions
        self._log = parts.kind.log if isinstance(parts.kind, Folding) else ""
        self.counters = counters
        self.committed: dict[Place, int] = {}
        self._snapshots = parts.snapshots
        self._parking = parts.parking
        self._tables = parts.tables
        self._portions = Portions()
        self._recovery = Recovery(parts, counters)
        self._failures = 0  # in a row

    def take(self, item: Assignment | Batch) -> None:
        """Takes what the poll thread hands over; an exception means that the process must end."""
        current = self._feed.begin(item)
        try:
            match item:
                case Assignment(epoch, places, group) if current:
                    self._recovery.assign(places, group)
                    self._kind.forget()
                    self._portions = Portions()  # there may be other rows
                    self._begin(epoch)
                case Batch() if current:
                    self._batch(item)
        except BaseException:
            self._feed.stop()  # no later batch may move the offsets beyond this one
            raise
        finally:
            self._feed.end()

    def close(self) -> None:
        """Ends what is open."""
        self._kind.forget()
        self._tx.discard()
        for table in self._tables:
            table.close()
        self._kind.close()
        self.counters.state = "stopped"

    def _batch(self, batch: Batch) -> None:
        if self._partitions is not None:
            self._partitions.adopt(batch.ahead)
        for portion in self._portions.of(batch) if self._tables else (batch,):
            self._portion(portion)
            if not self._feed.is_current(batch.epoch):  # the rest is read again, here or elsewhere
                return

    def _portion(self, batch: Batch) -> None:
        try:
            work = self._fold(batch)
            if work is None:
                return self._drop()
            offsets = self._offsets(batch, work)
            if not offsets:  # a tick for what is not due any more
                return self._wait()
            self._portions.taken(len(batch.messages), sum(table.size for table in self._tables))
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
        rang = {place: self.committed[place] for place in self._recovery.places if place[1] in work.rang}
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
                self._recovery.pause(batch.epoch, tries)
                if not self._feed.is_current(batch.epoch):
                    return None

    def _handle(self, batch: Batch, careful: bool) -> Work | None:
        """Handles the records; None where a row cannot be packed: then it must be known whose fault that is."""
        work = Work(self._parts.context, self._kind.name, self._parts.codec, self._log, self._parking)
        rows = self._rows
        if self._parking is not None:
            self._parking.begin()
        if careful:
            for message in batch.messages:
                carefully(self._kind, message, rows.get(message.partition()), work)
        else:
            self._kind.handle_all(batch.messages, rows, work)
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

    def _write(self) -> None:
        """Writes rows of earlier batches."""
        for table in self._tables:
            table.write_ripe()

    def _drop(self) -> None:
        for table in self._tables:
            table.drop()

    def _again(self, epoch: int, error: Exception) -> None:
        """After a failed batch: forget it, and go on from what the log and the committed offsets say."""
        epoch = self._feed.rewind(epoch)
        self._drop()
        self.counters.state = "restoring"
        if self._failures:
            self._recovery.pause(epoch, self._failures)
        self._failures += 1
        self._recovery.recover(error)
        self._begin(epoch)

    def _begin(self, epoch: int) -> None:
        """Restores what this member owns, and has its records come."""
        offsets = self._recovery.restore(epoch)
        if offsets is None:
            return
        self.committed = dict(offsets)
        self._wait()
        self._feed.go_on(epoch, offsets)
        self.counters.state = "running"
