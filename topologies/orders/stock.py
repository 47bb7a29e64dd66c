"""Stock of one SKU: received == available + reserved + shipped, always."""

from foldlog.core import Decider, Record, Rejected, field, replace


class StockMessage(Record):
    sku: str


class ReceiveStock(StockMessage):
    quantity: int
    delivery: str


class ReserveStock(StockMessage):
    order: str
    quantity: int


class ReleaseStock(StockMessage):
    order: str


class ShipStock(StockMessage):
    order: str


class StockReceived(StockMessage):
    quantity: int
    delivery: str


class StockReserved(StockMessage):
    order: str
    quantity: int


class InsufficientInventory(StockMessage):
    order: str
    requested: int
    available: int


class StockReleased(StockMessage):
    order: str
    quantity: int


class StockShipped(StockMessage):
    order: str
    quantity: int


Command = ReceiveStock | ReserveStock | ReleaseStock | ShipStock
Event = StockReceived | StockReserved | InsufficientInventory | StockReleased | StockShipped


class Stock(Record):
    """`reservations` are the open ones only, order to quantity: a SKU sees many thousands of orders."""

    received: int = 0
    available: int = 0
    shipped: int = 0
    reservations: dict[str, int] = field(default_factory=dict)
    deliveries: tuple[str, ...] = ()


def decide(command: Command, stock: Stock) -> list[Event]:
    match command:
        case ReceiveStock(sku, quantity) | ReserveStock(sku, _, quantity) if quantity < 1:
            raise Rejected(f"{sku}: the quantity must be at least 1, not {quantity}")
        case ReceiveStock(sku, quantity, delivery):
            return [] if delivery in stock.deliveries else [StockReceived(sku, quantity, delivery)]
        case ReserveStock(sku, order, quantity):
            return reserve(stock, sku, order, quantity)
        case ReleaseStock(sku, order):
            return [StockReleased(sku, order, reserved(stock, sku, order))]
        case ShipStock(sku, order):
            return [StockShipped(sku, order, reserved(stock, sku, order))]


def reserve(stock: Stock, sku: str, order: str, quantity: int) -> list[Event]:
    """All that the order wants of this SKU, or nothing; a repeated request changes nothing."""
    match stock.reservations.get(order):
        case None if quantity <= stock.available:
            return [StockReserved(sku, order, quantity)]
        case None:
            return [InsufficientInventory(sku, order, quantity, stock.available)]
        case held if held == quantity:
            return []
        case held:
            raise Rejected(f"{sku}: order {order} holds {held} already; release them before it reserves {quantity}")


def reserved(stock: Stock, sku: str, order: str) -> int:
    """The quantity that an order holds; Rejected where it holds none."""
    if order not in stock.reservations:
        raise Rejected(f"{sku}: order {order} has no reservation; reserve first")
    return stock.reservations[order]


def evolve(stock: Stock, event: Event) -> Stock:
    available, reservations = stock.available, stock.reservations
    match event:
        case StockReceived(_, quantity, delivery):
            deliveries = (*stock.deliveries, delivery)
            received = stock.received + quantity
            return replace(stock, received=received, available=available + quantity, deliveries=deliveries)
        case StockReserved(_, order, quantity):
            return replace(stock, available=available - quantity, reservations={**reservations, order: quantity})
        case InsufficientInventory():
            return stock
        case StockReleased(_, order, quantity):
            return replace(stock, available=available + quantity, reservations=without(reservations, order))
        case StockShipped(_, order, quantity):
            return replace(stock, shipped=stock.shipped + quantity, reservations=without(reservations, order))


def without(reservations: dict[str, int], order: str) -> dict[str, int]:
    """A copy that lacks one order; copied whole and cut, which is faster than filtered where it is large."""
    rest = reservations.copy()
    del rest[order]
    return rest


stock = Decider("stock", Stock(), key=lambda c: c.sku, decide=decide, evolve=evolve)
