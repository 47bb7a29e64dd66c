"""The plan of a fulfilment, as data: the commands of its way forward and, from wherever it is, of its way back."""

from foldlog.core import Money, Record
from topologies.orders.order_messages import CompleteCancellation, ConfirmOrder
from topologies.orders.payment import AuthorisePayment, CapturePayment, RefundPayment, VoidPayment
from topologies.orders.pricing import NOTHING, OrderItem
from topologies.orders.stock import ReleaseStock, ReserveStock, ShipStock

Command = (
    AuthorisePayment
    | ReserveStock
    | CapturePayment
    | ShipStock
    | ConfirmOrder
    | RefundPayment
    | ReleaseStock
    | VoidPayment
    | CompleteCancellation
)


class Fulfilment(Record):
    """`done` counts the answered commands of the way forward, `undone` those of the way back."""

    order: str = ""
    items: tuple[OrderItem, ...] = ()
    total: Money = NOTHING
    done: int = 0
    undone: int = 0
    reason: str | None = None
    undoing: bool = False
    ended: bool = False

    @property
    def captured(self) -> bool:
        """Whether the money was taken: authorised, every item reserved, captured."""
        return self.done >= len(self.items) + 2


def forward(state: Fulfilment) -> list[Command]:
    """Every command from the submitted order to the confirmed one."""
    return [
        AuthorisePayment(state.order, state.total),
        *(ReserveStock(item.sku, state.order, item.quantity) for item in state.items),
        CapturePayment(state.order),
        *(ShipStock(item.sku, state.order) for item in state.items),
        ConfirmOrder(state.order),
    ]


def back(state: Fulfilment) -> list[Command]:
    """What undoes the commands done, last first; a refund settles the authorisation as well."""
    held = state.items[: max(state.done - 1, 0)]
    releases = [ReleaseStock(item.sku, state.order) for item in reversed(held)]
    cancelled = CompleteCancellation(state.order, state.reason or "")
    if state.captured:
        return [RefundPayment(state.order), *releases, cancelled]
    return [*releases, *([VoidPayment(state.order)] if state.done else []), cancelled]


def awaited(state: Fulfilment) -> Command | None:
    """The command whose answer the fulfilment waits for; None before it starts and after it ends."""
    if state.ended or not state.order:
        return None
    return back(state)[state.undone] if state.undoing else forward(state)[state.done]
