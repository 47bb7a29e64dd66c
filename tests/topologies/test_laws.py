"""What holds for the whole context however its messages interleave: customers, deciders, saga, views."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core import Record
from foldlog.testing import fold
from tests.topologies.driver import Driver, Place
from topologies.orders import orders as context
from topologies.orders.customers import customers
from topologies.orders.fulfilment_plan import Command
from topologies.orders.order import Status
from topologies.orders.order_messages import (
    AddItem,
    CancelOrder,
    CompleteCancellation,
    ConfirmOrder,
    CreateOrder,
    OrderConfirmed,
    RemoveItem,
    SubmitOrder,
)
from topologies.orders.order_status import order_status
from topologies.orders.payment import (
    AuthorisePayment,
    CapturePayment,
    Payment,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentRefunded,
    PaymentVoided,
    RefundPayment,
    Stage,
    VoidPayment,
)
from topologies.orders.pricing import NOTHING, OrderItem
from topologies.orders.stock import (
    ReceiveStock,
    ReleaseStock,
    ReserveStock,
    ShipStock,
    Stock,
    StockReceived,
    StockReleased,
    StockReserved,
)
from topologies.orders.stock_levels import stock_levels

SKUS = ("a", "b", "c")
ENDED = {Status.DRAFT, Status.CONFIRMED, Status.CANCELLED}
items = st.builds(
    OrderItem, st.sampled_from(SKUS), st.integers(1, 3), st.sampled_from([Decimal(20), NOTHING, Decimal(3000)])
)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, list[Record]]]:
    """Deliveries, orders built in one go or line by line, and cancellations that come at any time."""
    story: list[tuple[str, list[Record]]] = []
    for sku in SKUS:
        deliveries: list[Record] = [ReceiveStock(sku, draw(st.integers(2, 30)), "monday")] * draw(
            st.sampled_from([1, 2, 0])
        )
        story.append((f"warehouse {sku}", deliveries))
    for number in range(draw(st.integers(1, 5))):
        id_, customer = str(number), draw(st.sampled_from(["ada", "bob"]))
        lines = tuple(draw(st.lists(items, max_size=3)))
        create = CreateOrder(id_, customer, date(1997, 1, draw(st.integers(1, 3))), lines, draw(st.booleans()))
        edits = draw(st.lists(st.sampled_from([AddItem(id_, draw(items)), RemoveItem(id_, "a")]), max_size=2))
        story.append((customer, [create, *edits, SubmitOrder(id_)]))
        if draw(st.integers(0, 2)):
            story.append((f"regret {id_}", [CancelOrder(id_, "changed my mind")] * draw(st.integers(1, 2))))
    return story


@st.composite
def runs(draw: st.DrawFn) -> Driver:
    """A story told to the end, in an interleaving of its own."""
    random, patience = Random(draw(st.integers(0, 1 << 32))), draw(st.sampled_from([0.85, 0.95, 0]))

    def choose(places: Sequence[Place]) -> Place:
        """Regrets mostly come late: else few orders would be far on their way when they are cancelled."""
        others = [place for place in places if "regret" not in place[0]]
        return random.choice(others if others and random.random() < patience else places)

    driver = Driver(context, choose)
    for sender, commands in draw(stories()):
        driver.send(sender, *commands)
    driver.run()
    return driver


@settings(max_examples=300, deadline=None)
@given(runs())
def test_every_fulfilment_ends_and_none_of_its_commands_is_rejected(run: Driver) -> None:
    assert all(saga.ended for saga in run.of("fulfilment").values())
    assert all(order.status in ENDED for order in run.of("order").values())
    assert not [reason for reason in run.rejections if reason.startswith("fulfilment")]


@settings(max_examples=300, deadline=None)
@given(runs())
def test_stock_is_conserved_and_no_reservation_stays_open(run: Driver) -> None:
    received = Counter[str]()
    for event in run.events_of("stock"):
        if isinstance(event, StockReceived):
            received[event.sku] += event.quantity
    for sku, stock in run.of("stock").items():
        assert isinstance(stock, Stock)
        assert stock.reservations == {}
        assert stock.received == received[sku] == stock.available + stock.shipped


@settings(max_examples=300, deadline=None)
@given(runs())
def test_what_was_shipped_is_what_confirmed_orders_hold(run: Driver) -> None:
    confirmed = [order for order in run.of("order").values() if order.status is Status.CONFIRMED]
    sold = Counter[str]()
    for order in confirmed:
        sold.update({item.sku: item.quantity for item in order.items})
    assert {sku: stock.shipped for sku, stock in run.of("stock").items() if stock.shipped} == dict(sold)


@settings(max_examples=300, deadline=None)
@given(runs())
def test_money_captured_and_kept_is_what_confirmed_orders_come_to(run: Driver) -> None:
    payments = {id_: payment for id_, payment in run.of("payment").items() if isinstance(payment, Payment)}
    kept = sum((paid.amount for paid in payments.values() if paid.stage is Stage.CAPTURED), NOTHING)
    moved = NOTHING
    for event in run.events_of("payment"):
        if isinstance(event, PaymentCaptured):
            moved += event.amount
        if isinstance(event, PaymentRefunded):
            moved -= event.amount
    confirmed = [event.total for event in run.events_of("order") if isinstance(event, OrderConfirmed)]
    assert kept == moved == sum(confirmed, NOTHING)
    assert all(paid.stage is not Stage.AUTHORISED for paid in payments.values())


@settings(max_examples=300, deadline=None)
@given(runs())
def test_what_was_done_is_undone_last_first(run: Driver) -> None:
    for id_, order in run.of("order").items():
        if order.status is Status.CANCELLED:
            mine = [event for _, event in run.events if getattr(event, "order", None) == id_]
            done = [_undo(event) for event in mine if isinstance(event, PaymentAuthorised | StockReserved)]
            undone = [
                (type(event), getattr(event, "sku", None))
                for event in mine
                if isinstance(event, PaymentVoided | StockReleased)
            ]
            refunds = [event for event in mine if isinstance(event, PaymentRefunded)]
            settled_by_refund = done[1:] if refunds else done
            assert undone == list(reversed(settled_by_refund))
            assert len(refunds) == sum(isinstance(event, PaymentCaptured) for event in mine)


def _undo(event: PaymentAuthorised | StockReserved) -> tuple[type[Record], str | None]:
    match event:
        case PaymentAuthorised():
            return PaymentVoided, None
        case StockReserved(sku):
            return StockReleased, sku


@settings(max_examples=150, deadline=None)
@given(runs())
def test_the_views_tell_what_the_aggregates_hold(run: Driver) -> None:
    for id_, order in run.of("order").items():
        mine = [event for event in run.events_of("order") if getattr(event, "order", None) == id_]
        row = fold(order_status, *mine)
        assert (row.customer, row.status) == (order.customer, order.status)
        assert row.items == sum(item.quantity for item in order.items)
    for sku, stock in run.of("stock").items():
        row = fold(stock_levels, *(e for e in run.events_of("stock") if getattr(e, "sku", None) == sku))
        held = sum(stock.reservations.values())
        assert (row.received, row.available, row.reserved, row.shipped) == (
            (stock.received, stock.available, held, stock.shipped)
        )
    placed = [event for event in run.events_of("order") if type(event) in customers.events]
    assert len(placed) == len(run.of("order")) - sum(not _submitted(run, id_) for id_ in run.of("order"))


def _submitted(run: Driver, id_: str) -> bool:
    return any(isinstance(command, AuthorisePayment) and command.order == id_ for command in run.sent)


def test_a_simple_order_takes_six_commands_and_seven_events() -> None:
    driver = Driver(context, choose=lambda places: places[0])
    driver.send("warehouse", ReceiveStock("a", 1, "monday"))
    driver.run()
    item = OrderItem("a", 1, Decimal(20))
    driver.send("ada", CreateOrder("1", "ada", date(1997, 1, 1), (item,), submit=True))
    driver.run()
    sent: tuple[Command, ...] = (
        AuthorisePayment("1", Decimal(20)),
        ReserveStock("a", "1", 1),
        CapturePayment("1"),
        ShipStock("a", "1"),
        ConfirmOrder("1"),
    )
    assert tuple(driver.sent) == sent
    assert len(driver.events) - 1 == 7


def test_interleavings_of_one_story_reach_every_command_of_the_fulfilment() -> None:
    """The laws say little unless runs go everywhere: one order is short of stock, one is cancelled at any time."""
    reached: set[type[Record]] = set()
    for seed in range(200):
        driver = Driver(context, Random(seed).choice)
        short = (OrderItem("a", 1, Decimal(20)), OrderItem("b", 9, Decimal(20)))
        for id_, lines in {"1": short[:1], "2": short}.items():
            driver.send("ada", CreateOrder(id_, "ada", date(1997, 1, 1), lines, submit=True))
        driver.send("regret", CancelOrder("1", "changed my mind"))
        driver.send("warehouse", ReceiveStock("a", 2, "monday"))
        driver.run()
        reached.update(type(command) for command in driver.sent)
    back = {RefundPayment, ReleaseStock, VoidPayment, CompleteCancellation}
    assert reached == back | {AuthorisePayment, ReserveStock, CapturePayment, ShipStock, ConfirmOrder}
