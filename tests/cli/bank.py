"""A context that the tests of the command line work with: accounts, their postings, balances, a counting saga."""

from datetime import date
from decimal import Decimal

from foldlog.core import (
    Decider,
    Message,
    Meta,
    Money,
    Reactor,
    Record,
    Rejected,
    Saga,
    Sender,
    Serving,
    Topology,
    View,
    field,
    replace,
)


class Owner(Record):
    name: str
    share: int = 100


class Open(Record):
    account: str
    owners: tuple[Owner, ...] = ()
    since: date | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Post(Record):
    account: str
    amount: Money
    transfer: str | None = None


class Opened(Record):
    account: str


class Posted(Record):
    account: str
    amount: Money
    transfer: str | None = None


class Account(Record):
    open: bool = False
    balance: Money = Decimal(0)


def decide(command: Open | Post, account: Account) -> list[Opened | Posted]:
    match command:
        case Open(id):
            return [] if account.open else [Opened(id)]
        case Post(id, amount, transfer):
            if not account.open:
                raise Rejected(f"account {id} is not open")
            return [Posted(id, amount, transfer)]


def evolve(account: Account, event: Opened | Posted) -> Account:
    match event:
        case Opened():
            return replace(account, open=True)
        case Posted(_, amount):
            return replace(account, balance=account.balance + amount)


def _account_of(command: Open | Post) -> str:
    if command.account == "boom":
        raise ValueError("no such key")
    return command.account


account = Decider("account", Account(), key=_account_of, decide=decide, evolve=evolve)


class Balance(Record):
    amount: Money = Decimal(0)
    postings: int = 0
    last: date | None = None
    owners: tuple[Owner, ...] = ()


def add_posting(balance: Balance, event: Posted) -> Balance:
    return replace(balance, amount=balance.amount + event.amount, postings=balance.postings + 1)


balances = View(
    "balances",
    account,
    Balance(),
    key=lambda event: event.account,
    evolve=add_posting,
    serving=Serving(refresh_ms=50, indexes=("postings",)),
)


class StartTransfer(Record):
    transfer: str
    source: str
    target: str
    amount: Money


class Transfer(Record):
    target: str = ""
    done: bool = False


def react(pending: Transfer, step: StartTransfer | Posted) -> list[Post]:
    match step:
        case StartTransfer(id, source, _, amount):
            return [Post(source, -amount, id)]
        case Posted(_, amount, id) if amount < 0:
            return [Post(pending.target, -amount, id)]
        case Posted():
            return []


def follow(transfer: Transfer, step: StartTransfer | Posted) -> Transfer:
    match step:
        case StartTransfer(_, _, target, _):
            return Transfer(target)
        case Posted(_, amount, _):
            return replace(transfer, done=amount >= 0)


transfer = Saga(
    "transfer",
    account,
    Transfer(),
    correlate=lambda step: step.transfer,
    react=react,
    evolve=follow,
    ended=lambda transfer: transfer.done,
)


async def tell(event: Opened, meta: Meta, send: Sender) -> None:
    await send(Message(event.account, "welcome", "your account is open", meta.event_id))


welcome = Reactor("welcome", account, tell)

bank = Topology("bank", deciders=(account,), sagas=(transfer,), views=(balances,), reactors=(welcome,), partitions=3)
