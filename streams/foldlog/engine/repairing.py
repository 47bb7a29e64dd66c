"""What operators ask for is done by the owner of the partition, inside its own transactions: there is no second writer.

A long sequence is taken in portions: the transaction that ends one writes the order for the next.
"""

from datetime import UTC, datetime
from typing import Any

import structlog

from foldlog.core.record import Record, replace
from foldlog.core.repair import RETRY, Parked, ParkedKey, Repair
from foldlog.engine.batch import Output, Received
from foldlog.engine.kind import Kind
from foldlog.engine.parking import Parking
from foldlog.engine.replayed import Replayed
from foldlog.engine.rows import Rows
from foldlog.engine.work import Work

log = structlog.get_logger()

_PORTION = 500  # records of a sequence in one transaction
_PORTION_BYTES = 8 << 20  # of their values
_DROPPED = 10_000  # records dropped in one transaction


def carefully(kind: Kind, message: Received, rows: Rows[Any] | None, work: Work) -> None:
    """Handles one record; where its row cannot be written nothing of it is left, and it is refused."""
    if rows is None:
        return kind.handle(message, rows, work)
    before, mark = dict(rows.changed), work.mark()
    kind.handle(message, rows, work)
    for key, row in rows.changed.items():
        if row is not before.get(key) and (fault := rows.fault(row)) is not None:
            rows.changed = before
            work.undo(mark)
            return kind.refuse(message, work, fault.cause, fault)
    return None


def repaired(kind: Kind, message: Received, asked: Record, rows: Rows[Any] | None, work: Work) -> None:
    """Does what an operator asks of a processor; whatever else there is passes by."""
    if message.topic() != kind.repairs or not isinstance(asked, Repair) or asked.processor != kind.name:
        return
    if asked.record is not None and asked.action == RETRY:
        _letter(kind, message, asked.record, rows, work)
    elif asked.key is not None:
        _sequence(kind, message, asked, rows, work)


def _letter(kind: Kind, message: Received, record: Parked, rows: Rows[Any] | None, work: Work) -> None:
    """A dead letter, handled anew; if it fails again it is put aside again, or its key parked."""
    if record.topic not in kind.inputs or record.partition != message.partition():
        work.dead_letter(message, "malformed", f"{kind.name} does not read {record.topic}:{record.partition} here")
    else:
        log.info("dead letter handled again", place=f"{record.topic}:{record.partition}:{record.offset}")
        carefully(kind, Replayed(record), rows, work)


def _sequence(kind: Kind, message: Received, asked: Repair, rows: Rows[Any] | None, work: Work) -> None:
    parking, partition, key = work.parking, message.partition(), (asked.key or "").encode()
    head = parking.head(partition, key) if parking is not None else None
    if parking is None or head is None:
        log.info("nothing waits", key=asked.key, asked=asked.action)
        return
    sequence = _Sequence(kind, parking, partition, key)
    match asked.action:
        case "retry" if kind.patient:
            after, more = replace(head, tries=0, asked=head.asked + 1, due=datetime.now(UTC)), False
        case "retry":
            after, more = sequence.retry(head, rows, work)
        case "drop":
            after, more = sequence.drop(head, asked.sequence)
        case _:
            log.warning("there is no such repair", asked=asked.action)
            return
    parking.keep(partition, key, after)
    if more:
        rest = replace(asked, actor="foldlog", why="the next portion")
        work.outputs.append(Output(kind.repairs, partition, key, work.codec.encode(rest)))


class _Sequence:
    """The records of one parked key; each of its methods gives what is left, and whether to go on with that."""

    def __init__(self, kind: Kind, parking: Parking, partition: int, key: bytes) -> None:
        self._kind = kind
        self._parking = parking
        self._partition = partition
        self._key = key

    def retry(self, head: ParkedKey, rows: Rows[Any] | None, work: Work) -> tuple[ParkedKey, bool]:
        """Handles a portion in order, up to the first record that fails again."""
        size = 0
        for number in range(head.first, head.next):
            if number - head.first >= _PORTION or size > _PORTION_BYTES:
                return replace(head, first=number), True
            record = self._parking.record(self._partition, self._key, number)
            if record is None:
                continue
            failure = self._again(record, rows, work)
            if failure is not None:
                cause, reason = failure
                again = replace(head, first=number, cause=cause, reason=reason)
                return replace(again, tries=head.tries + 1, asked=head.asked + 1), False
            self._parking.remove(self._partition, self._key, number)
            size += len(record.value or b"")
        return replace(head, first=head.next), False

    def drop(self, head: ParkedKey, number: int | None) -> tuple[ParkedKey, bool]:
        """Gives up one record, or a portion of all."""
        if number is None:
            end = min(head.next, head.first + _DROPPED)
            for each in range(head.first, end):
                self._parking.remove(self._partition, self._key, each)
            return replace(head, first=end), end < head.next
        if self._parking.record(self._partition, self._key, number) is None:
            return head, False
        self._parking.remove(self._partition, self._key, number)
        if number != head.first:
            return head, False
        return replace(
            head, first=number + 1, reason="the record that failed was dropped; the next was not tried"
        ), False

    def _again(self, record: Parked, rows: Rows[Any] | None, work: Work) -> tuple[str, str] | None:
        """Handles one record; why it failed, and then nothing of it is left."""
        parking, mark = self._parking, work.mark()
        parking.begin_retry(self._key)
        try:
            carefully(self._kind, Replayed(record), rows, work)
        finally:
            failure = parking.end_retry()
        if failure is not None:
            work.undo(mark)
        return failure
