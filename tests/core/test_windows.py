"""Windows: an event counts where its time says, in whatever order the events come."""

from dataclasses import replace as declared
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core import Decider, Hopping, Record, Sessions, Topology, Tumbling, View, Windowed, replace
from foldlog.core.errors import TopologyError
from foldlog.core.window import Window, key_of, name_of
from foldlog.testing import rows

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Sell(Record):
    sku: str


class Sold(Record):
    sku: str
    units: int
    at: datetime


class Nothing(Record):
    sold: int = 0


class Sales(Windowed):
    units: int = 0
    times: int = 0


def decide(command: Sell, nothing: Nothing) -> list[Sold]:
    return [Sold(command.sku, 1, NOON)]


def evolve(nothing: Nothing, event: Sold) -> Nothing:
    return nothing


def add(row: Sales, sold: Sold) -> Sales:
    return replace(row, units=row.units + sold.units, times=row.times + 1)


def merge(one: Sales, other: Sales) -> Sales:
    return replace(one, units=one.units + other.units, times=one.times + other.times)


shop = Decider("shop", Nothing(), key=lambda command: command.sku, decide=decide, evolve=evolve)


def view(window: Window) -> View[Sold, Sales]:
    """Sales by SKU and window."""
    return View("sales", shop, Sales(), key=lambda sold: sold.sku, evolve=add, window=window)


def sold_at(sold: Sold) -> datetime:
    return sold.at


def at(minutes: float, units: int = 1, sku: str = "lp") -> Sold:
    """A sale so many minutes past noon."""
    return Sold(sku, units, NOON + minutes * MINUTE)


def span(start: float, end: float, units: int, times: int) -> Sales:
    """A row, with its window in minutes past noon."""
    return Sales(NOON + start * MINUTE, NOON + end * MINUTE, units, times)


def test_a_tumbling_window_counts_an_event_once() -> None:
    hourly = view(Tumbling(HOUR, at=sold_at))
    assert rows(hourly, at(0), at(59.9, 2), at(60), at(-1), at(5, sku="cd")) == {
        "lp@2026-11-27T12:00:00Z": span(0, 60, 3, 2),
        "lp@2026-11-27T13:00:00Z": span(60, 120, 1, 1),
        "lp@2026-11-27T11:00:00Z": span(-60, 0, 1, 1),
        "cd@2026-11-27T12:00:00Z": span(0, 60, 1, 1),
    }


def test_a_hopping_window_counts_an_event_as_often_as_windows_overlap() -> None:
    hopping = view(Hopping(HOUR, 30 * MINUTE, at=sold_at))
    assert list(rows(hopping, at(10)).values()) == [span(0, 60, 1, 1), span(-30, 30, 1, 1)]


def test_a_session_lasts_while_something_happens() -> None:
    sessions = view(Sessions(10 * MINUTE, merge, at=sold_at))
    assert rows(sessions, at(0), at(9), at(19)) == {
        "lp@2026-11-27T12:00:00Z": span(0, 19, 2, 2),
        "lp@2026-11-27T12:19:00Z": span(19, 29, 1, 1),
    }


def test_an_event_between_two_sessions_makes_one_of_them() -> None:
    sessions = view(Sessions(10 * MINUTE, merge, at=sold_at))
    assert rows(sessions, at(12, 4), at(0), at(6, 2)) == {"lp@2026-11-27T12:00:00Z": span(0, 22, 7, 3)}


def test_without_a_field_an_event_takes_place_when_it_is_recorded() -> None:
    assert list(rows(view(Tumbling(DAY)), (NOON, at(0)), (NOON + DAY, at(0)))) == [
        "lp@2026-11-27T00:00:00Z",
        "lp@2026-11-28T00:00:00Z",
    ]


def test_a_date_is_its_midnight_in_utc() -> None:
    daily = view(Tumbling(DAY, at=lambda _: date(1997, 1, 1)))
    assert list(rows(daily, at(0))) == ["lp@1997-01-01T00:00:00Z"]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-11-27T12:00:00 has no time zone"):
        rows(view(Tumbling(DAY, at=lambda sold: sold.at.replace(tzinfo=None))), at(0))


def test_what_is_recorded_too_late_does_not_count() -> None:
    hourly = view(Tumbling(HOUR, at=sold_at, late=5 * MINUTE))
    in_time, too_late = NOON + 65 * MINUTE, NOON + 66 * MINUTE
    assert rows(hourly, (in_time, at(59)), (too_late, at(59))) == {"lp@2026-11-27T12:00:00Z": span(0, 60, 1, 1)}


def test_a_row_goes_when_a_window_ends_so_much_later() -> None:
    hourly = view(Tumbling(HOUR, at=sold_at, keep=3 * HOUR))
    events = [at(60 * hour) for hour in range(5)]
    assert [row.times for row in rows(hourly, *events).values()] == [1, 1, 1]
    assert list(rows(hourly, *events)) == list(rows(hourly, *reversed(events)))[::-1]


def test_a_row_of_a_window_cannot_be_deleted_otherwise() -> None:
    def forget(row: Sales, sold: Sold) -> Any:
        return None

    with pytest.raises(TypeError, match="deleted by `keep` alone"):
        rows(declared(view(Tumbling(HOUR)), evolve=forget), at(0))


