"""An order: drafted line by line, priced when submitted, then confirmed or cancelled."""

from datetime import date
from decimal import Decimal

import pytest

from foldlog.core import Record, Rejected
from foldlog.testing import fold, given
from topologies.orders.order import DONE, POSSIBLE, Order, Status, decide, order
from topologies.orders.order_messages import (
    AddItem,
    CancellationRequested,
    CancelOrder,
    Command,
    CompleteCancellation,
    ConfirmOrder,
    CreateOrder,
    ItemAdded,
    ItemRemoved,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    PriceCalculated,
    RemoveItem,
    SubmitOrder,
)
from topologies.orders.pricing import OrderItem

DAY = date(1997, 1, 1)
lp = OrderItem("lp", 2, Decimal("23.54"))
cd = OrderItem("cd", 1, Decimal("12.00"))
free = OrderItem("flyer", 1, Decimal("0.00"))

drafted = OrderCreated("1", "ada", DAY, (lp,))
submitted = PriceCalculated("1", "ada", DAY, (lp,), Decimal("0.00"), Decimal("23.54"))
requested = CancellationRequested("1", "changed my mind")
confirmed = OrderConfirmed("1", "ada", Decimal("23.54"))
cancelled = OrderCancelled("1", "ada", "changed my mind")

REACHED: dict[Status | None, tuple[Record, ...]] = {
    None: (),
    Status.DRAFT: (drafted,),
    Status.SUBMITTED: (drafted, submitted),
    Status.CANCELLING: (drafted, submitted, requested),
    Status.CONFIRMED: (drafted, submitted, confirmed),
    Status.CANCELLED: (drafted, cancelled),
}
COMMANDS: tuple[Command, ...] = (
    CreateOrder("1", "ada", DAY, (lp,)),
    AddItem("1", cd),
    RemoveItem("1", "lp"),
    SubmitOrder("1"),
    ConfirmOrder("1"),
    CancelOrder("1", "changed my mind"),
    CompleteCancellation("1", "changed my mind"),
)


def test_an_order_starts_as_a_draft() -> None:
    given(order).when(CreateOrder("1", "ada", DAY, (lp,))).then(drafted)


def test_a_draft_may_start_empty() -> None:
    given(order).when(CreateOrder("1", "ada", DAY)).then(OrderCreated("1", "ada", DAY, ()))


def test_an_order_may_be_submitted_as_it_is_created() -> None:
    given(order).when(CreateOrder("1", "ada", DAY, (lp,), submit=True)).then(drafted, submitted)


def test_an_order_needs_a_customer() -> None:
    given(order).when(CreateOrder("1", "", DAY)).then_rejected("needs a customer")


def test_an_order_is_created_once() -> None:
    given(order, drafted).when(CreateOrder("1", "bob", DAY)).then_rejected("order 1 is draft")


def test_a_line_is_added_to_a_draft() -> None:
    given(order, drafted).when(AddItem("1", cd)).then(ItemAdded("1", cd))


def test_lines_of_one_sku_become_one() -> None:
    assert fold(order, drafted, ItemAdded("1", lp)).items == (OrderItem("lp", 4, Decimal("47.08")),)


def test_lines_of_one_sku_become_one_as_the_order_is_created() -> None:
    both = OrderItem("lp", 4, Decimal("47.08"))
    given(order).when(CreateOrder("1", "ada", DAY, (lp, cd, lp))).then(OrderCreated("1", "ada", DAY, (both, cd)))


def test_the_other_lines_stay_as_they_are() -> None:
    assert fold(order, drafted, ItemAdded("1", cd), ItemAdded("1", lp)).items[1] == cd


def test_a_free_item_may_be_ordered() -> None:
    given(order, drafted).when(AddItem("1", free)).then(ItemAdded("1", free))


@pytest.mark.parametrize(
    "item",
    [OrderItem("", 1, Decimal(1)), OrderItem("lp", 0, Decimal(1)), OrderItem("lp", 1, Decimal("-0.01"))],
    ids=["no SKU", "no quantity", "negative total"],
)
def test_an_item_that_cannot_be_sold_is_refused(item: OrderItem) -> None:
    given(order, drafted).when(AddItem("1", item)).then_rejected("an item needs")
    given(order).when(CreateOrder("2", "ada", DAY, (lp, item))).then_rejected("an item needs")


def test_a_line_is_removed_whole_and_the_event_says_what_it_was() -> None:
    given(order, drafted, ItemAdded("1", lp)).when(RemoveItem("1", "lp")).then(
        ItemRemoved("1", OrderItem("lp", 4, Decimal("47.08")))
    )
    assert fold(order, drafted, ItemAdded("1", cd), ItemRemoved("1", lp)).items == (cd,)


def test_only_a_line_that_is_there_can_be_removed() -> None:
    given(order, drafted).when(RemoveItem("1", "cd")).then_rejected("order 1 has no cd")


def test_submitting_fixes_the_price() -> None:
    given(order, drafted).when(SubmitOrder("1")).then(submitted)


def test_an_empty_order_cannot_be_submitted() -> None:
    given(order).when(CreateOrder("1", "ada", DAY, submit=True)).then_rejected("has no items")
    given(order, drafted, ItemRemoved("1", lp)).when(SubmitOrder("1")).then_rejected("has no items")


def test_a_submitted_order_is_confirmed_at_its_price() -> None:
    given(order, drafted, submitted).when(ConfirmOrder("1")).then(confirmed)


def test_a_draft_is_cancelled_at_once() -> None:
    given(order, drafted).when(CancelOrder("1", "changed my mind")).then(cancelled)


def test_cancelling_an_order_in_flight_is_a_request() -> None:
    given(order, drafted, submitted).when(CancelOrder("1", "changed my mind")).then(requested)


def test_a_request_that_comes_too_late_ends_in_a_confirmed_order() -> None:
    given(order, drafted, submitted, requested).when(ConfirmOrder("1")).then(confirmed)


@pytest.mark.parametrize("history", [(drafted, submitted), (drafted, submitted, requested)])
def test_a_cancellation_is_completed_once_all_is_undone(history: tuple[Record, ...]) -> None:
    given(order, *history).when(CompleteCancellation("1", "no stock")).then(OrderCancelled("1", "ada", "no stock"))


def test_goods_that_have_left_are_not_cancelled() -> None:
    given(order, drafted, submitted, confirmed).when(CancelOrder("1", "late")).then_rejected("order 1 is confirmed")


@pytest.mark.parametrize("status", REACHED)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_is_carried_out_once_and_only_where_it_makes_sense(command: Command, status: Status | None) -> None:
    outcome = given(order, *REACHED[status]).when(command)
    if status in DONE.get(type(command), ()):
        outcome.then()
    elif status in POSSIBLE[type(command)]:
        assert outcome.outcome
    else:
        outcome.then_rejected("does not exist" if status is None else f"is {status}")


@pytest.mark.parametrize("status", REACHED)
def test_the_events_of_each_specification_lead_to_the_status_they_stand_for(status: Status | None) -> None:
    assert fold(order, *REACHED[status]).status == status


def test_the_state_keeps_what_the_events_said() -> None:
    assert fold(order, drafted, submitted, confirmed) == Order(Status.CONFIRMED, "ada", DAY, (lp,), Decimal("23.54"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_nothing_is_decided_in_a_status_that_this_version_does_not_know(command: Command) -> None:
    with pytest.raises(Rejected, match="order 1 is unknown"):
        decide(command, Order(Status.UNKNOWN))
