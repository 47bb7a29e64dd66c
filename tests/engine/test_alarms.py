"""Which rows are due: each rings once, rings again after an abort, and what is not waited for takes no room."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest

from foldlog.engine.alarms import Alarms
from foldlog.engine.store import Store

LATER = 1 << 32


def pack(row: datetime) -> bytes:
    return b"\0" if row == NEVER else b"%d!" % row.timestamp()


def unpack(packed: bytes) -> datetime:
    assert packed[-1], "only what waits is looked at"
    return at(int(packed[:-1]))


def due(row: datetime) -> datetime | None:
    return None if row == NEVER else row


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


NEVER = at(0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store", "log")
    yield store
    store.close()


@pytest.fixture
def alarms(store: Store) -> Alarms[datetime]:
    return Alarms(store, pack, unpack, 1 << 20, due)


def commit(alarms: Alarms[datetime], **rows: int | None) -> None:
    """Changes rows; 0 is one that waits for nothing, None deletes one."""
    for key, due in rows.items():
        alarms.set(key.encode(), None if due is None else NEVER if due == 0 else at(due))
    assert alarms.pack()
    alarms.apply(alarms.position + 1)


def rung(alarms: Alarms[datetime], now: int) -> list[str]:
    return [key.decode() for key in alarms.ring(now, 100)]


def test_rows_ring_in_the_order_of_their_times_and_once(alarms: Alarms[datetime]) -> None:
    assert alarms.next() == inf
    commit(alarms, b=20, a=10, c=30)
    assert alarms.next() == 10
    assert rung(alarms, 5) == []
    assert rung(alarms, 20) == ["a", "b"]
    assert rung(alarms, 20) == []
    assert alarms.next() == 30


def test_no_more_ring_than_asked_for(alarms: Alarms[datetime]) -> None:
    commit(alarms, a=1, b=2, c=3)
    assert list(alarms.ring(9, 2)) == [b"a", b"b"]
    assert list(alarms.ring(9, 2)) == [b"c"]


def test_what_rang_for_a_batch_that_was_dropped_rings_again(alarms: Alarms[datetime]) -> None:
    commit(alarms, a=1, b=2)
    assert rung(alarms, 1) == ["a"]
    alarms.drop()
    assert rung(alarms, 2) == ["a", "b"]


def test_a_change_counts_when_it_is_committed(alarms: Alarms[datetime]) -> None:
    commit(alarms, a=1, b=2)
    alarms.set(b"a", at(50))
    alarms.drop()
    assert rung(alarms, 1) == ["a"]
    commit(alarms, a=50, b=None)
    assert rung(alarms, 49) == []
    assert alarms.next() == 50


def test_another_process_finds_them_in_the_store(alarms: Alarms[datetime], store: Store) -> None:
    commit(alarms, a=7, b=3)
    commit(alarms, never=0)
    alarms.write()
    alarms = Alarms(store, pack, unpack, 1 << 20, due)
    assert rung(alarms, 9) == ["b", "a"]


def test_timers_that_are_replaced_for_ever_take_no_room(alarms: Alarms[datetime]) -> None:
    assert alarms.next() == inf
    for turn in range(5000):
        commit(alarms, a=LATER + turn)
    assert len(alarms._heap) < 2000
    assert alarms.next() == LATER + 4999