def test_a_key_is_found_in_the_name_of_its_row() -> None:
    assert key_of(name_of("ada@example.org", NOON)) == "ada@example.org"
    assert key_of(name_of("lp", NOON + timedelta(microseconds=1))) == "lp"
    assert key_of("ada@example.org") == "ada@example.org"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Tumbling(0 * HOUR), "must last longer than 0:00:00"),
        (lambda: Sessions(-HOUR, merge), "must last longer than -1 day"),
        (lambda: Hopping(HOUR, 2 * HOUR), "windows of 1:00:00 cannot follow each other every 2:00:00"),
        (lambda: Hopping(HOUR, 0 * HOUR), "cannot follow each other every 0:00:00"),
        (lambda: Tumbling(HOUR, late=-HOUR), "late is -1 day, 23:00:00; it must be 0 or more"),
        (lambda: Tumbling(HOUR, late=HOUR, keep=HOUR), "keep is 1:00:00, but an event may come 2:00:00 after"),
    ],
)
def test_windows_that_make_no_sense_are_refused(make: Any, reason: str) -> None:
    with pytest.raises(TopologyError, match=reason):
        make()


def test_a_windowed_view_needs_a_row_with_a_window() -> None:
    class Bare(Record):
        units: int = 0

    def count(row: Bare, sold: Sold) -> Bare:
        return row

    bare = View("bare", shop, Bare(), key=lambda sold: sold.sku, evolve=count, window=Tumbling(HOUR))
    with pytest.raises(TopologyError, match="bare: Bare must inherit from Windowed"):
        Topology("shop", (shop,), (bare,))


def test_a_windowed_view_that_would_delete_rows_is_refused() -> None:
    def maybe(row: Sales, sold: Sold) -> Sales | None:
        return None

    with pytest.raises(TopologyError, match="evolve may return None, but rows of windows are deleted by `keep` alone"):
        Topology("shop", (shop,), (declared(view(Tumbling(HOUR)), evolve=maybe),))


# Times within two hours, recorded up to 90 minutes after they took place.
sales = st.builds(
    lambda minutes, delay, units, sku: (NOON + (minutes + delay) * MINUTE, at(minutes, units, sku)),
    st.integers(0, 120),
    st.integers(0, 90),
    st.integers(1, 9),
    st.sampled_from(["lp", "cd"]),
)
logs = st.lists(sales, max_size=25)
kinds = st.sampled_from(
    [
        Tumbling(7 * MINUTE, at=sold_at),
        Tumbling(15 * MINUTE, at=sold_at, late=20 * MINUTE, keep=40 * MINUTE),
        Hopping(30 * MINUTE, 7 * MINUTE, at=sold_at, late=30 * MINUTE),
        Hopping(30 * MINUTE, 10 * MINUTE, at=sold_at, keep=30 * MINUTE),
        Sessions(8 * MINUTE, merge, at=sold_at),
        Sessions(8 * MINUTE, merge, at=sold_at, late=10 * MINUTE),
    ]
)


@settings(deadline=None)
@given(st.data(), logs, kinds)
def test_rows_do_not_depend_on_the_order_of_arrival(data: st.DataObject, log: list[Any], window: Window) -> None:
    assert rows(view(window), *data.draw(st.permutations(log))) == rows(view(window), *log)


@settings(deadline=None)
@given(logs, st.integers(1, 60))
def test_tumbling_windows_sum_up_to_the_total(log: list[Any], minutes: int) -> None:
    found = rows(view(Tumbling(minutes * MINUTE, at=sold_at)), *log)
    assert sum(row.units for row in found.values()) == sum(sold.units for _, sold in log)


@settings(deadline=None)
@given(logs, st.integers(1, 30), st.integers(1, 5))
def test_hopping_windows_sum_up_to_the_total_as_often_as_they_overlap(log: list[Any], every: int, times: int) -> None:
    found = rows(view(Hopping(times * every * MINUTE, every * MINUTE, at=sold_at)), *log)
    assert sum(row.units for row in found.values()) == times * sum(sold.units for _, sold in log)


@settings(deadline=None)
@given(logs, st.integers(1, 20))
def test_sessions_are_what_no_gap_divides(log: list[Any], minutes: int) -> None:
    gap = minutes * MINUTE
    found = rows(view(Sessions(gap, merge, at=sold_at)), *log)
    for sku in ("lp", "cd"):
        groups: list[list[datetime]] = []
        for moment in sorted(sold.at for _, sold in log if sold.sku == sku):
            if groups and moment - groups[-1][-1] < gap:
                groups[-1].append(moment)
            else:
                groups.append([moment])
        expected = {(group[0], group[-1] + gap, len(group)) for group in groups}
        assert {(row.start, row.end, row.times) for name, row in found.items() if key_of(name) == sku} == expected


def test_a_view_without_windows_has_a_row_a_key() -> None:
    plain = View("plain", shop, Sales(), key=lambda sold: sold.sku, evolve=add)
    assert rows(plain, at(0), at(1, 2)) == {"lp": Sales(units=3, times=2)}


def test_events_of_other_types_pass_by() -> None:
    assert rows(view(Tumbling(HOUR)), Sell("lp"), (NOON, at(0))) == {"lp@2026-11-27T12:00:00Z": span(0, 60, 1, 1)}
