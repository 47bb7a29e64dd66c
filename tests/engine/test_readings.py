"""Rows that are read ahead while others are committed: by another thread, within bounds, while somebody waits."""

import random
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from foldlog.engine.ahead import Readings
from tests.engine.plain_rows import fresh, look_at, pack


def test_what_was_read_ahead_is_what_is_committed_whatever_another_thread_did_meanwhile() -> None:
    with fresh(1000) as rows, ThreadPoolExecutor(1) as poll:
        rows.recent.complete = False  # else nothing would be read ahead
        draw = random.Random(7)
        table: dict[bytes, str] = {}
        position, until, renewed = 0, time.monotonic() + 2, 0
        while time.monotonic() < until:
            reading = poll.submit(rows.read_ahead, [b"%d" % number for number in range(3000)], 1 << 20)
            while not reading.done():
                for _ in range(draw.randrange(60)):
                    key = b"%d" % draw.randrange(3000)
                    look_at(rows, key, together=False)
                    rows.set(key, f"{position}")
                table |= {key: row for key, row in rows.changed.items() if row is not None}
                position += 1
                assert rows.pack()
                rows.apply(position)
                if draw.random() < 0.2:
                    rows.write()
            read = reading.result()
            before = dict(read.rows)
            found = read.current(rows.recent)
            renewed += before != found
            assert {key: row for key, row in found.items() if row is not None} == {
                key: pack(table[key]) for key in found if key in table
            }
        assert rows.count == len(table)
        assert renewed > 0  # else nothing was tested


@pytest.mark.parametrize(("room", "read"), [(0, 1000), (100_000, 1000), (150_000, 1500), (1 << 30, 5000)])
def test_no_more_is_read_ahead_than_there_is_room_for(room: int, read: int) -> None:
    with fresh(1000) as rows:
        keys = [b"%d" % number for number in range(5000)]
        rows.store.apply(dict.fromkeys(keys, b"x" * 100), 1, 5000)
        rows.forget()
        found = rows.read_ahead(keys, room)
        assert (len(found.rows), found.whole) == (read, read == 5000)
        rows.forget()
        rows.adopt(found)
        assert rows.take_ahead() == found.whole
        rows.fetch(keys)
        assert len(rows.fetched) == 5000


def test_rows_that_changed_are_taken_anew_where_they_have_room() -> None:
    with fresh(1000) as rows:
        rows.recent.complete = False  # else nothing would be read ahead
        read = rows.read_ahead([b"a", b"b", b"c"], 300)
        for position, key in enumerate((b"a", b"b", b"d"), 1):
            look_at(rows, key, together=False)
            rows.set(key, "x" * 200)
            assert rows.pack()
            rows.apply(position)
        rows.adopt(read)
        assert rows.take_ahead()
        assert set(rows.fetched) in ({b"a", b"c"}, {b"b", b"c"})
        assert {rows.get(key) for key in (b"a", b"b")} == {"x" * 200}, "the other is left to the batch"


def test_readings_that_nobody_holds_are_not_told() -> None:
    readings = Readings()
    kept, gone = readings.begin(), weakref.ref(readings.begin())
    for _ in range(2):
        readings.tell([b"a"])
    assert (len(kept.changed), gone()) == (2, None)
