"""View: the pieces of each SKU, by what became of them: received == available + reserved + shipped."""

from foldlog.core import Record, View, replace
from topologies.orders.stock import (
    Event,
    InsufficientInventory,
    StockReceived,
    StockReleased,
    StockReserved,
    StockShipped,
    stock,
)


class StockLevel(Record):
    """One SKU; `refused` is how many pieces were asked for in vain."""

    received: int = 0
    available: int = 0
    reserved: int = 0
    shipped: int = 0
    refused: int = 0


def evolve(row: StockLevel, event: Event) -> StockLevel:
    match event:
        case StockReceived(_, quantity):
            return replace(row, received=row.received + quantity, available=row.available + quantity)
        case StockReserved(_, _, quantity):
            return replace(row, available=row.available - quantity, reserved=row.reserved + quantity)
        case StockReleased(_, _, quantity):
            return replace(row, available=row.available + quantity, reserved=row.reserved - quantity)
        case StockShipped(_, _, quantity):
            return replace(row, reserved=row.reserved - quantity, shipped=row.shipped + quantity)
        case InsufficientInventory(requested=requested):
            return replace(row, refused=row.refused + requested)


stock_levels = View("stock_levels", stock, StockLevel(), key=lambda event: event.sku, evolve=evolve)
