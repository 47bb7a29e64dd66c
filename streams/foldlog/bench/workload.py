"""The workload: bank accounts that take deposits and refuse to be overdrawn; one event a command.

Amounts are whole cents, `sent` is nanoseconds since the epoch: what a peer carries in its values is here too, so
that the records of all systems are of one size.
"""

import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from foldlog.core import Decider, Record, Topology, View, replace

ACCOUNTS = 10_000
PARTITIONS = 4
SEED = 42
DEPOSITS = 0.6  # of all commands
LARGEST = 20_000  # cents


class Deposit(Record):
    account: str
    amount: int
    sent: int


class Withdraw(Record):
    account: str
    amount: int
    sent: int


class Deposited(Record):
    account: str
    amount: int
    balance: int
    sent: int


class Withdrawn(Record):
    account: str
    amount: int
    balance: int
    sent: int


class Refused(Record):
    account: str
    amount: int
    balance: int
    sent: int


class Account(Record):
    balance: int = 0


class Balance(Record):
    """A row of the view: the balance, and when the last command behind it was sent."""

    balance: int = 0
    sent: int = 0


Command = Deposit | Withdraw
Event = Deposited | Withdrawn | Refused


def decide(command: Command, account: Account) -> list[Event]:
    """Deposits are taken, withdrawals paid or refused."""
    match command:
        case Deposit(id, amount, sent):
            return [Deposited(id, amount, account.balance + amount, sent)]
        case Withdraw(id, amount, sent) if account.balance >= amount:
            return [Withdrawn(id, amount, account.balance - amount, sent)]
        case Withdraw(id, amount, sent):
            return [Refused(id, amount, account.balance, sent)]


def evolve(account: Account, event: Event) -> Account:
    """The balance that the event tells."""
    return replace(account, balance=event.balance)


def show(_: Balance, event: Event) -> Balance:
    """The row that the event tells."""
    return Balance(event.balance, event.sent)


def topology(name: str, view: bool = False) -> Topology:
    """The context under a name of its own."""
    account = Decider("account", Account(), key=lambda command: command.account, decide=decide, evolve=evolve)
    balances = View("balances", account, Balance(), key=lambda event: event.account, evolve=show)
    return Topology(name, deciders=(account,), views=(balances,) if view else (), partitions=PARTITIONS)


class Order(NamedTuple):
    """A command before it has a format: `id` is the command's id, `amount` cents."""

    id: str
    account: str
    withdraw: bool
    amount: int


def orders(count: int, accounts: int = ACCOUNTS, seed: int = SEED) -> Iterator[Order]:
    """The same commands for every system: 60 % deposits, accounts drawn evenly."""
    draw = random.Random(seed)  # noqa: S311 — a workload that can be repeated, not a secret
    for _ in range(count):
        bits, account = draw.getrandbits(128), draw.randrange(accounts)
        yield Order(f"{bits:032x}", name_of(account), draw.random() >= DEPOSITS, draw.randrange(1, LARGEST))


def openings(accounts: int) -> Iterator[Order]:
    """One deposit an account, in the accounts' order: what fills a state."""
    for number in range(accounts):
        yield Order(f"opening-{number:08d}", name_of(number), False, number % LARGEST + 1)


def name_of(account: int) -> str:
    """The name of the account of a number."""
    return f"acct-{account:08d}"


@dataclass
class Outcome:
    """What a log of events comes to: counts, and for each account version, balance and a checksum of its history."""

    events: int = 0
    refused: int = 0
    accounts: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def balance(self) -> int:
        """The sum of all balances."""
        return sum(balance for _, balance, _ in self.accounts.values())

    def add(self, account: str, kind: str, amount: int, balance: int, command: str) -> None:
        """Takes an account's next event; `command` is the id of the command behind it."""
        version, _, checksum = self.accounts.get(account, (0, 0, 0))
        checksum = zlib.crc32(f"{kind} {amount} {balance} {command}".encode(), checksum)
        self.accounts[account] = version + 1, balance, checksum
        self.events += 1
        self.refused += kind == "Refused"


def reference(commands: Iterable[Order]) -> Outcome:
    """The outcome by plain arithmetic, with nothing of the engine's."""
    outcome, balances = Outcome(), dict[str, int]()
    for id_, account, withdraw, amount in commands:
        balance = balances.get(account, 0)
        kind = "Deposited" if not withdraw else "Withdrawn" if balance >= amount else "Refused"
        balance += {"Deposited": amount, "Withdrawn": -amount, "Refused": 0}[kind]
        balances[account] = balance
        outcome.add(account, kind, amount, balance, id_)
    return outcome
