"""Notifications: the customer hears how an order ended."""

from foldlog.core import Message, Meta, Reactor, Sender
from topologies.orders.order import order
from topologies.orders.order_messages import OrderCancelled, OrderConfirmed


async def notify(event: OrderConfirmed | OrderCancelled, meta: Meta, send: Sender) -> None:
    match event:
        case OrderConfirmed(id_, customer, total):
            subject, body = f"Order {id_} is confirmed", f"{total} was charged; the goods are on their way."
        case OrderCancelled(id_, customer, reason):
            subject, body = f"Order {id_} is cancelled", f"Reason: {reason}. You pay nothing."
    await send(Message(customer, subject, body, idempotency_key=meta.event_id))


notifications = Reactor("notifications", source=order, handle=notify)
