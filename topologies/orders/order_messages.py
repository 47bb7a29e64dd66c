"""What is said to an order and what it says: commands first, then events."""

from datetime import date

from foldlog.core import Money, Record
from topologies.orders.pricing import OrderItem


class OrderMessage(Record):
    order: str


class CreateOrder(OrderMessage):
    customer: str
    placed: date
    items: tuple[OrderItem, ...] = ()
    submit: bool = False


class AddItem(OrderMessage):
    item: OrderItem


class RemoveItem(OrderMessage):
    sku: str


class SubmitOrder(OrderMessage): ...


class ConfirmOrder(OrderMessage): ...


class CancelOrder(OrderMessage):
    reason: str


class CompleteCancellation(OrderMessage):
    reason: str


class OrderCreated(OrderMessage):
    customer: str
    placed: date
    items: tuple[OrderItem, ...]


class ItemAdded(OrderMessage):
    item: OrderItem


class ItemRemoved(OrderMessage):
    item: OrderItem


class PriceCalculated(OrderMessage):
    customer: str
    placed: date
    items: tuple[OrderItem, ...]
    discount: Money
    total: Money


class CancellationRequested(OrderMessage):
    reason: str


class OrderConfirmed(OrderMessage):
    customer: str
    total: Money


class OrderCancelled(OrderMessage):
    customer: str
    reason: str


Command = CreateOrder | AddItem | RemoveItem | SubmitOrder | ConfirmOrder | CancelOrder | CompleteCancellation
Event = (
    OrderCreated | ItemAdded | ItemRemoved | PriceCalculated | CancellationRequested | OrderConfirmed | OrderCancelled
)
