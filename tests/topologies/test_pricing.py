"""What the lines of an order come to."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from topologies.orders.pricing import CENT, DISCOUNTS, Discount, OrderItem, Price, merge, price

money = st.decimals(Decimal(0), Decimal(10_000), places=2)
items = st.lists(st.builds(OrderItem, st.sampled_from(["a", "b", "c"]), st.integers(1, 99), money)).map(tuple)


def lines(*totals: str) -> tuple[OrderItem, ...]:
    return tuple(OrderItem(f"sku-{n}", 1, Decimal(total)) for n, total in enumerate(totals))


def test_a_small_order_costs_the_sum_of_its_lines() -> None:
    assert price(lines("11.77", "12.00")) == Price(Decimal("0.00"), Decimal("23.77"))


def test_a_free_order_costs_nothing() -> None:
    assert price(lines("0.00")) == Price(Decimal("0.00"), Decimal("0.00"))


def test_a_discount_starts_at_its_threshold() -> None:
    assert price(lines("2499.99")).discount == 0
    assert price(lines("2500.00")) == Price(Decimal("50.00"), Decimal("2450.00"))


def test_the_best_discount_counts_and_only_that() -> None:
    assert price(lines("4000.00", "1000.00")) == Price(Decimal("200.00"), Decimal("4800.00"))


def test_half_a_cent_is_rounded_to_even() -> None:
    half = (Discount(Decimal(0), 50),)
    assert price(lines("0.01"), half).discount == Decimal("0.00")
    assert price(lines("0.03"), half).discount == Decimal("0.02")


@given(items)
def test_discount_and_total_are_the_sum_of_the_lines_in_whole_cents(lines: tuple[OrderItem, ...]) -> None:
    found = price(lines)
    assert found.discount + found.total == sum(item.total for item in lines)
    assert found.total == found.total.quantize(CENT)
    assert 0 <= found.discount <= found.total * max(rule.percent for rule in DISCOUNTS)


@given(items)
def test_merging_keeps_one_line_a_sku_and_loses_nothing(lines: tuple[OrderItem, ...]) -> None:
    merged: tuple[OrderItem, ...] = ()
    for item in lines:
        merged = merge(merged, item)
    assert [item.sku for item in merged] == list(dict.fromkeys(item.sku for item in lines))
    assert sum(item.quantity for item in merged) == sum(item.quantity for item in lines)
    assert price(merged) == price(lines)
