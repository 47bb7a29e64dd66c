"""The three views and the notifications."""

import asyncio
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from foldlog.core import Message
from foldlog.core.specification import meta_of
from foldlog.testing import fold
from topologies.orders.customers import Customer, customers
from topologies.orders.notifications import notify
from topologies.orders.order import Status
from topologies.orders.order_messages import (
    CancellationRequested,
    ItemAdded,
    ItemRemoved,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PriceCalculated,
)
from topologies.orders.order_status import OrderStatus, order_status
from topologies.orders.pricing import OrderItem
from topologies.orders.stock import (
    InsufficientInventory,
    StockReceived,
    StockReleased,
    StockReserved,
    StockShipped,
)
from topologies.orders.stock_levels import StockLevel, stock_levels

MONDAY, FRIDAY = date(1997, 1, 6), date(1997, 1, 10)
lp = OrderItem("lp", 2, Decimal("23.54"))
cd = OrderItem("cd", 1, Decimal("12.00"))
created = OrderCreated("1", "ada", MONDAY, (lp,))


def placed(order: str, day: date, *items: OrderItem) -> PriceCalculated:
    return PriceCalculated(order, "ada", day, items, Decimal("0.00"), sum((i.total for i in items), Decimal(0)))


submitted = placed("1", MONDAY, lp)
purchases = st.lists(
    st.builds(
        lambda day, units, money: placed("1", day, OrderItem("lp", units, money)),
        st.dates(date(1997, 1, 1), date(1997, 1, 9)),
        st.integers(1, 99),
        st.decimals(0, 1000, places=2),
    ),
    min_size=1,
)


def test_a_draft_is_worth_the_sum_of_its_lines() -> None:
    assert fold(order_status, created, ItemAdded("1", cd)) == OrderStatus(
        "ada", MONDAY, Status.DRAFT, items=3, total=Decimal("35.54")
    )
    assert fold(order_status, created, ItemAdded("1", cd), ItemRemoved("1", lp)) == OrderStatus(
        "ada", MONDAY, Status.DRAFT, items=1, total=Decimal("12.00")
    )


def test_a_submitted_order_is_worth_its_price() -> None:
    dear = PriceCalculated("1", "ada", MONDAY, (lp,), Decimal("0.54"), Decimal("23.00"))
    assert fold(order_status, created, dear) == OrderStatus("ada", MONDAY, Status.SUBMITTED, 2, Decimal("23.00"))


def test_a_cancelled_order_says_why() -> None:
    row = fold(order_status, created, submitted, OrderCancelled("1", "ada", "no stock"))
    assert row == OrderStatus("ada", MONDAY, Status.CANCELLED, 2, Decimal("23.54"), "no stock")


def test_a_cancellation_that_came_too_late_leaves_no_reason() -> None:
    history = (created, submitted, CancellationRequested("1", "late"))
    assert fold(order_status, *history) == OrderStatus("ada", MONDAY, Status.CANCELLING, 2, Decimal("23.54"), "late")
    assert fold(order_status, *history, OrderConfirmed("1", "ada", Decimal("23.54"))) == OrderStatus(
        "ada", MONDAY, Status.CONFIRMED, 2, Decimal("23.54")
    )


def test_stock_levels_follow_each_piece() -> None:
    history = (StockReceived("lp", 10, "monday"), StockReserved("lp", "1", 4), StockReserved("lp", "2", 3))
    assert fold(stock_levels, *history) == StockLevel(received=10, available=3, reserved=7)
    history_ends = (StockShipped("lp", "1", 4), StockReleased("lp", "2", 3), InsufficientInventory("lp", "3", 9, 6))
    assert fold(stock_levels, *history, *history_ends) == StockLevel(10, available=6, shipped=4, refused=9)


def test_a_customer_is_the_sum_of_the_orders_placed() -> None:
    assert fold(customers, submitted, placed("2", FRIDAY, lp, cd), placed("3", MONDAY, cd)) == Customer(
        orders=3,
        order_days=2,
        first=MONDAY,
        last=FRIDAY,
        units=6,
        spent=Decimal("71.08"),
        days=(MONDAY, FRIDAY),
    )


def test_what_a_customer_spent_is_the_price_after_the_discount() -> None:
    assert fold(customers, PriceCalculated("1", "ada", MONDAY, (lp,), Decimal("1.00"), Decimal("22.54"))).spent == (
        Decimal("22.54")
    )


def test_a_draft_is_no_order_placed() -> None:
    assert OrderCreated not in customers.events


@given(st.data(), purchases)
def test_a_customers_row_does_not_depend_on_the_order_of_the_orders(
    data: st.DataObject, purchases: list[PriceCalculated]
) -> None:
    shuffled = data.draw(st.permutations(purchases))
    assert repr(fold(customers, *shuffled)) == repr(fold(customers, *purchases))


def test_each_view_is_keyed_by_what_it_is_about() -> None:
    assert order_status.key(created) == "1"
    assert stock_levels.key(StockReceived("lp", 10, "monday")) == "lp"
    assert customers.key(submitted) == "ada"


def test_the_customer_hears_once_how_the_order_ended() -> None:
    outbox: list[Message] = []

    async def send(message: Message) -> None:
        outbox.append(message)

    asyncio.run(notify(OrderConfirmed("1", "ada", Decimal("23.54")), meta_of(3, "1"), send))
    asyncio.run(notify(OrderCancelled("2", "bob", "no stock"), meta_of(3, "2"), send))
    assert outbox == [
        Message("ada", "Order 1 is confirmed", "23.54 was charged; the goods are on their way.", "1@3"),
        Message("bob", "Order 2 is cancelled", "Reason: no stock. You pay nothing.", "2@3"),
    ]
