"""The payment of one order: authorised, then captured or voided; a captured one may be refunded."""

from decimal import Decimal

import pytest

from foldlog.core import Record
from foldlog.testing import fold, given
from topologies.orders.payment import (
    LIMIT,
    AuthorisePayment,
    CapturePayment,
    Payment,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
    RefundPayment,
    Stage,
    VoidPayment,
    payment,
)

price = Decimal("23.54")
authorised = PaymentAuthorised("1", price)
captured = PaymentCaptured("1", price)
voided = PaymentVoided("1", price)
refunded = PaymentRefunded("1", price)
declined = PaymentDeclined("1", LIMIT + 1, "above the limit of 10000.00 for one payment")


def test_a_payment_is_authorised() -> None:
    given(payment).when(AuthorisePayment("1", price)).then(authorised)


def test_nothing_is_an_amount_too() -> None:
    given(payment).when(AuthorisePayment("1", Decimal("0.00"))).then(PaymentAuthorised("1", Decimal("0.00")))


def test_up_to_the_limit_is_authorised_and_more_is_declined() -> None:
    given(payment).when(AuthorisePayment("1", LIMIT)).then(PaymentAuthorised("1", LIMIT))
    given(payment).when(AuthorisePayment("1", LIMIT + 1)).then(declined)


def test_a_negative_amount_makes_no_sense() -> None:
    given(payment).when(AuthorisePayment("1", Decimal("-0.01"))).then_rejected("must not be negative")


def test_an_order_has_one_authorisation() -> None:
    given(payment, authorised).when(AuthorisePayment("1", price)).then()
    given(payment, authorised).when(AuthorisePayment("1", price + 1)).then_rejected("is authorised already")
    given(payment, declined).when(AuthorisePayment("1", price)).then_rejected("is declined already")


def test_what_was_authorised_is_captured() -> None:
    given(payment, authorised).when(CapturePayment("1")).then(captured)


def test_an_authorisation_is_voided() -> None:
    given(payment, authorised).when(VoidPayment("1")).then(voided)


def test_what_was_captured_is_refunded_in_full() -> None:
    given(payment, authorised, captured).when(RefundPayment("1")).then(refunded)


@pytest.mark.parametrize(
    ("history", "command"),
    [
        ((authorised, captured), CapturePayment("1")),
        ((authorised, voided), VoidPayment("1")),
        ((authorised, captured, refunded), RefundPayment("1")),
    ],
)
def test_the_same_again_changes_nothing(history: tuple[Record, ...], command: Record) -> None:
    given(payment, *history).when(command).then()


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ((), CapturePayment("1"), "is not authorised"),
        ((declined,), CapturePayment("1"), "is declined"),
        ((authorised, voided), CapturePayment("1"), "is voided"),
        ((authorised, captured), VoidPayment("1"), "is captured"),
        ((authorised,), RefundPayment("1"), "is authorised, not captured"),
        ((authorised, captured, refunded), CapturePayment("1"), "is refunded"),
    ],
)
def test_a_payment_goes_one_way(history: tuple[Record, ...], command: Record, reason: str) -> None:
    given(payment, *history).when(command).then_rejected(reason)


@pytest.mark.parametrize(
    ("history", "stage"),
    [
        ((authorised,), Stage.AUTHORISED),
        ((authorised, captured), Stage.CAPTURED),
        ((authorised, voided), Stage.VOIDED),
        ((authorised, captured, refunded), Stage.REFUNDED),
    ],
)
def test_the_amount_stays_with_the_payment(history: tuple[Record, ...], stage: Stage) -> None:
    assert fold(payment, *history) == Payment(stage, price)
