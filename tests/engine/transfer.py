"""Transfers: a saga that takes from one account and gives to another, or gives back."""

from foldlog.core import Money, Record, Saga, replace
from tests.engine.accounts import MENDED, UNLUCKY, Post, Posted, Refused, account


class TransferMoney(Record):
    transfer: str
    source: str
    target: str
    amount: Money


class Transfer(Record):
    source: str = ""
    target: str = ""
    status: str = "new"


Step = TransferMoney | Posted | Refused


def react(transfer: Transfer, step: Step) -> list[Post]:
    """Would begin an ended transfer anew: that the engine closes a saga is relied on."""
    match step:
        case TransferMoney(_, _, _, amount) if amount == UNLUCKY and not MENDED:
            raise ValueError("this step cannot be taken")
        case TransferMoney(id, source, _, amount) if transfer.status != "pending":
            return [Post(source, -amount, id)]
        case Posted(amount=amount, transfer=id) if transfer.status == "pending" and amount < 0:
            return [Post(transfer.target, -amount, id)]
        case Refused(_, amount, id) if transfer.status == "pending" and amount > 0:
            return [Post(transfer.source, amount, id)]
        case _:
            return []


def follow(transfer: Transfer, step: Step) -> Transfer:
    match step:
        case TransferMoney(_, source, target) if transfer.status != "pending":
            return Transfer(source, target, "pending")
        case Posted(account=account, amount=amount) if transfer.status == "pending" and amount > 0:
            return replace(transfer, status="done" if account == transfer.target else "returned")
        case Refused(amount=amount) if transfer.status == "pending" and amount < 0:
            return replace(transfer, status="refused")
        case _:
            return transfer


transfer = Saga(
    "transfer",
    account,
    Transfer(),
    correlate=lambda step: step.transfer,
    react=react,
    evolve=follow,
    ended=lambda transfer: transfer.status not in ("new", "pending"),
)
