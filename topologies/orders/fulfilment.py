"""Fulfilment: pay, reserve, capture, ship, confirm; where a step fails, undo what was done, last first.

The saga awaits the answer to one command at a time. The first shipment is the point of no return: a
cancellation that comes later is too late, and the order is confirmed.
"""

from foldlog.core import Saga, replace
from topologies.orders.fulfilment_plan import Command, Fulfilment, awaited
from topologies.orders.order import order
from topologies.orders.order_messages import (
    CancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    PriceCalculated,
)
from topologies.orders.payment import (
    AuthorisePayment,
    CapturePayment,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
    RefundPayment,
    VoidPayment,
    payment,
)
from topologies.orders.stock import (
    InsufficientInventory,
    ReleaseStock,
    ReserveStock,
    ShipStock,
    StockReleased,
    StockReserved,
    StockShipped,
    stock,
)

Answer = (
    PaymentAuthorised
    | PaymentDeclined
    | StockReserved
    | InsufficientInventory
    | PaymentCaptured
    | StockShipped
    | PaymentRefunded
    | StockReleased
    | PaymentVoided
)
Step = PriceCalculated | Answer | CancellationRequested | OrderConfirmed | OrderCancelled

ANSWERS: dict[type, tuple[type[Answer], ...]] = {
    AuthorisePayment: (PaymentAuthorised, PaymentDeclined),
    ReserveStock: (StockReserved, InsufficientInventory),
    CapturePayment: (PaymentCaptured,),
    ShipStock: (StockShipped,),
    RefundPayment: (PaymentRefunded,),
    ReleaseStock: (StockReleased,),
    VoidPayment: (PaymentVoided,),
}


def react(state: Fulfilment, step: Step) -> list[Command]:
    command = awaited(evolve(state, step))
    return [] if command is None or command == awaited(state) else [command]


def evolve(state: Fulfilment, step: Step) -> Fulfilment:
    match step:
        case PriceCalculated(id_, items=items, total=total):
            return Fulfilment(id_, items, total)
        case CancellationRequested(_, reason):
            return state if state.captured or state.undoing else replace(state, reason=reason)
        case OrderConfirmed() | OrderCancelled():
            return replace(state, ended=True)
        case _:
            return answered(state, step) if expected(state, step) else state


def expected(state: Fulfilment, answer: Answer) -> bool:
    """Whether this answers the command awaited; a reservation or payment made by hand moves nothing."""
    command = awaited(state)
    same_sku = getattr(answer, "sku", None) == getattr(command, "sku", None)
    return same_sku and type(answer) in ANSWERS.get(type(command), ())


def answered(state: Fulfilment, answer: Answer) -> Fulfilment:
    """One command further, or turned back; a cancellation requested meanwhile turns back too and is the reason."""
    match answer:
        case PaymentAuthorised() | StockReserved() | PaymentCaptured() | StockShipped():
            return replace(state, done=state.done + 1, undoing=state.reason is not None)
        case PaymentDeclined(reason=reason):
            return replace(state, undoing=True, reason=state.reason or f"payment declined: {reason}")
        case InsufficientInventory(sku):
            return replace(state, undoing=True, reason=state.reason or f"insufficient inventory of {sku}")
        case PaymentRefunded() | StockReleased() | PaymentVoided():
            return replace(state, undone=state.undone + 1)


fulfilment = Saga(
    "fulfilment",
    source=(order, stock, payment),
    initial=Fulfilment(),
    correlate=lambda step: step.order,
    react=react,
    evolve=evolve,
    ended=lambda state: state.ended,
)
