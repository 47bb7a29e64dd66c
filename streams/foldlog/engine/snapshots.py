"""Snapshots by sweep: what changed since the last checkpoint is written down, a few rows with every batch.

A sweep takes the log position P and the marks that are there, then writes every row that they name, as it is when its
turn comes, and ends with a checkpoint that holds P. A row that changes later is in the log after P, and in a mark of
the next sweep. So the newest snapshots and the log from P make the state, whatever happens in between; a sweep that is
cut short begins again.
"""

from collections.abc import Iterator, Mapping
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

_MOST_SEEN = 200_000  # keys that a sweep keeps so as not to write a row twice; beyond, it may, which does no harm
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


class Snapshots:
    """The sweeps of a processor's partitions; used by the process thread alone.

    A sweep begins when `every` records of the log are not covered by a checkpoint.
    """

    def __init__(self, topic: str, codec: Codec, every: int) -> None:
        self.topic = topic
        self._codec = codec
        self._every = every
        self._sweeps: dict[int, _Sweep] = {}

    @classmethod
    def of(cls, kind: Kind, codec: Codec, every: int) -> Self | None:
        """Those of a kind that has snapshots."""
        return cls(kind.snapshots, codec, every) if isinstance(kind, Folding) and kind.snapshots else None

    def due(self, partitions: Mapping[int, Rows[Any]], records: int) -> Iterator[Run]:
        """The snapshots to be written with a batch of so many records, at most one turn of each partition."""
        for number, rows in partitions.items():
            sweep = self._sweeps.get(number)
            if sweep is None and rows.position - rows.store.since >= self._every:
                rows.write()  # so that every change until now is marked
                marks, whole = rows.store.take_marks()
                sweep = self._sweeps[number] = _Sweep(rows.position, marks, whole, [] if whole else [*marks])
            if sweep is not None:
                most = min(records, HEAVIEST // len(partitions) // rows.typical)
                yield Run(self.topic, number, self._turn(sweep, rows, max(_LEAST, most)))

    def _turn(self, sweep: _Sweep, rows: Rows[Any], most: int) -> list[tuple[bytes, bytes | None]]:
        records: list[tuple[bytes, bytes | None]] = [*rows.packed_of(sweep.next(rows.store, most)).items()]
        if sweep.ends:
            records.append((CHECKPOINT, self._codec.encode(Checkpoint(sweep.start, rows.store.log_id, rows.count))))
        return records

    def committed(self, partitions: Mapping[int, Rows[Any]]) -> None:
        """The batch's transaction is committed: its turns are done."""
        for number, sweep in list(self._sweeps.items()):
            if sweep.ends:
                rows = partitions[number]
                rows.settled.update(sweep.marks)
                rows.store.since = sweep.start
                del self._sweeps[number]

    def drop(self) -> None:
        """Nothing of the sweeps under way counts."""
        self._sweeps = {}
