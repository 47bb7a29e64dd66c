"""Pricing: a domain service. What the lines of an order come to, as a pure function."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from foldlog.core import Money, Record

CENT = Decimal("0.01")
NOTHING = Decimal("0.00")


class OrderItem(Record):
    """A line of an order; `total` is the price of the whole line, so that money is exact."""

    sku: str
    quantity: int
    total: Money


class Discount(NamedTuple):
    """So many percent off an order whose lines come to at least this much."""

    at_least: Decimal
    percent: int


class Price(NamedTuple):
    """What the customer gets off, and what is left to pay."""

    discount: Decimal
    total: Decimal


DISCOUNTS = (Discount(Decimal(2500), 2), Discount(Decimal(5000), 4))


def price(items: tuple[OrderItem, ...], discounts: tuple[Discount, ...] = DISCOUNTS) -> Price:
    """The price of these lines: their sum less the best discount it earns, rounded half to even to the cent."""
    subtotal = sum((item.total for item in items), NOTHING)
    percent = max((rule.percent for rule in discounts if subtotal >= rule.at_least), default=0)
    discount = (subtotal * percent / 100).quantize(CENT, ROUND_HALF_EVEN)
    return Price(discount, subtotal - discount)


def merge(items: tuple[OrderItem, ...], item: OrderItem) -> tuple[OrderItem, ...]:
    """The lines with one more; a SKU that is already there grows, so that each SKU has one line."""
    if all(line.sku != item.sku for line in items):
        return (*items, item)
    return tuple(
        OrderItem(line.sku, line.quantity + item.quantity, line.total + item.total) if line.sku == item.sku else line
        for line in items
    )
