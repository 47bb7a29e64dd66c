"""What the run must come to, recomputed from the purchases in plain Python: no decider, no view, no saga."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from foldlog.cli.demo.cdnow import Purchase, deliveries, last_month


@dataclass(frozen=True)
class OrderRow:
    """How one order ends."""

    customer: str
    placed: date
    status: str
    items: int
    total: Decimal
    reason: str | None


@dataclass(frozen=True)
class CustomerRow:
    """What one customer ordered, whether or not it was delivered."""

    orders: int
    order_days: int
    first: date
    last: date
    units: int
    spent: Decimal


@dataclass(frozen=True)
class StockRow:
    """What became of the units of one month."""

    received: int
    available: int
    reserved: int
    shipped: int
    refused: int


@dataclass(frozen=True)
class Outcome:
    """How many orders ended one way, with their units and money (USD)."""

    orders: int
    units: int
    money: Decimal


@dataclass(frozen=True)
class Expected:
    """Every row and total of the run; `cancelled` is by reason, `events` by aggregate, a saga is one an order."""

    orders: dict[str, OrderRow]
    customers: dict[str, CustomerRow]
    stock: dict[str, StockRow]
    confirmed: Outcome
    cancelled: dict[str, Outcome]
    events: dict[str, int]
    sagas: int

    def top_customers(self, count: int = 10) -> list[tuple[str, CustomerRow]]:
        """The customers who spent most; of equals the lower number first."""
        return sorted(self.customers.items(), key=lambda item: (-item[1].spent, item[0]))[:count]


def expected(purchases: Sequence[Purchase], log: Sequence[Purchase] = ()) -> Expected:
    """The outcome of these purchases: those of the log's last month are cancelled for want of stock, all others
    confirmed. `log` is the whole log where they are a part of it: it says what was delivered, and which month is last.
    """
    whole = log or purchases
    last = last_month(whole)
    confirmed = [bought for bought in purchases if bought.month != last]
    cancelled = [bought for bought in purchases if bought.month == last]
    reason = f"insufficient inventory of {last}"
    orders = {bought.order: order_row(bought, reason if bought.month == last else None) for bought in purchases}
    return Expected(
        orders=orders,
        customers=customer_rows(purchases),
        stock=stock_rows(purchases, whole),
        confirmed=outcome(confirmed),
        cancelled={reason: outcome(cancelled)} if cancelled else {},
        events=event_counts(len(confirmed), len(cancelled), len(deliveries(whole))),
        sagas=len(purchases),
    )


def outcome(purchases: Sequence[Purchase]) -> Outcome:
    """The totals of some purchases."""
    money = sum((bought.money for bought in purchases), Decimal(0))
    return Outcome(len(purchases), sum(bought.units for bought in purchases), money)


def order_row(bought: Purchase, reason: str | None) -> OrderRow:
    """One order, cancelled where there is a reason."""
    status = "cancelled" if reason else "confirmed"
    return OrderRow(bought.customer, bought.day, status, bought.units, bought.money, reason)


def customer_rows(purchases: Sequence[Purchase]) -> dict[str, CustomerRow]:
    """The purchases of each customer, added up."""
    by_customer: dict[str, list[Purchase]] = {}
    for bought in purchases:
        by_customer.setdefault(bought.customer, []).append(bought)
    return {customer: customer_row(theirs) for customer, theirs in by_customer.items()}


def customer_row(theirs: Sequence[Purchase]) -> CustomerRow:
    """One customer's purchases."""
    days, total = {bought.day for bought in theirs}, outcome(theirs)
    return CustomerRow(total.orders, len(days), min(days), max(days), total.units, total.money)


def stock_rows(purchases: Sequence[Purchase], whole: Sequence[Purchase]) -> dict[str, StockRow]:
    """A month with stock keeps what is not sold, nothing where all is; the last month refuses every unit."""
    wanted: Counter[str] = Counter()
    for bought in purchases:
        wanted[bought.month] += bought.units
    received = deliveries(whole)
    rows = {month: StockRow(units, units - wanted[month], 0, wanted[month], 0) for month, units in received.items()}
    refused = {month: StockRow(0, 0, 0, 0, units) for month, units in wanted.items() if month not in received}
    return rows | refused


def event_counts(confirmed: int, cancelled: int, received: int) -> dict[str, int]:
    """The events in each log.

    order: created, priced, and confirmed or cancelled; payment: authorised, and captured or voided;
    stock: a delivery each, reserved and shipped, or refused.
    """
    both = confirmed + cancelled
    return {"order": 3 * both, "payment": 2 * both, "stock": received + 2 * confirmed + cancelled}
