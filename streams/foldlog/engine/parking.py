"""Parked keys: a key whose record fails waits, with all that follows it, until somebody mends the cause.

Kept on `<context>.<processor>.parked` as record 0 of each key, `<key>@0` (ParkedKey), and the records that wait,
`<key>@1` and so on (Parked). A partition's local store holds the same, so memory holds no more than a cache of it.
What is parked is written by the transaction that commits the offset of the parked record: it waits exactly once.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import cast

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.record import replace
from foldlog.core.repair import Parked, ParkedKey
from foldlog.core.topology import Topology
from foldlog.engine.alarms import Alarms
from foldlog.engine.batch import Received
from foldlog.engine.kind import Compacted
from foldlog.engine.partitions import Partitions
from foldlog.engine.replayed import kept
from foldlog.engine.rows import Rows
from foldlog.engine.stats import Counters
from foldlog.engine.store import Store
from foldlog.engine.work import Work

log = structlog.get_logger()

Waiting = ParkedKey | Parked

_MEMORY = 4 << 20  # bytes of cached rows
_LARGEST = int(topics.PARKED["max.message.bytes"]) - 8192  # room for the key and what else the broker counts
HEAD = b"@0"  # ends the name of a parked key's own record


class ParkedRows(Compacted[Waiting]):
    """The parked keys and records of one processor; its compacted topic is their log."""

    def __init__(self, topology: Topology, processor: str, codec: Codec) -> None:
        self.name = processor
        self.log = topics.parked(topology.name, processor)
        self.count = topology.parking[processor]
        self._codec = codec

    def rows(self, store: Store, memory: int) -> Rows[Waiting]:
        """What waits in one partition."""
        unpack = cast("Callable[[bytes], Waiting]", self._codec.decode)
        return Alarms(store, self._codec.encode, unpack, memory, lambda row: getattr(row, "due", None))


class Parking:
    """The parked keys of a processor's partitions; used by the process thread alone.

    `some` is False while nothing waits: then a record costs no more than this look.
    """

    def __init__(self, state: ParkedRows, directory: Path) -> None:
        self.partitions = Partitions(state, directory, _MEMORY, Counters())
        self.some = False
        self.keys = 0  # committed
        self.retried: bytes | None = None  # the key whose records are handled again
        self.failure: tuple[str, str] | None = None  # of the record that is handled again
        self._change = 0  # of the number of keys, by this batch
        self._processor = state.name

    @property
    def rows(self) -> Mapping[int, Rows[Waiting]]:
        """By partition."""
        return self.partitions.rows

    def ring(self, partition: int, now: float, most: int) -> Iterator[bytes]:
        """The names of parked keys that are due, each once until it changes."""
        return cast("Alarms[Waiting]", self.rows[partition]).ring(now, most)

    def next(self) -> float:
        """When the next key is due, in Unix seconds."""
        if not self.keys:
            return inf
        return min((cast("Alarms[Waiting]", rows).next() for rows in self.rows.values()), default=inf)

    def begin(self) -> None:
        """Before each batch, and before it is handled once more."""
        self.some = self.keys > 0
        self._change = 0

    def committed(self) -> None:
        """The batch's transaction is committed."""
        self.keys += self._change
        self._change = 0

    def restored(self) -> None:
        """The partitions are those of a new assignment."""
        stores = [rows.store for rows in self.rows.values()]
        self.keys = sum(key.endswith(HEAD) for store in stores for key, _ in store.rows())

    def takes(self, key: bytes, message: Received, work: Work) -> bool:
        """True where the key is parked: the record then waits behind the others."""
        if key == self.retried:
            return False
        rows = self.rows[message.partition()]
        head = cast(ParkedKey | None, rows.get(key + HEAD))
        if head is None:
            return False
        if (record := _fitting(message)) is None:
            work.dead_letter(message, "oversized", f"the key {head.key} waits, and this is too large to be kept")
        else:
            self._append(rows, key, head, record)
        return True

    def park(
        self, key: bytes, message: Received, cause: str, reason: str, *, due: datetime | None = None, tries: int = 1
    ) -> bool:
        """Parks a key for the failure of its record; False where the record is too large to be kept."""
        if key == self.retried:
            self.failure = cause, reason
            return True
        record = _fitting(message)
        if record is None:
            return False
        rows, now = self.rows[message.partition()], datetime.now(UTC)
        head = rows.get(key + HEAD)
        if head is None:
            log.warning("key parked", processor=self._processor, key=key.decode(), cause=cause, reason=reason)
            head = ParkedKey(key.decode(), cause, reason, now, 1, 1, tries, due=due)
            self._change += 1
            self.some = True
        self._append(rows, key, cast(ParkedKey, head), record)
        return True

    def begin_retry(self, key: bytes) -> None:
        """The next record is one of this key that waits."""
        self.retried, self.failure = key, None

    def end_retry(self) -> tuple[str, str] | None:
        """Why it failed again, cause and reason; None where it did not."""
        self.retried = None
        return self.failure

    def head(self, partition: int, key: bytes) -> ParkedKey | None:
        """Of a parked key; None where it is not parked."""
        return cast(ParkedKey | None, self.rows[partition].get(key + HEAD))

    def record(self, partition: int, key: bytes, number: int) -> Parked | None:
        """One that waits; None where it was dropped."""
        return cast(Parked | None, self.rows[partition].get(_name(key, number)))

    def remove(self, partition: int, key: bytes, number: int) -> None:
        """A record waits no longer."""
        self.rows[partition].set(_name(key, number), None)

    def keep(self, partition: int, key: bytes, head: ParkedKey) -> None:
        """Sets what is known of a parked key; one without records is parked no longer."""
        if head.first < head.next:
            self.rows[partition].set(key + HEAD, head)
        else:
            log.info("key flows again", processor=self._processor, key=key.decode())
            self.rows[partition].set(key + HEAD, None)
            self._change -= 1

    def _append(self, rows: Rows[Waiting], key: bytes, head: ParkedKey, record: Parked) -> None:
        rows.set(_name(key, head.next), record)
        rows.set(key + HEAD, replace(head, next=head.next + 1))


def _fitting(message: Received) -> Parked | None:
    """The record as it is kept; None where it is too large for that."""
    record = kept(message)
    size = len(record.key or b"") + len(record.value or b"")
    size += sum(len(header.name) + len(header.value or b"") + 8 for header in record.headers)
    return record if size <= _LARGEST else None


def _name(key: bytes, number: int) -> bytes:
    return b"%b@%d" % (key, number)
