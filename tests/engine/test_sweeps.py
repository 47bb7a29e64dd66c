"""Snapshots: a sweep at any pace, cut short anywhere, and the log's tail make the state."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from foldlog.contracts.codec import Codec
from foldlog.core.contract import Checkpoint
from foldlog.engine import store as stores
from foldlog.engine.batch import Run
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT, Snapshots
from foldlog.engine.store import Store


class Checkpoints:
    """Encodes nothing but checkpoints."""

    def encode(self, checkpoint: Checkpoint) -> bytes:
        return f"{checkpoint.position} {checkpoint.rows}".encode()


class Swept:
    """One partition in memory: its log, its snapshots topic, and the store between them."""

    def __init__(self, path: Path, every: int, memory: int = 1 << 16) -> None:
        self.log: list[tuple[bytes, bytes]] = []
        self.topic: dict[bytes, bytes | None] = {}
        self.snapshots = Snapshots("topic", cast(Codec, Checkpoints()), every)
        self._path, self._memory = path, memory
        self._open()

    def _open(self) -> None:
        self.rows = Rows[bytes](
            Store(self._path, "log"), lambda row: row, lambda packed: packed, self._memory, marks=True
        )

    def commit(self, keys: Iterable[bytes]) -> None:
        """A batch with an event for each key."""
        self._publish(*self._batch(keys))
        self.rows.apply(len(self.log))
        self.snapshots.committed({0: self.rows})

    def abort(self, keys: Iterable[bytes]) -> None:
        """A batch that comes to nothing."""
        self._batch(keys)
        self._recover()

    def doubt(self, keys: Iterable[bytes]) -> None:
        """A batch that is committed, and nobody says so: it is taken from the log."""
        self._publish(*self._batch(keys))
        self._recover()

    def _publish(self, events: list[tuple[bytes, bytes]], runs: list[Run]) -> None:
        self.log += events
        for run in runs:
            self.topic |= dict(run.records)

    def _recover(self) -> None:
        self.rows.drop()
        self.snapshots.drop()
        self.rows.write()
        self.rows.forget()
        self._replay()

    def _batch(self, keys: Iterable[bytes]) -> tuple[list[tuple[bytes, bytes]], list[Run]]:
        events = [(key, b"%d" % (len(self.log) + place)) for place, key in enumerate(keys)]
        for key, value in events:
            self.rows.get(key)
            self.rows.set(key, value)
        assert self.rows.pack()
        return events, list(self.snapshots.due({0: self.rows}, len(events)))

    def squeeze(self) -> None:
        """From now on not all rows have room in memory."""
        self._memory = self.rows.cache.memory = 1

    def write(self, _: object = None) -> None:
        """The second is over."""
        self.rows.write()

    def cold(self, _: object = None) -> None:
        """Nothing is cached any more."""
        self.rows.cached.clear()

    def crash(self, _: object = None) -> None:
        """What was not written is lost, and taken from the log."""
        self.rows.store.close()
        self._open()
        self._replay()
        self.snapshots.drop()

    def _replay(self) -> None:
        for key, value in self.log[self.rows.position :]:
            self.rows.get(key)
            self.rows.set(key, value)
        assert self.rows.pack()
        self.rows.apply(len(self.log))

    def reopen(self, _: object = None) -> None:
        """Stopped and started."""
        self.rows.write()
        self.crash()

    def assert_restorable(self) -> None:
        """The newest snapshots and the log from the checkpoint make the state."""
        checkpoint = self.topic.get(CHECKPOINT)
        start = int(checkpoint.split()[0]) if checkpoint else 0
        snapshots = {key: value for key, value in self.topic.items() if key != CHECKPOINT} if checkpoint else {}
        assert snapshots | dict(self.log[start:]) == dict(self.log)


def checkpoint(swept: Swept) -> int:
    """The position that the newest one holds."""
    return int((swept.topic[CHECKPOINT] or b"").split()[0])


STEPS = ("commit", "commit", "commit", "commit", "abort", "doubt", "write", "write", "reopen", "crash", "cold")


@pytest.mark.parametrize("few", [0, 50, 1000])
@pytest.mark.parametrize("universe", [10, 200])
@pytest.mark.parametrize("every", [1, 40, 400])
def test_the_newest_snapshots_and_the_log_from_the_checkpoint_make_the_state(
    every: int, universe: int, few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where `few` marked keys, or as many as there are rows, become a mark for all."""
    monkeypatch.setattr(stores, "_FEW", few)
    chance, swept = random.Random(f"{every} {universe} {few}"), Swept(tmp_path / "0", every)
    for turn in range(300):
        if turn == 150:
            swept.squeeze()
        keys = [b"%03d" % chance.randrange(universe) for _ in range(chance.randrange(60))]
        getattr(swept, chance.choice(STEPS))(keys)
        swept.assert_restorable()
    assert CHECKPOINT in swept.topic
    swept.rows.store.close()


