"""Transfer: what was asked for, what compliance said in time, how it ended. The first answer counts, later ones not."""

from datetime import date
from enum import StrEnum

from foldlog.core import Decider, Money, Record, Rejected, replace


class TransferMessage(Record):
    transfer: str


class Reasoned(TransferMessage):
    reason: str


class Terms(Record):
    """Who pays whom how much, on which business day."""

    source: str
    target: str
    amount: Money
    day: date


class RequestTransfer(TransferMessage):
    terms: Terms


class ClearTransfer(TransferMessage): ...


class BlockTransfer(Reasoned): ...


class ExpireTransfer(TransferMessage): ...


class CompleteTransfer(TransferMessage): ...


class FailTransfer(Reasoned): ...


class TransferRequested(TransferMessage):
    terms: Terms


class TransferCleared(TransferMessage): ...


class TransferBlocked(Reasoned): ...


class TransferExpired(TransferMessage): ...


class TransferCompleted(TransferMessage):
    terms: Terms


class TransferFailed(TransferMessage):
    terms: Terms
    reason: str


Command = RequestTransfer | ClearTransfer | BlockTransfer | ExpireTransfer | CompleteTransfer | FailTransfer
Event = TransferRequested | TransferCleared | TransferBlocked | TransferExpired | TransferCompleted | TransferFailed


class Status(StrEnum):
    """UNKNOWN is how an older reader sees what was added after it; nothing writes it."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    CLEARED = "cleared"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"


class Transfer(Record):
    status: Status | None = None
    terms: Terms | None = None


# In which statuses a command makes sense, and in which it is done or comes too late.
POSSIBLE: dict[type[Command], tuple[Status, ...]] = {
    ClearTransfer: (Status.REQUESTED,),
    BlockTransfer: (Status.REQUESTED,),
    ExpireTransfer: (Status.REQUESTED,),
    CompleteTransfer: (Status.CLEARED,),
    FailTransfer: (Status.REQUESTED, Status.CLEARED, Status.STOPPED),
}
LATE = (Status.CLEARED, Status.STOPPED, Status.COMPLETED, Status.FAILED)
DONE: dict[type[Command], tuple[Status, ...]] = {
    ClearTransfer: LATE,
    BlockTransfer: LATE,
    ExpireTransfer: LATE,
    CompleteTransfer: (Status.COMPLETED,),
    FailTransfer: (Status.FAILED,),
}


def decide(command: Command, transfer: Transfer) -> list[Event]:
    id_, terms = command.transfer, transfer.terms
    if transfer.status in DONE.get(type(command), ()):
        return []
    if isinstance(command, RequestTransfer):
        return request(id_, command.terms, transfer)
    if terms is None or transfer.status not in POSSIBLE[type(command)]:
        raise Rejected(f"{type(command).__name__}: transfer {id_} {transfer.status or 'does not exist'}")
    match command:
        case ClearTransfer():
            return [TransferCleared(id_)]
        case BlockTransfer(_, reason):
            return [TransferBlocked(id_, reason)]
        case ExpireTransfer():
            return [TransferExpired(id_)]
        case CompleteTransfer():
            return [TransferCompleted(id_, terms)]
        case FailTransfer(_, reason):
            return [TransferFailed(id_, terms, reason)]


def request(id_: str, terms: Terms, transfer: Transfer) -> list[Event]:
    """A transfer is asked for once; the same again changes nothing."""
    if transfer.terms not in (None, terms):
        raise Rejected(f"transfer {id_} is another one already")
    if terms.amount <= 0 or terms.source == terms.target:
        raise Rejected(f"transfer {id_} needs two accounts and an amount above 0, not {terms.amount}")
    return [] if transfer.terms else [TransferRequested(id_, terms)]


def evolve(transfer: Transfer, event: Event) -> Transfer:
    match event:
        case TransferRequested(_, terms):
            return Transfer(Status.REQUESTED, terms)
        case TransferCleared():
            return replace(transfer, status=Status.CLEARED)
        case TransferBlocked() | TransferExpired():
            return replace(transfer, status=Status.STOPPED)
        case TransferCompleted():
            return replace(transfer, status=Status.COMPLETED)
        case TransferFailed():
            return replace(transfer, status=Status.FAILED)


transfer = Decider("transfer", Transfer(), key=lambda c: c.transfer, decide=decide, evolve=evolve)
