"""The checkers catch what they are for: each meets a good log, and one that was doctored."""

from datetime import date
from decimal import Decimal

from foldlog.core import replace
from foldlog.core.contract import Process
from tests.e2e.checkers import (
    Event,
    differing_rows,
    lost_orders,
    open_sagas,
    repeated_ids,
    unconserved_stock,
    wrong_versions,
)
from topologies.orders.order import Status
from topologies.orders.order_status import OrderStatus
from topologies.orders.stock_levels import StockLevel


def _event(aggregate: str, version: int) -> Event:
    return Event("order", aggregate, version, f"order:{aggregate}@{version}")


LOG = [_event("1", 1), _event("2", 1), _event("1", 2), Event("stock", "1", 1, "stock:1@1"), _event("1", 3)]
ROW = OrderStatus("ada", date(1997, 1, 1), Status.CONFIRMED, 2, Decimal("9.99"))
ORDERS = {"1": ROW, "2": replace(ROW, status=Status.CANCELLED)}
LEVEL = StockLevel(received=10, available=3, shipped=7)
SAGAS = {"1": Process(6, True), "2": Process(4, True)}


def test_a_good_log_has_no_fault() -> None:
    assert not list(wrong_versions(LOG))
    assert not list(repeated_ids(LOG))
    assert not list(lost_orders("12", ORDERS))
    assert not list(unconserved_stock({"a": LEVEL}))
    assert not list(open_sagas("12", SAGAS))
    assert not list(differing_rows({"1": b"x"}, {"1": b"x"}))


def test_a_gap_is_caught() -> None:
    assert list(wrong_versions([LOG[0], LOG[1], *LOG[3:]])) == ["order 1: version 3 follows 1"]


def test_a_log_that_begins_late_is_caught() -> None:
    assert list(wrong_versions([_event("7", 2)])) == ["order 7: version 2 follows 0"]


def test_a_repeat_is_caught_by_version_and_by_id() -> None:
    assert list(wrong_versions([*LOG, LOG[2]])) == ["order 1: version 2 follows 3"]
    assert list(repeated_ids([*LOG, LOG[2]])) == ["order order:1@2: 2 times"]


def test_two_owners_of_one_version_are_caught() -> None:
    twice = LOG[2]._replace(id="order:1@2 of somebody else")
    assert list(wrong_versions([*LOG[:3], twice])) == ["order 1: version 2 follows 2"]


def test_a_lost_order_is_caught() -> None:
    assert list(lost_orders("123", ORDERS)) == ["order 3 is lost"]


def test_an_order_from_nowhere_is_caught() -> None:
    assert list(lost_orders("1", ORDERS)) == ["order 2 was never sent"]


def test_an_undecided_order_is_caught() -> None:
    assert list(lost_orders("1", {"1": replace(ROW, status=Status.SUBMITTED)})) == ["order 1 is submitted"]


def test_stock_that_vanished_is_caught() -> None:
    assert list(unconserved_stock({"a": replace(LEVEL, available=2)})) == ["a: received 10, but 2 + 0 + 7 are known"]


def test_a_reservation_left_behind_is_caught() -> None:
    assert list(unconserved_stock({"a": replace(LEVEL, available=2, reserved=1)})) == ["a: 1 are still reserved"]


def test_an_open_saga_is_caught() -> None:
    open_ = {**SAGAS, "2": Process(3, False)}
    assert list(open_sagas("12", open_)) == ["the saga of 2 is open after 3 steps"]


def test_a_saga_that_never_began_is_caught() -> None:
    assert list(open_sagas("123", SAGAS)) == ["the saga of 3 never began"]


def test_other_bytes_a_missing_and_a_new_row_are_caught() -> None:
    rows, wanted = {"1": b"x", "3": b"z"}, {"1": b"y", "2": b"x"}
    assert list(differing_rows(rows, wanted)) == [
        "1: 78 instead of 79",
        "2: nothing instead of 78",
        "3: 7a instead of nothing",
    ]
