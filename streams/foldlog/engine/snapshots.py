"""Snapshots by sweep: what changed since the last checkpoint is written down, a few rows with every batch.

A sweep takes the log position P and the marks that are there, then writes every row that they name, as it is when its
turn comes, and ends with a checkpoint that holds P. A row that changes later is in the log after P, and in a mark of
the next sweep. So the newest snapshots and the log from P make the state, whatever happens in between; a sweep that is
cut short begins again.

Where hardly a row changes twice before the next sweep, a sweep would write no fewer rows and read each once more. From
then on rows go along with the batch that changes them: they need no mark, and a checkpoint holds where the log is.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from foldlog.contracts.codec import Codec
from foldlog.core.contract import Checkpoint
from foldlog.engine.batch import Run
from foldlog.engine.kind import Folding, Kind
from foldlog.engine.portions import HEAVIEST
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store

CHECKPOINT = b"\0checkpoint"  # its key; no aggregate's id has a NUL

# Keys that are kept: by a sweep, so as not to write a row twice (beyond, it may, which does no harm), and by a pace.
_MOST_SEEN = 200_000
_MANY = 0.4  # rows changed per record of the log: from here on they go along with their batches,
_MOST = 0.6  # where a sweep finds them in memory, from here on
_FEW = 0.3  # and up to here a sweep writes them again
_OFTEN = 10  # checkpoints for one of a sweep, where rows go along: they cost nothing but themselves
_LEAST = 50  # rows in a turn; otherwise as many as the batch has records, so that new rows do not outrun the sweep


@dataclass
class _Sweep:
    """A sweep of one partition: the position it began at, its marks, and the keys that are still to be written."""

    start: int
    marks: list[bytes]
    whole: bool  # whether it writes every row, whatever else the marks name
    left: list[bytes]  # of the marks, those whose keys are not taken yet
    keys: list[bytes] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    after: bytes | None = None

    def next(self, store: Store, most: int) -> list[bytes]:
        """The next keys, at most so many."""
        if self.whole:
            turn = store.keys(self.after, most)
            self.whole, self.after = len(turn) == most, turn[-1] if turn else None
            return turn
        while self.left and len(self.keys) < most:
            new = [key for key in store.marked(self.left.pop(0)) if key not in self.seen]
            self.keys += new
            if len(self.seen) < _MOST_SEEN:
                self.seen.update(new)
        turn, self.keys = self.keys[:most], self.keys[most:]
        return turn

    @property
    def ends(self) -> bool:
        """Whether no key is left."""
        return not (self.whole or self.keys or self.left)


@dataclass
class _Pace:
    """How many rows change while a partition's log grows from `start`."""

    start: int
    keys: set[bytes] = field(default_factory=set)
    full: int | None = None  # the position at which no more keys were kept

    def see(self, position: int, changed: Collection[bytes]) -> None:
        """Takes what a batch changes that begins at a position."""
        if len(self.keys) < _MOST_SEEN:
            self.keys.update(changed)
        elif self.full is None:
            self.full = position

    def rate(self, position: int) -> float:
        """Rows for a record of the log, up to a position."""
        end = position if self.full is None else self.full
        return len(self.keys) / max(1, end - self.start)


@dataclass
class _Course:
    """What goes on for one partition."""

    pace: _Pace
    sweep: _Sweep | None = None
    along: bool = False  # whether rows go with the batch that changes them
    checkpoint: int | None = None  # of the batch at hand: the position that holds once it is committed


def _swept(rows: Rows[Any]) -> _Sweep:
    """A sweep of all that is marked by now."""
    rows.write()  # so that every change until now is
    marks, whole = rows.store.take_marks()
    return _Sweep(rows.position, marks, whole, [] if whole else [*marks])


class Snapshots:
    """The snapshots of a processor's partitions; used by the process thread alone.

    A checkpoint is due when `every` records of the log are not covered by one.
    """

    def __init__(self, topic: str, codec: Codec, every: int) -> None:
        self.topic = topic
        self._codec = codec
        self._every = every
        self._courses: dict[int, _Course] = {}

    @classmethod
    def of(cls, kind: Kind, codec: Codec, every: int) -> Self | None:
        """Those of a kind that has snapshots."""
        return cls(kind.snapshots, codec, every) if isinstance(kind, Folding) and kind.snapshots else None

    def due(self, partitions: Mapping[int, Rows[Any]], records: int) -> Iterator[Run]:
        """The snapshots to be written with a batch of so many records: packed rows, and at most one turn of a sweep."""
        for number, rows in partitions.items():
            course = self._courses.get(number)
            if course is None:
                course = self._courses[number] = self._course(rows)
            most = min(records, HEAVIEST // len(partitions) // rows.cache.typical)
            if written := self._written(course, rows, max(_LEAST, most)):
                yield Run(self.topic, number, written)

    def _written(self, course: _Course, rows: Rows[Any], most: int) -> Collection[tuple[bytes, bytes | None]]:
        course.checkpoint = None
        due = self._every // _OFTEN if course.along else self._every
        if course.sweep is None and rows.position - rows.store.since >= due:
            self._begin(course, rows)
        course.pace.see(rows.position, rows.packed)
        rows.marking = not course.along
        written = rows.packed if course.along else {}
        if course.sweep is not None:
            written = rows.packed_of(course.sweep.next(rows.store, most)) | written
            if course.sweep.ends:
                course.checkpoint = rows.position if course.along else course.sweep.start
        if course.checkpoint is None:
            return written.items()
        checkpoint = Checkpoint(course.checkpoint, rows.store.log_id, rows.count)
        return [*written.items(), (CHECKPOINT, self._codec.encode(checkpoint))]

    def _course(self, rows: Rows[Any]) -> _Course:
        """What begins with the first batch: of many rows few will change twice before the next sweep is due."""
        # Drawn evenly, that many change in 0.43 of the records.
        many = rows.count >= max(1, self._every // 2) and not rows.small
        return _Course(_Pace(rows.position), _swept(rows) if many else None, along=many)

    def _begin(self, course: _Course, rows: Rows[Any]) -> None:
        """Begins a sweep; where rows have gone along there is nothing to sweep, and the checkpoint comes at once."""
        if course.along:
            course.checkpoint = rows.position
            if rows.position - course.pace.start >= self._every:
                course.along = self._rate(course, rows) > _FEW
        else:
            course.sweep = _swept(rows)
            course.along = self._rate(course, rows) >= (_MOST if rows.small else _MANY)

    def _rate(self, course: _Course, rows: Rows[Any]) -> float:
        """Rows for a record of the log until now, from where they are counted anew."""
        pace, course.pace = course.pace, _Pace(rows.position)
        return pace.rate(rows.position)

    def committed(self, partitions: Mapping[int, Rows[Any]]) -> None:
        """The batch's transaction is committed: its turns are done."""
        for number, course in self._courses.items():
            if course.checkpoint is None:
                continue
            rows = partitions[number]
            rows.store.since = course.checkpoint
            if course.sweep is not None:
                rows.settled.update(course.sweep.marks)
                course.sweep = None

    def drop(self) -> None:
        """Nothing of what is under way counts: what changes is marked again."""
        self._courses = {}
