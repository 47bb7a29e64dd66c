"""The CDNOW purchase log: read from its file, and turned into commands of the orders context.

The file names no product, so the SKU is the month of the sale. Every month but the last gets the stock that its
purchases need: the orders of the last month, and they alone, meet empty shelves.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from foldlog.core.errors import ConfigError

HEADER = ["customer_id", "date", "number_of_cds", "dollar_value"]
DELIVERY = "cdnow"
COLUMNS = "a customer, a date (YYYYMMDD), a number of CDs and a dollar value"


class Purchase(NamedTuple):
    """One line of the log; `order` is its number, 1 for the first after the header, and `money` its total in USD."""

    order: str
    customer: str
    day: date
    units: int
    money: Decimal

    @property
    def month(self) -> str:
        """The month of the sale, `YYYY-MM`: the SKU."""
        return self.day.isoformat()[:7]


def read(path: Path) -> tuple[Purchase, ...]:
    """The purchases of the gzipped file, in its order; ConfigError names the file and line that is wrong."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a gzipped purchase log: {error}") from error
    if not lines or lines[0].split() != HEADER:
        raise ConfigError(f"{path}:1: expected the columns {' '.join(HEADER)}")
    if len(lines) == 1:
        raise ConfigError(f"{path}: has no purchases; restore the file from the repository")
    return tuple(purchase(line, number, path) for number, line in enumerate(lines[1:], 1))


def purchase(line: str, number: int, path: Path) -> Purchase:
    """The purchase of one line."""
    try:
        customer, day, units, money = line.split()
        return Purchase(str(number), customer, date.fromisoformat(day), int(units), Decimal(money))
    except (ValueError, InvalidOperation) as error:
        raise ConfigError(f"{path}:{number + 1}: expected {COLUMNS}, got `{line.strip()}`") from error


def last_month(purchases: Sequence[Purchase]) -> str:
    """The month that gets no stock."""
    return max(purchase.month for purchase in purchases)


def deliveries(purchases: Sequence[Purchase]) -> dict[str, int]:
    """The units each month receives, by month: what it sells, and nothing for the last."""
    units: Counter[str] = Counter()
    for bought in purchases:
        units[bought.month] += bought.units
    del units[last_month(purchases)]
    return dict(sorted(units.items()))


def stock_commands(purchases: Sequence[Purchase]) -> Iterator[dict[str, Any]]:
    """One ReceiveStock a month, as JSON lines for `orders.stock`; to be decided before the orders are sent."""
    for month, units in deliveries(purchases).items():
        data = {"sku": month, "quantity": units, "delivery": DELIVERY}
        yield {"type": "ReceiveStock", "data": data, "id": f"cdnow-{month}"}


def order_commands(purchases: Iterable[Purchase]) -> Iterator[dict[str, Any]]:
    """One CreateOrder a purchase, submitted at once, as JSON lines for `orders.order`; money is a string."""
    for bought in purchases:
        item = {"sku": bought.month, "quantity": bought.units, "total": str(bought.money)}
        data = {
            "order": bought.order,
            "customer": bought.customer,
            "placed": bought.day.isoformat(),
            "items": [item],
            "submit": True,
        }
        yield {"type": "CreateOrder", "data": data, "id": f"cdnow-{bought.order}"}


def commands(purchases: Sequence[Purchase]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every command with the aggregate it is for: the deliveries first, then the orders in the file's order."""
    yield from (("stock", line) for line in stock_commands(purchases))
    yield from (("order", line) for line in order_commands(purchases))
