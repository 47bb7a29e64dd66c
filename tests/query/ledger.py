"""A context whose views are of every kind: of one aggregate, moved to another key, over two logs.

The context's name is `BANK`, so that each test can have topics of its own.
"""

import os
from decimal import Decimal

from foldlog.core import Decider, Meta, Money, Record, Topology, View, replace


class Post(Record):
    account: str
    owner: str
    amount: Money


class Close(Record):
    account: str


class Posted(Record):
    account: str
    owner: str
    amount: Money


class Closed(Record):
    account: str


class Account(Record):
    balance: Money = Decimal(0)


def decide(command: Post | Close, state: Account) -> list[Posted | Closed]:
    match command:
        case Post(account, owner, amount):
            return [Posted(account, owner, amount)]
        case Close(account):
            return [Closed(account)]


def evolve(state: Account, event: Posted | Closed) -> Account:
    return Account(state.balance + event.amount) if isinstance(event, Posted) else Account()


account = Decider("account", Account(), key=lambda c: c.account, decide=decide, evolve=evolve)


class Earn(Record):
    account: str
    owner: str
    points: int


class Earned(Record):
    account: str
    owner: str
    points: int


class Card(Record):
    points: int = 0


def earn(command: Earn, card: Card) -> list[Earned]:
    return [Earned(command.account, command.owner, command.points)]


def count(card: Card, event: Earned) -> Card:
    return Card(card.points + event.points)


card = Decider("card", Card(), key=lambda c: c.account, decide=earn, evolve=count)


class Balance(Record):
    amount: Money = Decimal(0)
    postings: int = 0
    version: int = 0


def add(row: Balance, event: Posted | Closed, meta: Meta) -> Balance | None:
    match event:
        case Posted(_, _, amount) if amount == 666:
            raise ValueError("an amount that cannot be folded")
        case Posted(_, _, amount):
            return Balance(row.amount + amount, row.postings + 1, meta.version)
        case Closed():
            return None


balances = View("balances", account, Balance(), key=lambda event: event.account, evolve=add)


class Wealth(Record):
    amount: Money = Decimal(0)
    events: int = 0


def sum_up(row: Wealth, event: Posted) -> Wealth:
    return Wealth(row.amount + event.amount, row.events + 1)


wealth = View("wealth", account, Wealth(), key=lambda event: event.owner, evolve=sum_up)


class Holdings(Record):
    amount: Money = Decimal(0)
    points: int = 0
    events: int = 0


def gather(row: Holdings, event: Posted | Earned) -> Holdings:
    match event:
        case Posted(_, _, amount):
            return replace(row, amount=row.amount + amount, events=row.events + 1)
        case Earned(_, _, points):
            return replace(row, points=row.points + points, events=row.events + 1)


holdings = View("holdings", (account, card), Holdings(), key=lambda event: event.owner, evolve=gather)

ledger = Topology(
    os.environ.get("BANK", "ledger"), deciders=(account, card), views=(balances, wealth, holdings), partitions=3
)
