"""The drift check: a view's rows against the fold of its logs, row by row, while everything runs."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from foldlog.client.connection import Connection
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ConfigError, DecodeError
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.batch import Place, Received
from foldlog.engine.work import FAULTS
from foldlog.query.cutting import Cut, Offsets, Position
from foldlog.query.refold import Folded, Refold, Step
from foldlog.query.tables import Bar

_ROUNDS = 60
_PAUSE = 0.1  # s between rounds
_BUSY = "busy, and like no moment between two looks"

Row = tuple[bytes, int]  # key, partition


class Live(NamedTuple):
    """A row of the view as its topic has it."""

    value: bytes
    offset: int


@dataclass(frozen=True)
class Difference:
    """A row that is not the fold of its events; None where the row is missing on that side.

    `place` is the topic:partition:offset of the live row, `last` that of its last event, whose version is `version`.
    `reason` says why a row could not be read or folded, that its key is parked, or that it is busy and like no cut.
    """

    key: str
    live: Record | None
    folded: Record | None
    place: str | None
    last: str | None
    version: int | None
    reason: str = ""


@dataclass
class Report:
    """What was compared, and what differs."""

    rows: int = 0
    events: int = 0
    rounds: int = 0
    differences: list[Difference] = field(default_factory=list)


def verify(connection: Connection, topology: Topology, view: View[Any, Any], bar: Bar) -> Report:
    """Folds the logs of a view again and compares; the differences by key.

    Raises ConfigError where the rows are no function of one key's events, or where the view has no topic or no offset
    yet, ClusterError where Kafka does not answer.
    """
    if view.window is not None or view.lookup is not None:
        # Which windows are kept depends on the other keys of a partition; what a lookup found, on when it looked.
        what = "has windows" if view.window is not None else "looks into another view"
        raise ConfigError(
            f"{topology.name}.{view.name} {what}: its rows do not follow from the events of their keys alone"
        )
    codec = connection.codec(topology)
    check = _Check(view, codec, Position(connection, topology, view))
    check.load(bar)
    return check.compared()


class _Check:
    """Two tables that are brought to the same cut, and the rows that are still to be compared.

    A key without an event between the two looks of a round is compared exactly. One that has some is right if its row
    is that of any moment between them, else it is looked at again in the next round.
    """

    def __init__(self, view: View[Any, Any], codec: Codec, position: Position) -> None:
        self._codec = codec
        self._position = position
        self._refold = Refold(view, codec)
        self._live: dict[Row, Live] = {}
        self._read: dict[Place, int] = {}  # of the view's topic
        self._next: Offsets = position.starts  # of the logs
        self._waiting: list[Step] = []  # read, but not below the last cut
        self._parked: dict[bytes, str] = {}

    def load(self, bar: Bar) -> None:
        """Brings both tables near the end: what remains for a round is short, and so is the time between its looks."""
        cut = self._position.begun()
        logs = {place: cut.next[place] for place in self._next}
        with bar(f"folding {self._position.table}") as progress:
            moved = self._moved(cut)
            for messages in self._position.between(self._next, logs, progress):
                self._fold(self._refold.steps(messages), cut, moved)
        self._next = logs
        with bar(f"reading {self._position.table}") as progress:
            self._advance(progress)

    def compared(self) -> Report:
        """Round after round, until each row was compared."""
        report, left = Report(), None
        self._parked = self._position.parked(self._codec)
        while left is None or (left and report.rounds < _ROUNDS):
            if report.rounds:
                time.sleep(_PAUSE)
            report.rounds += 1
            left = self._round(left, report)
        if left:
            self._parked = self._position.parked(self._codec)
        report.differences += [self._difference(row, self._parked.get(row[0], _BUSY)) for row in left]
        report.differences.sort(key=lambda difference: difference.key)
        report.events = self._refold.events
        return report

    def _round(self, rows: set[Row] | None, report: Report) -> set[Row]:
        """Compares these rows, all at first; those that must be looked at again."""
        first = self._position.cut()
        self._advance(_quiet)
        last = self._position.committed()
        window = self._between(first, last)
        moving: dict[bytes, list[Step]] = {}
        for step in window:
            moving.setdefault(step.key, []).append(step)
        if rows is None:
            rows = {*self._live, *((key, self._home(key)) for key in (*self._refold.rows, *moving))}
            report.rows = len(rows)
        return {row for row in rows if self._unsettled(row, moving.get(row[0], ()), report)}

    def _between(self, first: Cut, last: Offsets) -> list[Step]:
        """Folds what is below the first look; what may have been done before the second one.

        A record that is moved to another partition is done there, below the offset of the topic that it is moved by.
        """
        moved = self._moved(first)
        logs = {place: last[place] for place in self._next}
        waiting, self._waiting = self._waiting, []
        self._fold(waiting, first, moved)
        for messages in self._position.between(self._next, logs, _quiet):
            self._fold(self._refold.steps(messages), first, moved)
        self._next = logs
        return self._waiting

    def _fold(self, steps: Iterable[Step], cut: Cut, moved: set[str]) -> None:
        """Folds the steps that are in the view at a cut; the others wait, in their order."""
        for step in steps:
            if step.offset < cut.next[step.place] and step.meta.event_id not in moved:
                self._refold.take(step)
            else:
                self._waiting.append(step)

    def _moved(self, cut: Cut) -> set[str]:
        return {step.meta.event_id for step in self._refold.steps(cut.moved)}

    def _advance(self, progress: Any) -> None:
        for messages in self._position.rows(self._read, progress):
            for message in messages:
                self._keep(message)

    def _keep(self, message: Received) -> None:
        row, value = (message.key() or b"", message.partition()), message.value()
        if value is None:
            self._live.pop(row, None)
        else:
            self._live[row] = Live(value, message.offset())

    def _unsettled(self, row: Row, steps: Iterable[Step], report: Report) -> bool:
        """True where a row differs that may have been read between two of its events; else a difference is reported."""
        key, at_home = row[0], row[1] == self._home(row[0])
        steps = steps if at_home else ()
        if key in self._refold.failures:
            reason = self._refold.failures[key]
        else:
            try:
                found = self._row(row)
            except DecodeError as error:
                reason = str(error)
            else:
                if any(self._same(found, each) for each in self._candidates(key, steps, at_home)):
                    return False
                if steps and key not in self._parked:
                    return True
                reason = self._parked.get(key, "")
        report.differences.append(self._difference(row, reason))
        return False

    def _candidates(self, key: bytes, steps: Iterable[Step], at_home: bool) -> Iterator[Record | None]:
        """The row at the first look, and after each event that came before the second."""
        row = self._refold.row(key) if at_home else None
        yield row
        for step in steps:
            try:
                row = self._refold.after(step, row)
            except FAULTS:
                return
            yield row

    def _same(self, live: Record | None, folded: Record | None) -> bool:
        if live is None or folded is None:
            return live is folded
        return live == folded or self._refold.packed(live) == self._refold.packed(folded)  # NaN is not equal to itself

    def _row(self, row: Row) -> Record | None:
        found = self._live.get(row)
        return None if found is None else self._codec.decode(found.value)

    def _home(self, key: bytes) -> int:
        return partition_of(key, self._position.partitions)

    def _difference(self, row: Row, reason: str) -> Difference:
        key, live = row[0], self._live.get(row)
        folded = self._refold.rows.get(key) if row[1] == self._home(key) else None
        try:
            found = self._row(row)
        except DecodeError:
            found = None
        last = folded or Folded(None, "", 0)
        return Difference(
            key.decode(errors="backslashreplace"),
            found,
            last.row,
            live and f"{self._position.table}:{row[1]}:{live.offset}",
            last.last or None,
            last.version or None,
            reason,
        )


def _quiet(_done: int, _total: int) -> None:
    """A round is short."""
