"""Rows of windows over a store: batches, aborts and restarts leave the rows that one fold of the log gives."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core import Hopping, Sessions, Tumbling, View
from foldlog.core.specification import meta_of, rows
from foldlog.core.windowing import Arrival, Windowing
from foldlog.engine.store import Store
from foldlog.engine.windowed import WindowedRows
from tests.engine.till import MINUTE, Rung, Sold, Visit, hourly, one_visit, rung_at, visits

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)

TUMBLING: View[Rung, Sold] = View(
    "v", hourly.source, Sold(), hourly.key, hourly.evolve, window=Tumbling(7 * MINUTE, at=rung_at, keep=20 * MINUTE)
)
HOPPING: View[Rung, Sold] = View(
    "v", hourly.source, Sold(), hourly.key, hourly.evolve, window=Hopping(9 * MINUTE, 4 * MINUTE, at=rung_at)
)
SESSIONS: View[Rung, Visit] = View(
    "v", visits.source, Visit(), visits.key, visits.evolve, window=Sessions(5 * MINUTE, one_visit, at=rung_at)
)
# All that has its time in order: then an early deletion cannot cut a session in two.
SHORT: View[Rung, Visit] = View(
    "v",
    visits.source,
    Visit(),
    visits.key,
    visits.evolve,
    window=Sessions(5 * MINUTE, one_visit, at=rung_at, keep=30 * MINUTE),
)

sales = st.builds(
    lambda minute, sku, customer: Rung("till", sku, customer, 1, NOON + minute * MINUTE),
    st.integers(0, 90),
    st.sampled_from(["lp", "cd"]),
    st.sampled_from(["ada", "bob"]),
)
batches = st.lists(
    st.tuples(st.lists(sales, min_size=1, max_size=6), st.sampled_from(["commit", "abort", "reopen", "write"])),
    max_size=10,
)


def pack(row: Any) -> bytes:
    return msgspec.msgpack.encode((row.start, row.end, *(getattr(row, name) for name in row.__struct_fields__[2:])))


def fold(view: View[Rung, Any], batches: list[tuple[list[Rung], str]], path: Path) -> dict[str, Any]:
    """The rows in the store after these batches; an aborted one is read again, as the engine does."""

    def unpack(packed: bytes) -> Any:
        return view.row(*msgspec.msgpack.decode(packed, type=tuple[datetime, datetime, int]))

    def opened() -> WindowedRows:
        assert view.window is not None
        return WindowedRows(Store(path, "log"), pack, unpack, 1000, view.window)

    found, windowing = opened(), Windowing(view)
    try:
        for position, (events, then) in enumerate(batches, 1):
            for attempt in ("abort", "commit") if then == "abort" else ("commit",):
                for event in events:
                    arrival = Arrival(view.key(event) or "", event, meta_of(1))
                    for name, row in windowing.change(arrival, found.table, found.gone).rows.items():
                        found.set(name.encode(), row)
                assert found.pack()
                if attempt == "abort":
                    found.drop()
                else:
                    found.apply(position)
            if then in ("reopen", "write"):
                found.write()
            if then == "reopen":
                found.store.close()
                found = opened()
        found.write()
        stored = {key.decode(): unpack(packed) for key, packed in found.store.rows()}
        assert found.count == len(stored)
        return stored
    finally:
        found.store.close()


@pytest.mark.parametrize("view", [TUMBLING, HOPPING, SESSIONS], ids=["tumbling", "hopping", "sessions"])
@settings(max_examples=25, deadline=None)
@given(batches=batches)
def test_any_batches_give_the_rows_of_the_whole(view: View[Rung, Any], batches: list[tuple[list[Rung], str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        wanted = rows(view, *(event for events, _ in batches for event in events))
        assert fold(view, batches, Path(directory) / "0") == wanted


@settings(max_examples=25, deadline=None)
@given(batches=batches)
def test_sessions_that_are_kept_for_a_while_go_in_time(batches: list[tuple[list[Rung], str]]) -> None:
    minutes = iter(sorted(event.at for events, _ in batches for event in events))
    in_order = [
        ([msgspec.structs.replace(event, at=next(minutes)) for event in events], then) for events, then in batches
    ]
    with tempfile.TemporaryDirectory() as directory:
        wanted = rows(SHORT, *(event for events, _ in in_order for event in events))
        assert fold(SHORT, in_order, Path(directory) / "0") == wanted
