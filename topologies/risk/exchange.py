"""What risk hears from the bank, and what it answers."""

from datetime import date

from foldlog.core import Money, Publication, Record, Subscription
from topologies.risk.profile import AssessTransfer, CloseExposure, TransferApproved, TransferDenied, profile


class TransferSubmitted(Record):
    transfer: str
    source: str
    amount: Money
    day: date


class TransferSettled(Record):
    transfer: str
    source: str


class TransferAbandoned(Record):
    transfer: str
    source: str


def hear(event: TransferSubmitted | TransferSettled | TransferAbandoned) -> AssessTransfer | CloseExposure:
    match event:
        case TransferSubmitted(id_, source, amount, day):
            return AssessTransfer(source, id_, amount, day)
        case TransferSettled(id_, source) | TransferAbandoned(id_, source):
            return CloseExposure(source, id_)


bank_transfers = Subscription("bank_transfers", "banking.transfers", hear)


class TransferPassed(Record):
    """Risk has nothing against this transfer."""

    transfer: str


class TransferStopped(Record):
    """This transfer must not be carried out."""

    transfer: str
    reason: str


def tell(event: TransferApproved | TransferDenied) -> TransferPassed | TransferStopped:
    match event:
        case TransferApproved(transfer=transfer):
            return TransferPassed(transfer)
        case TransferDenied(transfer=transfer, reason=reason):
            return TransferStopped(transfer, reason)


assessments = Publication("assessments", profile, tell)
