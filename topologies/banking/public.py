"""What others see of the bank: statements, daily totals, and the events that other contexts subscribe to."""

from datetime import date
from decimal import Decimal

from foldlog.core import Money, Publication, Record, Subscription, View, replace
from topologies.banking.account import (
    AccountCredited,
    AccountOpened,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    MoneyDeposited,
    account,
)
from topologies.banking.transfer import (
    BlockTransfer,
    ClearTransfer,
    TransferCompleted,
    TransferFailed,
    TransferRequested,
    transfer,
)

NOTHING = Decimal("0.00")
ENTRIES = 20  # the newest that a statement shows


class Entry(Record):
    """One change of a balance: credit positive, debit negative."""

    day: date
    text: str
    amount: Money


class Statement(Record):
    """One account; `held` is not available, `count` counts all entries, of which the newest are shown."""

    owner: str = ""
    balance: Money = NOTHING
    held: Money = NOTHING
    count: int = 0
    entries: tuple[Entry, ...] = ()


Booked = AccountOpened | MoneyDeposited | HoldPlaced | HoldReleased | HoldCaptured | AccountCredited


def book(row: Statement, event: Booked) -> Statement:
    match event:
        case AccountOpened(_, owner):
            return replace(row, owner=owner)
        case HoldPlaced(amount=amount):
            return replace(row, held=row.held + amount)
        case HoldReleased(amount=amount):
            return replace(row, held=row.held - amount)
        case HoldCaptured(_, transfer, amount, day):
            return booked(replace(row, held=row.held - amount), Entry(day, f"transfer {transfer}", -amount))
        case AccountCredited(_, transfer, amount, day):
            return booked(row, Entry(day, f"transfer {transfer}", amount))
        case MoneyDeposited(_, amount, day):
            return booked(row, Entry(day, "deposit", amount))


def booked(row: Statement, entry: Entry) -> Statement:
    """The statement with one entry more."""
    entries = (*row.entries, entry)[-ENTRIES:]
    return replace(row, balance=row.balance + entry.amount, count=row.count + 1, entries=entries)


statements = View("statements", account, Statement(), key=lambda event: event.account, evolve=book)


class DailyTotal(Record):
    """The transfers of one business day, by how they ended."""

    completed: int = 0
    moved: Money = NOTHING
    failed: int = 0
    not_moved: Money = NOTHING


def add(row: DailyTotal, event: TransferCompleted | TransferFailed) -> DailyTotal:
    amount = event.terms.amount
    if isinstance(event, TransferCompleted):
        return replace(row, completed=row.completed + 1, moved=row.moved + amount)
    return replace(row, failed=row.failed + 1, not_moved=row.not_moved + amount)


daily_totals = View("daily_totals", transfer, DailyTotal(), key=lambda event: event.terms.day.isoformat(), evolve=add)


class TransferNews(Record):
    transfer: str
    source: str
    target: str
    amount: Money
    day: date


class TransferSubmitted(TransferNews):
    """A transfer was asked for; it waits for whoever clears it."""


class TransferSettled(TransferNews):
    """The money has arrived."""


class TransferAbandoned(TransferNews):
    """Nothing was moved, or everything was given back."""

    reason: str


def tell(
    event: TransferRequested | TransferCompleted | TransferFailed,
) -> TransferSubmitted | TransferSettled | TransferAbandoned:
    terms = event.terms
    news = (event.transfer, terms.source, terms.target, terms.amount, terms.day)
    match event:
        case TransferRequested():
            return TransferSubmitted(*news)
        case TransferCompleted():
            return TransferSettled(*news)
        case TransferFailed(reason=reason):
            return TransferAbandoned(*news, reason)


transfers = Publication("transfers", transfer, tell)


class TransferPassed(Record):
    transfer: str


class TransferStopped(Record):
    transfer: str
    reason: str


def answer(event: TransferPassed | TransferStopped) -> ClearTransfer | BlockTransfer:
    match event:
        case TransferPassed(id_):
            return ClearTransfer(id_)
        case TransferStopped(id_, reason):
            return BlockTransfer(id_, reason)


clearances = Subscription("clearances", "risk.assessments", answer)
