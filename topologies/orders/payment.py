"""Payment of one order: authorised, then captured or voided; a captured one may be refunded."""

from decimal import Decimal
from enum import StrEnum

from foldlog.core import Decider, Money, Record, Rejected, replace
from topologies.orders.pricing import NOTHING

# What one payment may come to; more is declined. A free order (0.00) is paid like any other.
LIMIT = Decimal("10000.00")


class PaymentMessage(Record):
    order: str


class AuthorisePayment(PaymentMessage):
    amount: Money


class CapturePayment(PaymentMessage): ...


class VoidPayment(PaymentMessage): ...


class RefundPayment(PaymentMessage): ...


class PaymentEvent(PaymentMessage):
    amount: Money


class PaymentAuthorised(PaymentEvent): ...


class PaymentDeclined(PaymentEvent):
    reason: str


class PaymentCaptured(PaymentEvent): ...


class PaymentVoided(PaymentEvent): ...


class PaymentRefunded(PaymentEvent): ...


Command = AuthorisePayment | CapturePayment | VoidPayment | RefundPayment
Event = PaymentAuthorised | PaymentDeclined | PaymentCaptured | PaymentVoided | PaymentRefunded


class Stage(StrEnum):
    """UNKNOWN is how an older reader sees what was added after it; nothing writes it."""

    UNKNOWN = "unknown"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Payment(Record):
    stage: Stage | None = None
    amount: Money = NOTHING


def decide(command: Command, payment: Payment) -> list[Event]:
    order, amount = command.order, payment.amount
    match command:
        case AuthorisePayment(_, wanted):
            return authorise(payment, order, wanted)
        case CapturePayment():
            return step(payment, Stage.AUTHORISED, Stage.CAPTURED, PaymentCaptured(order, amount))
        case VoidPayment():
            return step(payment, Stage.AUTHORISED, Stage.VOIDED, PaymentVoided(order, amount))
        case RefundPayment():
            return step(payment, Stage.CAPTURED, Stage.REFUNDED, PaymentRefunded(order, amount))


def authorise(payment: Payment, order: str, amount: Decimal) -> list[Event]:
    """One authorisation an order: declined above the limit, repeated without effect."""
    if amount < 0:
        raise Rejected(f"the payment of order {order} must not be negative, it is {amount}")
    if payment == Payment(Stage.AUTHORISED, amount):
        return []
    if payment.stage is not None:
        raise Rejected(f"the payment of order {order} is {payment.stage} already, with {payment.amount}")
    if amount > LIMIT:
        return [PaymentDeclined(order, amount, f"above the limit of {LIMIT} for one payment")]
    return [PaymentAuthorised(order, amount)]


def step(payment: Payment, before: Stage, after: Stage, event: Event) -> list[Event]:
    """The event that takes a payment from one stage to the next; none where it is there already."""
    if payment.stage is after:
        return []
    if payment.stage is not before:
        raise Rejected(f"the payment of order {event.order} is {payment.stage or 'not authorised'}, not {before}")
    return [event]


def evolve(payment: Payment, event: Event) -> Payment:
    match event:
        case PaymentAuthorised(_, amount):
            return Payment(Stage.AUTHORISED, amount)
        case PaymentDeclined(_, amount):
            return Payment(Stage.DECLINED, amount)
        case PaymentCaptured():
            return replace(payment, stage=Stage.CAPTURED)
        case PaymentVoided():
            return replace(payment, stage=Stage.VOIDED)
        case PaymentRefunded():
            return replace(payment, stage=Stage.REFUNDED)


payment = Decider("payment", Payment(), key=lambda c: c.order, decide=decide, evolve=evolve)
