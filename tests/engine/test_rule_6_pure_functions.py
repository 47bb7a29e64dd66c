"""Rule 6: decide and evolve are pure; a command that is repeated gets its first outcome again."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core import Meta, Record, topics
from foldlog.core.outcome import Reply
from foldlog.engine import deciding
from foldlog.engine.remembered import REMEMBERED
from tests.engine.rig import Line
from tests.engine.tally import Add, Context, committed, committed_records, eventually, tally

COMMANDS = 20


@pytest.fixture
def context(cluster: Cluster, tmp_path: Path) -> Iterator[Context]:
    with Context(cluster, tmp_path) as fresh:
        yield fresh


def _handle(context: Context, *ids: str) -> list[Reply]:
    """Sends one command under each id and gives the replies in order."""
    for number, id_ in enumerate(ids):
        headers = {"command-id": id_, "reply-to": topics.replies(context.name)}
        context.send(Add(context.key(0), number), headers=headers)
    with Line(context).running():
        eventually(lambda: committed(context).offset == len(ids))
    entries = committed_records(context.cluster.bootstrap, topics.replies(context.name))
    return [context.codec.decode(entry.value) for entry in entries if entry.value]  # type: ignore[misc]


def test_a_repeated_command_has_one_event_and_its_first_outcome(context: Context) -> None:
    first, other, again = _handle(context, "c1", "c2", "c1")
    assert (again.status, again.version, again.duplicate) == ("accepted", 1, True)
    assert (first.version, first.duplicate, other.version) == (1, False, 2)
    assert context.amounts() == [0, 1]


def test_without_the_remembered_outcomes_it_has_two(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "version_of", lambda *_: None)
    _handle(context, "c1", "c2", "c1")
    assert context.amounts() == [0, 1, 2]


def test_a_repeated_command_is_known_to_an_owner_with_an_empty_directory(context: Context) -> None:
    context.send(Add(context.key(0), 1), headers={"command-id": "c1"})
    with Line(context).running():
        eventually(lambda: committed(context).offset == 1)
    context.send(Add(context.key(0), 2), headers={"command-id": "c1"})
    with Line(context, directory="empty").running():
        eventually(lambda: committed(context).offset == 2)
    assert context.amounts() == [1]


def test_the_window_of_remembered_commands_has_the_documented_size(context: Context) -> None:
    ids = [f"c{number}" for number in range(REMEMBERED + 1)]
    _handle(context, *ids, ids[1], ids[0])
    assert len(context.events()) == REMEMBERED + 2  # ids[1] is still known, ids[0] is a new command


class Stamped(Record):
    tally: str
    time: datetime


class Times(Record):
    stamps: tuple[str, ...] = ()


def _stamp(command: Add, times: Times, meta: Meta) -> list[Stamped]:
    return [Stamped(command.tally, meta.time)]


def _keep(times: Times, event: Stamped) -> Times:
    return Times((*times.stamps, event.time.isoformat()))


def _keep_with_a_random_id(times: Times, event: Stamped) -> Times:
    return Times((*times.stamps, uuid.uuid4().hex))


def _replayed(cluster: Cluster, home: Path, evolve: object) -> tuple[Context, dict[bytes, bytes], dict[bytes, bytes]]:
    """The rows of a worker that handled commands, and those of one that folded their log."""
    decider = replace(tally, initial=Times(), decide=_stamp, evolve=evolve)  # type: ignore[arg-type]
    with Context(cluster, home, decider=decider) as context:
        for number in range(COMMANDS):
            context.send(Add(f"t{number % 3}", number), timestamp=_milliseconds(number))
        with Line(context).running() as worked:
            eventually(lambda: committed(context).offset == COMMANDS)
        with Line(context, directory="empty").running() as folded:
            eventually(lambda: folded.counters.state == "running")
        return context, worked.rows, folded.rows


def _milliseconds(number: int) -> int:
    return 852_076_800_000 + number  # 1997-01-01


def test_time_comes_from_the_command_and_a_replay_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    context, worked, folded = _replayed(cluster, tmp_path, _keep)
    assert len(worked) == 3
    assert folded == worked
    times = [event.time for event, _ in context.events()]  # type: ignore[attr-defined]
    assert times == [datetime.fromtimestamp(_milliseconds(number) / 1000, UTC) for number in range(COMMANDS)]


def test_with_an_id_of_its_own_making_a_replay_gives_others(cluster: Cluster, tmp_path: Path) -> None:
    _, worked, folded = _replayed(cluster, tmp_path, _keep_with_a_random_id)
    assert worked.keys() == folded.keys()
    assert all(worked[key] != folded[key] for key in worked)
