"""Snapshots on a broker: an empty directory is restored from them and the log's tail, or from the log alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core import topics
from foldlog.core.contract import Checkpoint, Handled
from foldlog.engine.remembered import item_of
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.kafka import reading
from tests.engine.rig import Line
from tests.engine.tally import Add, Context, eventually

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
    events = list(context.events())
    for key, (state, snapshot) in newest.items():
        log = [(event, meta) for event, meta in events if meta.aggregate_id.encode() == key]
        assert state.total == sum(event.amount for event, meta in log if meta.version <= snapshot.version)  # type: ignore[attr-defined]
        ids = tuple(
            Handled(item_of(meta.causation)[1:].decode(), meta.version)
            for _, meta in log
            if meta.version <= snapshot.version
        )
        assert snapshot.handled == ids
