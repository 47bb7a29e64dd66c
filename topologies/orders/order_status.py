"""View: where each order stands. Until it is submitted, `total` is the sum of its lines."""

from datetime import date

from foldlog.core import Money, Record, View, replace
from topologies.orders.order import Status, order
from topologies.orders.order_messages import (
    CancellationRequested,
    Event,
    ItemAdded,
    ItemRemoved,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PriceCalculated,
)
from topologies.orders.pricing import NOTHING


class OrderStatus(Record):
    """One order; `items` counts pieces, `reason` says why it was cancelled or is to be."""

    customer: str = ""
    placed: date | None = None
    status: Status = Status.DRAFT
    items: int = 0
    total: Money = NOTHING
    reason: str | None = None


def evolve(row: OrderStatus, event: Event) -> OrderStatus:
    match event:
        case OrderCreated(_, customer, placed, items):
            pieces, total = sum(item.quantity for item in items), sum((item.total for item in items), NOTHING)
            return OrderStatus(customer, placed, items=pieces, total=total)
        case ItemAdded(_, item):
            return replace(row, items=row.items + item.quantity, total=row.total + item.total)
        case ItemRemoved(_, item):
            return replace(row, items=row.items - item.quantity, total=row.total - item.total)
        case PriceCalculated(total=total):
            return replace(row, status=Status.SUBMITTED, total=total)
        case CancellationRequested(_, reason):
            return replace(row, status=Status.CANCELLING, reason=reason)
        case OrderConfirmed():
            return replace(row, status=Status.CONFIRMED, reason=None)
        case OrderCancelled(reason=reason):
            return replace(row, status=Status.CANCELLED, reason=reason)


order_status = View("order_status", order, OrderStatus(), key=lambda event: event.order, evolve=evolve)
