"""From an assignment or a failure back to work: a state that is what the log says, and the offsets to read on from."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaException

from foldlog.contracts.codec import Codec
from foldlog.core.errors import AbortError, RegistryError, StateError, StoreError, TaintError
from foldlog.engine.batch import Place
from foldlog.engine.feed import Feed
from foldlog.engine.kind import Folding, Kind, State
from foldlog.engine.parking import Parking
from foldlog.engine.partitions import Partitions
from foldlog.engine.restoring import NO_OFFSET, Group, LogReader, first_offsets, numbers_of
from foldlog.engine.snapshots import Snapshots
from foldlog.engine.stats import Counters
from foldlog.engine.transactions import Transactions

log = structlog.get_logger()

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

    @property
    def tables(self) -> tuple[Partitions, ...]:
        """What has stores: the rows of a kind with state, what is parked."""
        waiting = self.parking.partitions if self.parking is not None else None
        return tuple(each for each in (self.partitions, waiting) if each is not None)


class Recovery:
    """Brings a processor's partitions to what the log says; used by the process thread alone."""

    def __init__(self, parts: Parts, counters: Counters) -> None:
        self._parts = parts
        self._feed = parts.feed
        self._tx = parts.transactions
        self._tables = parts.tables
        self._output = parts.kind.log if isinstance(parts.kind, Folding) else parts.kind.output
        self._counters = counters
        self.places: tuple[Place, ...] = ()
        self._group: Any = None

    def assign(self, places: tuple[Place, ...], group: Any) -> None:
        """Takes the partitions that this member now owns, with its membership as of now."""
        self.places, self._group = places, group

    def pause(self, epoch: int, tries: int) -> None:
        """Waits twice as long after each try, 0.2 s after the first; not beyond the epoch."""
        doublings = min(tries, 10)  # an outage of hours must not end in a number too large for a float
        until = time.monotonic() + min(0.1 * 2**doublings, _LONGEST_PAUSE)
        while time.monotonic() < until and self._feed.is_current(epoch):
            time.sleep(0.05)

    def recover(self, error: Exception) -> None:
        """Leaves nothing of what failed: no open transaction, no producer in doubt, no store that is wrong."""
        if isinstance(error, TaintError):
            self._tx.discard()
        else:
            self._abort()  # whatever failed: a store may do so while a transaction is open
        if isinstance(error, StoreError):
            for table in self._tables:
                table.clear(str(error))

    def _abort(self) -> None:
        try:
            self._tx.abort()
        except TaintError:
            self._tx.discard()

    def restore(self, epoch: int) -> dict[Place, int] | None:
        """Restores until it succeeds, and gives where to read on; None where the epoch is over.

        Raises StateError where going on would break a promise, StoreError where a store that was made anew fails too.
        """
        self._counters.state = "restoring"
        tries, damaged = 0, False
        while self._feed.is_current(epoch):
            try:
                return self._restored(epoch)
            except (AbortError, RegistryError, KafkaException, StoreError) as error:
                if isinstance(error, StoreError) and damaged:
                    raise
                damaged = damaged or isinstance(error, StoreError)
                log.warning("restoring again", processor=self._parts.kind.name, because=str(error))
                self.recover(error if not isinstance(error, KafkaException) else TaintError(str(error)))
                tries += 1
                self.pause(epoch, tries)
        return None

    def _restored(self, epoch: int) -> dict[Place, int]:
        """Offsets first, ends of logs second, state third: the order in which each is known to be the last word."""
        parts, kind = self._parts, self._parts.kind
        numbers = numbers_of(kind.name, kind.inputs, self.places)
        self._tx.open()
        committed = parts.group.committed(self.places)
        logs = {(self._output, number) for number in numbers} if self._output else set()
        states = {(table.kind.log, number) for table in self._tables for number in numbers}
        kept = {(parts.snapshots.topic, number) for number in numbers} if parts.snapshots else set()
        marks = parts.reader.watermarks({*self.places, *logs, *states, *kept})
        if parts.snapshots is not None:
            parts.snapshots.drop()
        self._fill(epoch, numbers, marks)
        has_output = {place[1]: marks[place][1] > 0 for place in logs}
        begin = first_offsets(parts.group.name, committed, {place: marks[place] for place in self.places}, has_output)
        self._counters.unread = {place: max(0, marks[place][1] - offset) for place, offset in begin.items()}
        fresh = {place for place in begin if committed.get(place, NO_OFFSET) < 0}
        begin |= {place: marks[place][1] for place in fresh if place[0] == kind.repairs}
        if fresh and self._feed.is_current(epoch):
            self._tx.write([], {place: begin[place] for place in fresh}, self._group)
        return begin

    def _fill(self, epoch: int, numbers: Collection[int], marks: Mapping[Place, tuple[int, int]]) -> None:
        """Brings every store up to its log's end."""
        parts = self._parts
        for table in self._tables:
            table.open(numbers, self._store_id(table.kind))
            table.catch_up(
                parts.reader,
                marks,
                go_on=lambda: self._feed.is_current(epoch),
                stalled=lambda: parts.group.end_predecessors(self.places),
            )
        if parts.parking is not None:
            parts.parking.restored()
            self._counters.parked = parts.parking.keys

    def _store_id(self, state: State[Any]) -> str:
        """What a store must be of: this topic, and these rows."""
        kind = self._parts.kind
        kept = (state.snapshots,) if state.snapshots else ()
        described = self._parts.topics((*kind.inputs, state.log, *kept))
        counts = {name: count for name, (_, count) in described.items()}
        if set(counts.values()) != {state.count}:
            raise StateError(f"{kind.name}: its topics must have {state.count} partitions, they have {counts}")
        return f"{described[state.log][0]}{state.fingerprint()}"
