"""The fulfilment of an order, step by step: the way forward, and the way back from every place."""

from datetime import date
from decimal import Decimal

import pytest

from foldlog.core import Record
from foldlog.testing import fold, given
from topologies.orders.fulfilment import fulfilment
from topologies.orders.order_messages import (
    CancellationRequested,
    CompleteCancellation,
    ConfirmOrder,
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
)
from topologies.orders.pricing import OrderItem
from topologies.orders.stock import (
    InsufficientInventory,
    ReleaseStock,
    ReserveStock,
    ShipStock,
    StockReleased,
    StockReserved,
    StockShipped,
)

total = Decimal("35.54")
items = (OrderItem("lp", 2, Decimal("23.54")), OrderItem("cd", 1, Decimal("12.00")))
submitted = PriceCalculated("1", "ada", date(1997, 1, 1), items, Decimal("0.00"), total)
requested = CancellationRequested("1", "changed my mind")
authorised, captured = PaymentAuthorised("1", total), PaymentCaptured("1", total)
voided, refunded = PaymentVoided("1", total), PaymentRefunded("1", total)
lp_held, cd_held = StockReserved("lp", "1", 2), StockReserved("cd", "1", 1)
lp_shipped, cd_shipped = StockShipped("lp", "1", 2), StockShipped("cd", "1", 1)
lp_free, cd_free = StockReleased("lp", "1", 2), StockReleased("cd", "1", 1)
no_cd = InsufficientInventory("cd", "1", 1, 0)
confirmed, cancelled = OrderConfirmed("1", "ada", total), OrderCancelled("1", "ada", "why")

WAY = (submitted, authorised, lp_held, cd_held, captured, lp_shipped, cd_shipped)
NEXT = (
    AuthorisePayment("1", total),
    ReserveStock("lp", "1", 2),
    ReserveStock("cd", "1", 1),
    CapturePayment("1"),
    ShipStock("lp", "1"),
    ShipStock("cd", "1"),
    ConfirmOrder("1"),
)


@pytest.mark.parametrize("done", range(len(WAY)))
def test_the_way_forward_goes_one_answer_and_one_command_at_a_time(done: int) -> None:
    given(fulfilment, *WAY[:done]).when(WAY[done]).then(NEXT[done])


def test_a_confirmed_order_ends_it() -> None:
    given(fulfilment, *WAY).when(confirmed).then()
    assert fulfilment.ended(fold(fulfilment, *WAY, confirmed))


@pytest.mark.parametrize("done", range(1, len(WAY) + 1))
def test_it_has_not_ended_before_that(done: int) -> None:
    assert not fulfilment.ended(fold(fulfilment, *WAY[:done]))


def test_a_declined_payment_cancels_the_order() -> None:
    given(fulfilment, submitted).when(PaymentDeclined("1", total, "above the limit")).then(
        CompleteCancellation("1", "payment declined: above the limit")
    )


def test_a_shortage_of_the_first_item_voids_the_payment() -> None:
    short = InsufficientInventory("lp", "1", 2, 1)
    given(fulfilment, submitted, authorised).when(short).then(VoidPayment("1"))
    given(fulfilment, submitted, authorised, short).when(voided).then(
        CompleteCancellation("1", "insufficient inventory of lp")
    )


def test_a_shortage_of_a_later_item_first_releases_the_earlier_ones() -> None:
    history = (submitted, authorised, lp_held)
    given(fulfilment, *history).when(no_cd).then(ReleaseStock("lp", "1"))
    given(fulfilment, *history, no_cd).when(lp_free).then(VoidPayment("1"))
    given(fulfilment, *history, no_cd, lp_free).when(voided).then(
        CompleteCancellation("1", "insufficient inventory of cd")
    )


def test_a_cancelled_order_ends_it() -> None:
    history = (submitted, authorised, lp_held, no_cd, lp_free, voided)
    assert not fulfilment.ended(fold(fulfilment, *history))
    given(fulfilment, *history).when(cancelled).then()
    assert fulfilment.ended(fold(fulfilment, *history, cancelled))


def test_a_cancelled_draft_needs_no_fulfilment() -> None:
    given(fulfilment).when(cancelled).then()
    assert fulfilment.ended(fold(fulfilment, cancelled))


def test_a_requested_cancellation_waits_for_the_answer_under_way() -> None:
    given(fulfilment, submitted).when(requested).then()
    given(fulfilment, submitted, requested).when(authorised).then(VoidPayment("1"))
    given(fulfilment, submitted, requested, authorised).when(voided).then(CompleteCancellation("1", "changed my mind"))


def test_a_requested_cancellation_releases_the_last_reservation_first() -> None:
    history = (submitted, authorised, lp_held, requested)
    given(fulfilment, *history).when(cd_held).then(ReleaseStock("cd", "1"))
    given(fulfilment, *history, cd_held).when(cd_free).then(ReleaseStock("lp", "1"))
    given(fulfilment, *history, cd_held, cd_free).when(lp_free).then(VoidPayment("1"))


def test_captured_money_is_refunded_before_the_stock_is_released() -> None:
    history = (submitted, authorised, lp_held, cd_held, requested)
    given(fulfilment, *history).when(captured).then(RefundPayment("1"))
    given(fulfilment, *history, captured).when(refunded).then(ReleaseStock("cd", "1"))
    given(fulfilment, *history, captured, refunded).when(cd_free).then(ReleaseStock("lp", "1"))
    given(fulfilment, *history, captured, refunded, cd_free).when(lp_free).then(
        CompleteCancellation("1", "changed my mind")
    )


@pytest.mark.parametrize("done", range(5, len(WAY) + 1))
def test_a_request_after_the_first_shipment_was_ordered_is_too_late(done: int) -> None:
    given(fulfilment, *WAY[:done]).when(requested).then()
    assert fold(fulfilment, *WAY[:done], requested) == fold(fulfilment, *WAY[:done])


def test_the_customers_reason_stays_the_reason() -> None:
    declined = PaymentDeclined("1", total, "above the limit")
    given(fulfilment, submitted, requested).when(declined).then(CompleteCancellation("1", "changed my mind"))
    short = InsufficientInventory("lp", "1", 2, 1)
    history = (submitted, authorised, requested, short)
    given(fulfilment, *history).when(voided).then(CompleteCancellation("1", "changed my mind"))


def test_a_request_on_the_way_back_changes_nothing() -> None:
    history = (submitted, authorised, lp_held, no_cd)
    assert fold(fulfilment, *history, requested) == fold(fulfilment, *history)


@pytest.mark.parametrize(
    "stray",
    [captured, cd_held, lp_shipped, lp_free, voided, refunded, no_cd],
    ids=lambda event: type(event).__name__,
)
def test_what_it_does_not_wait_for_moves_nothing(stray: Record) -> None:
    history = (submitted, authorised)
    given(fulfilment, *history).when(stray).then()
    assert fold(fulfilment, *history, stray) == fold(fulfilment, *history)


def test_a_reservation_by_hand_starts_no_fulfilment() -> None:
    given(fulfilment).when(lp_held).then()
    assert fold(fulfilment, no_cd, lp_held, authorised) == fulfilment.initial


def test_every_step_of_an_order_belongs_to_one_saga() -> None:
    assert {fulfilment.correlate(step) for step in (*WAY, requested, no_cd, voided, confirmed)} == {"1"}
