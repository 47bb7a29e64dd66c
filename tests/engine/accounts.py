"""Accounts: opened, posted to and closed, with two views and a reactor, and ways to go wrong."""

import os
from datetime import timedelta
from decimal import Decimal

from foldlog.core import Decider, Message, Meta, Money, Reactor, Record, Rejected, Retry, Sender, Serving, View, replace

MENDED = "BANK_MENDED" in os.environ  # the fault in the views and the saga is gone
TRIES = int(os.environ.get("BANK_TRIES", "4"))  # of an effect, beside the first
UNLUCKY = Decimal(666)  # an amount that whoever evolves or reacts to it cannot bear
LARGE = "x" * (1 << 20)
NOT_UTF8 = "\udcff"  # a lone surrogate: a text in Python, nothing in UTF-8
TOO_FINE = Decimal("0.001")


class Open(Record):
    account: str
    owner: str = "nobody"


class Post(Record):
    account: str
    amount: Money
    transfer: str | None = None


class Close(Record):
    account: str


class Misbehave(Record):
    """Goes wrong in the way that `how` names."""

    account: str
    how: str


class Opened(Record):
    account: str
    owner: str


class Posted(Record):
    account: str
    owner: str
    amount: Money
    transfer: str | None = None


class Refused(Record):
    account: str
    amount: Money
    transfer: str | None = None


class Closed(Record):
    account: str
    owner: str


class Misbehaved(Record):
    account: str
    how: str
    amount: Money = Decimal(0)


Command = Open | Post | Close | Misbehave
Event = Opened | Posted | Refused | Closed | Misbehaved


class Account(Record):
    owner: str = ""
    balance: Money = Decimal(0)

    @property
    def open(self) -> bool:
        return self.owner != ""


def decide(command: Command, account: Account) -> list[Event]:
    match command:
        case Open(id, owner):
            return [] if account.open else [Opened(id, owner)]
        case Post(id, amount, transfer) if account.open and account.balance + amount >= 0:
            return [Posted(id, account.owner, amount, transfer)]
        case Post(id, amount, transfer):
            return [Refused(id, amount, transfer)]
        case Close(id):
            return [Closed(id, account.owner)]
        case Misbehave(id, how):
            return misbehave(id, how)


def misbehave(id: str, how: str) -> list[Event]:
    match how:
        case "reject":
            raise Rejected("no")
        case "reject at length":
            raise Rejected(LARGE)
        case "reject in no encoding":
            raise Rejected(NOT_UTF8)
        case "raise":
            raise ValueError("yes")
        case "raise in no encoding":
            raise ValueError(NOT_UTF8)
        case "large event":
            return [Misbehaved(id, "first of two"), Misbehaved(id, LARGE)]
        case "event too fine":
            return [Misbehaved(id, "first of two"), Misbehaved(id, how, TOO_FINE)]
        case _:
            return [Misbehaved(id, how)]


def evolve(account: Account, event: Event) -> Account:
    match event:
        case Opened(_, owner):
            return replace(account, owner=owner)
        case Posted(_, _, amount):
            return replace(account, balance=account.balance + amount)
        case Misbehaved(_, "state too fine"):
            return replace(account, balance=account.balance + TOO_FINE)
        case Refused() | Misbehaved():
            return account
        case Closed():
            return Account()


account = Decider("account", Account(), key=lambda command: command.account, decide=decide, evolve=evolve)


class Balance(Record):
    owner: str = ""
    amount: Money = Decimal(0)
    postings: int = 0


def add_to_balance(balance: Balance, event: Opened | Posted | Closed | Misbehaved) -> Balance | None:
    match event:
        case Opened(_, owner):
            return replace(balance, owner=owner)
        case Posted(_, _, amount):
            return replace(balance, amount=balance.amount + amount, postings=balance.postings + 1)
        case Closed():
            return None
        case Misbehaved(_, "fold") if not MENDED:
            raise ValueError("this event cannot be folded")
        case Misbehaved(_, "row too fine") if not MENDED:
            return replace(balance, amount=TOO_FINE)
        case Misbehaved():
            return balance


def row_of(event: Event) -> str:
    if event.account.startswith("nameless") and not MENDED:
        raise ValueError("this account has no row")
    return event.account


balances = View("balances", account, Balance(), key=row_of, evolve=add_to_balance)


class Wealth(Record):
    amount: Money = Decimal(0)
    postings: int = 0


def add_to_wealth(wealth: Wealth, event: Posted) -> Wealth:
    return Wealth(wealth.amount + event.amount, wealth.postings + 1)


wealth = View(
    "wealth",
    account,
    Wealth(),
    key=lambda event: event.owner,
    evolve=add_to_wealth,
    serving=Serving(cache_mb=0),
)


async def tell(event: Opened | Closed | Misbehaved, meta: Meta, send: Sender) -> None:
    what = type(event).__name__ if not isinstance(event, Misbehaved) else event.how
    await send(Message(event.account, what, str(meta.version), meta.event_id))


tellers = Reactor("tellers", account, tell, Retry(TRIES, timedelta(seconds=0.2), longest=timedelta(seconds=2)))
