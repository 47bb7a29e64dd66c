"""Snapshots: a sweep at any pace, cut short anywhere, and the log's tail make the state."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.contract import Checkpoint, Handled
from foldlog.engine.rows import Rows
from foldlog.engine.snapshots import CHECKPOINT, Snapshots
from foldlog.engine.store import Store
from foldlog.kafka import reading
from tests.engine.rig import Line
from tests.engine.tally import Add, Context, eventually

keys = st.integers(0, 120).map(b"%03d".__mod__)
step = st.one_of(
    st.tuples(st.just("commit"), st.lists(keys, max_size=60)),
    st.tuples(st.sampled_from(["abort", "write", "reopen", "crash", "cold"]), st.lists(keys, max_size=60)),
)


class Checkpoints:
    """Encodes nothing but checkpoints."""

    def encode(self, checkpoint: Checkpoint) -> bytes:
        return f"{checkpoint.position} {checkpoint.rows}".encode()


def rows_over(store: Store) -> Rows[bytes]:
    return Rows(store, lambda row: row, lambda packed: packed, 1 << 16, marks=True)


def replay(rows: Rows[bytes], log: list[tuple[bytes, bytes]]) -> None:
    """Takes what the store has not, as a restore does."""
    for key, value in log[rows.position :]:
        rows.set(key, value)
    assert rows.pack()
    rows.apply(len(log), blind=True)


@settings(max_examples=80, deadline=None)
@given(st.lists(step, max_size=25), st.integers(1, 40))
def test_the_newest_snapshots_and_the_log_from_the_checkpoint_make_the_state(
    steps: list[tuple[str, list[bytes]]], every: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "0", "log")
        rows, snapshots = rows_over(store), Snapshots("topic", cast(Codec, Checkpoints()), every)
        log: list[tuple[bytes, bytes]] = []
        written: dict[bytes, bytes | None] = {}  # what the snapshots topic keeps
        for what, changed in steps:
            if what == "write":
                rows.write()
                continue
            if what == "cold":
                rows.cached.clear()
                continue
            if what in ("reopen", "crash"):
                if what == "reopen":
                    rows.write()
                store.close()
                store = Store(Path(directory) / "0", "log")
                rows = rows_over(store)
                replay(rows, log)
                snapshots.drop()
                continue
            events = [(key, b"%d" % (len(log) + place)) for place, key in enumerate(changed)]
            for key, value in events:
                rows.get(key)
                rows.set(key, value)
            assert rows.pack()
            runs = list(snapshots.due({0: rows}, len(events)))
            if what == "abort":
                rows.drop()
                snapshots.drop()
                continue
            log += events
            rows.apply(len(log))
            snapshots.committed({0: rows})
            for run in runs:
                written |= dict(run.records)
        store.close()
    checkpoint = written.pop(CHECKPOINT, None)
    start = int(checkpoint.split()[0]) if checkpoint else 0
    restored = (written if checkpoint else {}) | dict(log[start:])
    assert restored == dict(log)


COMMANDS = 300


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as own:
        yield own


@pytest.fixture
def worked(context: Context) -> dict[bytes, bytes]:
    """The rows of a worker that has handled commands, and snapshotted them in between."""
    for number in range(COMMANDS):
        context.send(Add(f"t{number % 40}", number), headers={"command-id": f"c{number}"})
    with Line(context, snapshot_events=50, batch_records=20).running() as line:
        eventually(lambda: line.counters.records == COMMANDS)
    return line.rows


def restored(context: Context, line: Line) -> Line:
    """A line that has restored its partition."""
    with line.running():
        eventually(lambda: line.counters.state == "running")
    return line


def test_an_empty_directory_is_restored_from_snapshots_and_the_tail(
    context: Context, worked: dict[bytes, bytes]
) -> None:
    line = restored(context, Line(context, directory="empty"))
    assert line.rows == worked
    assert line.folded < COMMANDS


def test_without_snapshots_the_whole_log_makes_the_same_rows(context: Context, worked: dict[bytes, bytes]) -> None:
    line = Line(context, directory="empty")
    line.kind.snapshots = ""
    assert restored(context, line).rows == worked
    assert line.folded == COMMANDS


def test_checkpoints_of_another_shape_of_the_state_are_not_believed(
    context: Context, worked: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(context, directory="empty")
    monkeypatch.setattr(line.kind, "fingerprint", lambda: "another")
    assert restored(context, line).rows == worked
    assert line.folded == COMMANDS


def test_a_snapshot_says_what_a_consumer_wants_to_know(context: Context, worked: dict[bytes, bytes]) -> None:
    entries = list(reading.read(context.cluster.bootstrap, topics.snapshots(context.name, "tally")))
    newest = {entry.key: context.codec.decode_with(entry.value or b"") for entry in entries}
    checkpoint, _ = newest.pop(CHECKPOINT)
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.rows == len(newest) == len(worked) == 40
    for key, (state, snapshot) in newest.items():
        log = [(event, meta) for event, meta in context.events() if meta.aggregate_id.encode() == key]
        assert state.total == sum(event.amount for event, meta in log if meta.version <= snapshot.version)  # type: ignore[attr-defined]
        ids = tuple(Handled(meta.causation, meta.version) for _, meta in log if meta.version <= snapshot.version)
        assert snapshot.handled == ids