def test_rows_that_change_while_every_row_is_written_are_written_by_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_FEW", 0)
    keys, swept = [b"%03d" % number for number in range(120)], Swept(tmp_path / "0", 300)
    for _ in range(3):
        swept.commit(keys)
        swept.write()
    sizes = []
    for _ in range(320):  # a batch of one at a time: fifty rows in a turn
        before = len(swept.topic)
        swept.commit([keys[0]])
        swept.write()
        sizes.append(len(swept.topic) - before)
        swept.assert_restorable()
    assert [size for size in sizes if size] == [50, 50, 21], "every row in turns, the checkpoint with the last"
    assert checkpoint(swept) > 360, "and another sweep after it"
    swept.rows.store.close()


def written(swept: Swept, keys: list[bytes]) -> set[bytes]:
    """The keys of the snapshots that a batch brings."""
    before = swept.topic.copy()
    swept.commit(keys)
    swept.assert_restorable()
    return {key for key, _ in swept.topic.items() - before.items()} - {CHECKPOINT}


def test_rows_that_hardly_change_twice_go_along_with_their_batches(tmp_path: Path) -> None:
    swept, many = Swept(tmp_path / "0", 100), [b"%04d" % number for number in range(1000)]
    for start in range(0, 200, 10):
        swept.commit(many[start : start + 10])
        swept.assert_restorable()
    for start in range(200, 1000, 10):
        assert written(swept, many[start : start + 10]) == set(many[start : start + 10]), "its own rows, nothing else"
    assert checkpoint(swept) >= 980, "and the checkpoint follows, ten times as often as for sweeps"
    swept.write()
    assert swept.rows.store.take_marks() == ([], False), "there is nothing left to sweep"
    swept.rows.store.close()


def test_rows_that_change_often_are_swept_again(tmp_path: Path) -> None:
    swept = Swept(tmp_path / "0", 100)
    for start in range(0, 400, 10):
        swept.commit([b"%04d" % number for number in range(start, start + 10)])
    assert written(swept, [b"first"]) == {b"first"}, "they go along"
    few = [b"%d" % (number % 5) for number in range(10)]
    for _ in range(25):
        swept.commit(few)
        swept.assert_restorable()
    sizes = [len(written(swept, few)) for _ in range(30)]
    assert 0 < sum(sizes) <= 5 * 4, "three or four sweeps of five rows, not thirty batches of them"
    swept.rows.store.close()


def test_what_went_along_is_marked_again_once_an_abort_has_ended_it(tmp_path: Path) -> None:
    swept, some = Swept(tmp_path / "0", 100, memory=1), [b"%04d" % number for number in range(45)]
    for start in range(100):
        swept.commit([some[start % 45]])
    assert written(swept, [b"one"]) == {b"one", *some}, "it goes along, and a sweep writes the others"
    swept.abort(some[:10])
    assert written(swept, some[20:30]) == set()
    swept.write()
    [mark], _ = swept.rows.store.take_marks()
    assert set(swept.rows.store.marked(mark)) == set(some[20:30])
    swept.rows.store.close()


def test_rows_that_have_room_in_memory_are_swept_as_long_as_every_other_changes_twice(tmp_path: Path) -> None:
    swept, some = Swept(tmp_path / "0", 100), [b"%04d" % number for number in range(50)]

    def snapshots() -> int:
        return sum(len(written(swept, [some[number % 50]])) for number in range(400))

    assert snapshots() <= 200, "four sweeps of fifty rows, not four hundred batches of one"
    swept.squeeze()
    snapshots()
    assert snapshots() >= 400, "where they have no room, they go along"
    swept.rows.store.close()


def test_of_many_rows_those_that_change_go_along_from_the_first_batch(tmp_path: Path) -> None:
    swept, many = Swept(tmp_path / "0", 100, memory=1), [b"%04d" % number for number in range(60)]
    swept.commit(many)
    swept.reopen()
    assert written(swept, [b"first"]) == {b"first", *many[:50]}, "a sweep writes what was marked before"
    assert written(swept, [b"second"]) == {b"second", *many[50:]}
    assert checkpoint(swept) == 61, "the log's end before that batch"
    swept.write()
    assert swept.rows.store.take_marks() == ([], False), "there is nothing left to sweep"
    swept.rows.store.close()
