"""The rows of a batch, read by the poll thread before the process thread comes to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core.errors import StoreError
from foldlog.engine import partitions as module
from foldlog.engine.ahead import Ahead
from foldlog.engine.batch import Assignment, Batch, Received
from foldlog.engine.partitions import Partitions
from tests.engine.rig import Line, Made
from tests.engine.tally import Add, Context, eventually

NAMES = [f"t{number}" for number in range(40)]


class Seen(Partitions):
    """Remembers the batches that it prepared, and the keys of the rows that it read for them."""

    def prepared(self, item: Assignment | Batch) -> Assignment | Batch:
        prepared = super().prepared(item)
        if isinstance(prepared, Batch):
            self.batches = [*getattr(self, "batches", []), prepared]
            read = {key for ahead in prepared.ahead.values() for key in ahead.rows}
            self.read: set[bytes] = getattr(self, "read", set()) | read
        return prepared


class Fails(Seen):
    """Cannot read ahead."""

    def _read_ahead(self, messages: Sequence[Received]) -> dict[int, Ahead]:
        raise StoreError("the disk does not answer")


class Busy(Seen):
    """Is filling its stores, for all that the poll thread can tell."""

    def prepared(self, item: Assignment | Batch) -> Assignment | Batch:
        with self._settled:
            return super().prepared(item)


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of one record has its rows read ahead, and a store of one row is too large to be read whole."""
    monkeypatch.setattr(module, "LEAST_AHEAD", 1)
    monkeypatch.setattr(module, "_MOST_FILLED", 0)


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    """Every tally has 1, in a store whose worker has stopped."""
    with Context(cluster, tmp_path) as context:
        context.send(*(Add(name, 1) for name in NAMES))
        with Line(context).running() as line:
            eventually(lambda: line.counters.records == len(NAMES))
        yield context


def decided(context: Context, partitions: type[Seen]) -> Seen:
    """Has a worker add 2 and 3 to every tally, and gives its partitions."""
    context.send(*(Add(name, 2) for name in NAMES))
    with Line(context, Made(partitions=partitions)).running() as line:
        eventually(lambda: line.counters.records == len(NAMES))
        assert line.counters.cache_misses == len(NAMES)
        context.send(*(Add(name, 3) for name in NAMES))
        eventually(lambda: line.counters.records == 2 * len(NAMES))
        assert (line.counters.cache_misses, line.counters.cache_hits) == (len(NAMES), len(NAMES))
    assert context.amounts() == [amount for amount in (1, 2, 3) for _ in NAMES]
    assert isinstance(line.partitions, Seen)
    return line.partitions


def test_rows_are_read_ahead(context: Context) -> None:
    assert decided(context, Seen).read == {name.encode() for name in NAMES}


@pytest.mark.parametrize("partitions", [Fails, Busy])
def test_what_cannot_be_read_ahead_is_read_when_it_is_wanted(context: Context, partitions: type[Seen]) -> None:
    assert not any(batch.ahead for batch in decided(context, partitions).batches)


def test_a_few_are_read_when_they_are_wanted_and_cached(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_AHEAD", 1000)
    assert not any(batch.ahead for batch in decided(context, Seen).batches)


def test_where_all_rows_have_room_none_is_read_for_a_batch(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FILLED", 1000)
    context.send(*(Add(name, 2) for name in (*NAMES, "new")))
    with Line(context, Made(partitions=Seen)).running() as line:
        eventually(lambda: line.counters.records == len(NAMES) + 1)
        assert (line.counters.cache_misses, line.counters.cache_hits) == (0, len(NAMES))
        assert line.counters.rows == len(NAMES) + 1
    assert context.amounts() == [*(amount for amount in (1, 2) for _ in NAMES), 2]
    assert isinstance(line.partitions, Seen)
    assert (line.partitions.read, any(batch.ahead for batch in line.partitions.batches)) == (set(), True)
