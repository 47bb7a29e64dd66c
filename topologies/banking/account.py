"""Account: money, and holds on it for transfers that are not through yet. What is held cannot be spent twice."""

from datetime import date
from decimal import Decimal

from foldlog.core import Decider, Money, Record, Rejected, field, replace

NOTHING = Decimal("0.00")


class OpenAccount(Record):
    account: str
    owner: str
    daily_limit: Money


class Deposit(Record):
    account: str
    amount: Money
    day: date


class Movement(Record):
    """Money of one transfer, on one account."""

    account: str
    transfer: str
    amount: Money
    day: date


class PlaceHold(Movement): ...


class ReleaseHold(Movement): ...


class CaptureHold(Movement): ...


class CreditAccount(Movement): ...


class AccountOpened(Record):
    account: str
    owner: str
    daily_limit: Money


class MoneyDeposited(Record):
    account: str
    amount: Money
    day: date


class HoldPlaced(Movement): ...


class HoldRefused(Movement):
    reason: str


class HoldReleased(Movement): ...


class HoldCaptured(Movement): ...


class AccountCredited(Movement): ...


class CreditRefused(Movement): ...


Command = OpenAccount | Deposit | PlaceHold | ReleaseHold | CaptureHold | CreditAccount
Outside = AccountOpened | MoneyDeposited
Event = Outside | HoldPlaced | HoldRefused | HoldReleased | HoldCaptured | AccountCredited | CreditRefused


class Account(Record):
    """`holds` are the open ones, by transfer; `spent` is what was held on the newest `day`, and not released."""

    owner: str | None = None
    daily_limit: Money = NOTHING
    balance: Money = NOTHING
    held: Money = NOTHING
    holds: dict[str, Money] = field(default_factory=dict)
    day: date = date.min
    spent: Money = NOTHING


def decide(command: Command, account: Account) -> list[Event]:
    match command:
        case OpenAccount(id_, owner, limit):
            if account.owner not in (None, owner):
                raise Rejected(f"account {id_} is {account.owner}'s already")
            return [] if account.owner == owner else [AccountOpened(id_, owner, limit)]
        case Deposit(id_, amount, day):
            if account.owner is None or amount <= 0:
                raise Rejected(f"account {id_}: a deposit needs an open account and an amount above 0, not {amount}")
            return [MoneyDeposited(id_, amount, day)]
        case PlaceHold(transfer=transfer):
            return [] if transfer in account.holds else [hold(account, command)]
        case ReleaseHold(id_, transfer, _, day) | CaptureHold(id_, transfer, _, day):
            if transfer not in account.holds:
                raise Rejected(f"account {id_} holds nothing for transfer {transfer}")
            end = HoldReleased if isinstance(command, ReleaseHold) else HoldCaptured
            return [end(id_, transfer, account.holds[transfer], day)]
        case CreditAccount():
            outcome = CreditRefused if account.owner is None else AccountCredited
            return [outcome(command.account, command.transfer, command.amount, command.day)]


def hold(account: Account, wanted: PlaceHold) -> HoldPlaced | HoldRefused:
    """Holds the amount, or says why not. A day that is past counts for the newest."""
    id_, transfer, amount, day = wanted.account, wanted.transfer, wanted.amount, wanted.day
    spent = (account.spent if day <= account.day else NOTHING) + amount
    if account.owner is None:
        return HoldRefused(id_, transfer, amount, day, "there is no such account")
    if amount > account.balance - account.held:
        return HoldRefused(id_, transfer, amount, day, "insufficient funds")
    if spent > account.daily_limit:
        return HoldRefused(id_, transfer, amount, day, f"above the daily limit of {account.daily_limit}")
    return HoldPlaced(id_, transfer, amount, day)


def evolve(account: Account, event: Event) -> Account:
    match event:
        case AccountOpened(_, owner, limit):
            return replace(account, owner=owner, daily_limit=limit)
        case MoneyDeposited(amount=amount) | AccountCredited(amount=amount):
            return replace(account, balance=account.balance + amount)
        case HoldPlaced(_, transfer, amount, day):
            spent = (account.spent if day <= account.day else NOTHING) + amount
            holds = {**account.holds, transfer: amount}
            return replace(account, held=account.held + amount, holds=holds, day=max(day, account.day), spent=spent)
        case HoldReleased(_, transfer, amount, day):
            others = {each: held for each, held in account.holds.items() if each != transfer}
            spent = account.spent - amount if day == account.day else account.spent
            return replace(account, held=account.held - amount, holds=others, spent=spent)
        case HoldCaptured(_, transfer, amount):
            others = {each: held for each, held in account.holds.items() if each != transfer}
            left = account.balance - amount
            return replace(account, balance=left, held=account.held - amount, holds=others)
        case HoldRefused() | CreditRefused():
            return account


account = Decider("account", Account(), key=lambda c: c.account, decide=decide, evolve=evolve)
