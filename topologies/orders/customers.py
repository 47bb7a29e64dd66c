"""View: what each customer ordered. An order counts once it is placed, that is submitted, however it ends.

A row is the same in whatever order the customer's orders arrive: sums, and the set of days kept sorted.
"""

from datetime import date

from foldlog.core import Money, Record, Serving, View
from topologies.orders.order import order
from topologies.orders.order_messages import PriceCalculated
from topologies.orders.pricing import NOTHING


class Customer(Record):
    """One customer; `days` are the distinct days with an order, `spent` is the price of all orders placed."""

    orders: int = 0
    order_days: int = 0
    first: date | None = None
    last: date | None = None
    units: int = 0
    spent: Money = NOTHING
    days: tuple[date, ...] = ()


def evolve(row: Customer, placed: PriceCalculated) -> Customer:
    days = row.days if placed.placed in row.days else tuple(sorted((*row.days, placed.placed)))
    return Customer(
        orders=row.orders + 1,
        order_days=len(days),
        first=days[0],
        last=days[-1],
        units=row.units + sum(item.quantity for item in placed.items),
        spent=row.spent + placed.total,
        days=days,
    )


customers = View(
    "customers",
    order,
    Customer(),
    key=lambda event: event.customer,
    evolve=evolve,
    serving=Serving(indexes=("last", "spent")),  # who buys no more, and who buys most
)
