"""An empty store from snapshots: rows as they are, up to the newest checkpoint that is of the same log and shape."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from foldlog.engine.batch import Place
from foldlog.engine.kind import State
from foldlog.engine.restoring import LogReader
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT

log = structlog.get_logger()

Packed = dict[bytes, bytes | None]


class SnapshotLoader:
    """Loads the stores that are empty; those without a checkpoint of theirs stay so, and are folded from the log."""

    def __init__(self, kind: State[Any], partitions: Mapping[int, Rows[Any]], marks: Mapping[Place, Any]) -> None:
        self._kind = kind
        self._rows = {
            number: rows
            for number, rows in partitions.items()
            if kind.snapshots and rows.position == 0 and (kind.snapshots, number) in marks
        }
        self._marks = marks
        self._checkpoints: dict[int, bytes] = {}
        self.starts = {place: marks[place][0] for place in self._places()}
        self.ends = {place: marks[place][1] for place in self._places()}

    def _places(self) -> list[Place]:
        return [(self._kind.snapshots, number) for number in self._rows]

    def load(
        self,
        reader: LogReader,
        go_on: Callable[[], bool],
        stalled: Callable[[], None],
        progress: Callable[[int], None],
    ) -> None:
        """Reads the snapshots; an epoch that ends meanwhile leaves the stores empty."""
        for messages in reader.read(self.starts, self.ends, go_on, stalled):
            packed: defaultdict[int, Packed] = defaultdict(dict)
            for message in messages:
                key, number = message.key(), message.partition()
                if key == CHECKPOINT:
                    self._checkpoints[number] = message.value() or b""
                elif key is not None:
                    packed[number][key] = message.value()
            for number, loaded in packed.items():
                self._rows[number].load(loaded, 0)
            progress(len(messages))
        for number, rows in self._rows.items():
            self._end(number, rows, go_on())

    def _end(self, number: int, rows: Rows[Any], complete: bool) -> None:
        high = self._marks[self._kind.log, number][1]
        found = self._checkpoints.get(number)
        checkpoint = self._kind.checkpoint(found) if found and complete else None
        if checkpoint and checkpoint.log == rows.store.log_id and checkpoint.position <= high:
            rows.loaded(checkpoint.position)
        elif rows.count:
            rows.store.clear("its snapshots have no checkpoint for this log and this shape of the state")
            rows.forget()
