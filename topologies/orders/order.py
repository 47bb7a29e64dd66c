"""Order: built line by line as a draft, priced when it is submitted, then confirmed or cancelled.

Submitting fixes the price and starts the fulfilment. While that is in flight a cancellation is a request:
the fulfilment undoes what it did and completes it, unless the goods have left.
"""

from datetime import date
from enum import StrEnum

from foldlog.core import Decider, Money, Record, Rejected, replace
from topologies.orders.order_messages import (
    AddItem,
    CancellationRequested,
    CancelOrder,
    Command,
    CompleteCancellation,
    ConfirmOrder,
    CreateOrder,
    Event,
    ItemAdded,
    ItemRemoved,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PriceCalculated,
    RemoveItem,
    SubmitOrder,
)
from topologies.orders.pricing import NOTHING, OrderItem, merge, price


class Status(StrEnum):
    """UNKNOWN is how an older reader sees what was added after it; nothing writes it."""

    UNKNOWN = "unknown"
    DRAFT = "draft"
    SUBMITTED = "submitted"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Order(Record):
    status: Status | None = None
    customer: str = ""
    placed: date = date.min
    items: tuple[OrderItem, ...] = ()
    total: Money = NOTHING


IN_FLIGHT = (Status.SUBMITTED, Status.CANCELLING)
# In which statuses a command makes sense, and in which it has been carried out already.
POSSIBLE: dict[type[Command], tuple[Status | None, ...]] = {
    CreateOrder: (None,),
    AddItem: (Status.DRAFT,),
    RemoveItem: (Status.DRAFT,),
    SubmitOrder: (Status.DRAFT,),
    ConfirmOrder: IN_FLIGHT,
    CancelOrder: (Status.DRAFT, Status.SUBMITTED),
    CompleteCancellation: IN_FLIGHT,
}
DONE: dict[type[Command], tuple[Status, ...]] = {
    SubmitOrder: IN_FLIGHT,
    ConfirmOrder: (Status.CONFIRMED,),
    CancelOrder: (Status.CANCELLING, Status.CANCELLED),
    CompleteCancellation: (Status.CANCELLED,),
}


def decide(command: Command, order: Order) -> list[Event]:
    if order.status in DONE.get(type(command), ()):
        return []
    if order.status not in POSSIBLE[type(command)]:
        place = f"is {order.status}" if order.status else "does not exist"
        raise Rejected(f"{type(command).__name__}: order {command.order} {place}")
    match command:
        case CreateOrder():
            return create(command)
        case AddItem(id_, item):
            return [ItemAdded(id_, checked(item))]
        case RemoveItem(id_, sku):
            return [ItemRemoved(id_, line(order, id_, sku))]
        case SubmitOrder(id_):
            return [priced(id_, order)]
        case ConfirmOrder(id_):
            return [OrderConfirmed(id_, order.customer, order.total)]
        case CancelOrder(id_, reason) if order.status is Status.SUBMITTED:
            return [CancellationRequested(id_, reason)]
        case CancelOrder(id_, reason) | CompleteCancellation(id_, reason):
            return [OrderCancelled(id_, order.customer, reason)]


def create(command: CreateOrder) -> list[Event]:
    """One line a SKU from the start; submitted at once where the command says so."""
    if not command.customer:
        raise Rejected(f"CreateOrder: order {command.order} needs a customer")
    items: tuple[OrderItem, ...] = ()
    for item in command.items:
        items = merge(items, checked(item))
    created = OrderCreated(command.order, command.customer, command.placed, items)
    return [created, priced(command.order, evolve(Order(), created))] if command.submit else [created]


def checked(item: OrderItem) -> OrderItem:
    """The item; Rejected where it cannot be sold."""
    if not item.sku or item.quantity < 1 or item.total < 0:
        raise Rejected(f"an item needs a SKU, a quantity of 1 or more and a total of 0 or more, not {item}")
    return item


def line(order: Order, id_: str, sku: str) -> OrderItem:
    """The order's line of this SKU; Rejected where it has none."""
    for item in order.items:
        if item.sku == sku:
            return item
    raise Rejected(f"RemoveItem: order {id_} has no {sku}")


def priced(id_: str, order: Order) -> PriceCalculated:
    """What submitting the order comes to; Rejected where there is nothing to buy."""
    if not order.items:
        raise Rejected(f"SubmitOrder: order {id_} has no items; add one first")
    return PriceCalculated(id_, order.customer, order.placed, order.items, *price(order.items))


def evolve(order: Order, event: Event) -> Order:
    match event:
        case OrderCreated(_, customer, placed, items):
            return Order(Status.DRAFT, customer, placed, items)
        case ItemAdded(_, item):
            return replace(order, items=merge(order.items, item))
        case ItemRemoved(_, item):
            return replace(order, items=tuple(kept for kept in order.items if kept.sku != item.sku))
        case PriceCalculated(total=total):
            return replace(order, status=Status.SUBMITTED, total=total)
        case CancellationRequested():
            return replace(order, status=Status.CANCELLING)
        case OrderConfirmed():
            return replace(order, status=Status.CONFIRMED)
        case OrderCancelled():
            return replace(order, status=Status.CANCELLED)


order = Decider("order", Order(), key=lambda c: c.order, decide=decide, evolve=evolve)
