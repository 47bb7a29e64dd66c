"""The context under fire: accounts in cents, transfers that end or are refunded, two views.

Every command that makes sense writes exactly one event, a refusal included, so that an acknowledged command can be
looked for. An account keeps a digest of all its events in their order: an audit tells whether a state is the fold of
its log. The context's name is `CHAOS_BANK`, so that scenarios on one cluster have topics of their own.
"""

import os
from hashlib import blake2b

from foldlog.core import Decider, Record, Rejected, Saga, Topology, View, replace

CAP = 60_000  # cents: what a transfer would bring above it is refused


class Open(Record):
    account: str
    owner: str


class Deposit(Record):
    account: str
    cents: int
    transfer: str | None = None


class Withdraw(Record):
    account: str
    cents: int
    transfer: str | None = None


class Refund(Record):
    account: str
    cents: int
    transfer: str


class Audit(Record):
    account: str


class Opened(Record):
    account: str
    owner: str


class Deposited(Record):
    account: str
    owner: str
    cents: int
    transfer: str | None = None


class Withdrawn(Record):
    account: str
    owner: str
    cents: int
    transfer: str | None = None


class Refunded(Record):
    account: str
    owner: str
    cents: int
    transfer: str


class Refused(Record):
    account: str
    what: str
    cents: int
    transfer: str | None = None


class Audited(Record):
    account: str
    owner: str
    cents: int
    entries: int
    trail: str


Command = Open | Deposit | Withdraw | Refund | Audit
Event = Opened | Deposited | Withdrawn | Refunded | Refused | Audited


class Account(Record):
    owner: str = ""
    cents: int = 0
    entries: int = 0
    trail: str = ""


def decide(command: Command, account: Account) -> list[Event]:  # noqa: PLR0911 — one for each case
    match command:
        case Open(id, owner):
            return [Refused(id, "open", 0) if account.owner else Opened(id, owner)]
        case Deposit(_, cents) | Withdraw(_, cents) if cents <= 0:
            raise Rejected("an amount is positive")
        case Deposit(id, cents, transfer) if account.owner and not (transfer and account.cents + cents > CAP):
            return [Deposited(id, account.owner, cents, transfer)]
        case Deposit(id, cents, transfer):
            return [Refused(id, "deposit", cents, transfer)]
        case Withdraw(id, cents, transfer) if account.owner and account.cents >= cents:
            return [Withdrawn(id, account.owner, cents, transfer)]
        case Withdraw(id, cents, transfer):
            return [Refused(id, "withdraw", cents, transfer)]
        case Refund(id, cents, transfer):
            return [Refunded(id, account.owner, cents, transfer)]
        case Audit(id):
            return [Audited(id, account.owner, account.cents, account.entries, account.trail)]


def evolve(account: Account, event: Event) -> Account:
    trail = blake2b(f"{account.trail}|{event!r}".encode(), digest_size=12).hexdigest()
    after = replace(account, entries=account.entries + 1, trail=trail)
    match event:
        case Opened(_, owner):
            return replace(after, owner=owner)
        case Deposited(_, _, cents) | Refunded(_, _, cents):
            return replace(after, cents=after.cents + cents)
        case Withdrawn(_, _, cents):
            return replace(after, cents=after.cents - cents)
        case Refused() | Audited():
            return after


account = Decider("account", Account(), key=lambda command: command.account, decide=decide, evolve=evolve)


class Balance(Record):
    cents: int = 0
    entries: int = 0


def add(balance: Balance, event: Deposited | Withdrawn | Refunded) -> Balance:
    cents = -event.cents if isinstance(event, Withdrawn) else event.cents
    return Balance(balance.cents + cents, balance.entries + 1)


class Holding(Record):
    cents: int = 0
    entries: int = 0


def hold(holding: Holding, event: Deposited | Withdrawn | Refunded) -> Holding:
    cents = -event.cents if isinstance(event, Withdrawn) else event.cents
    return Holding(holding.cents + cents, holding.entries + 1)


balances = View("balances", account, Balance(), key=lambda event: event.account, evolve=add)
holdings = View("holdings", account, Holding(), key=lambda event: event.owner, evolve=hold)


class TransferMoney(Record):
    transfer: str
    source: str
    target: str
    cents: int


class Transfer(Record):
    source: str = ""
    target: str = ""
    status: str = "new"  # new → pending → done, refunded or refused


Step = TransferMoney | Deposited | Withdrawn | Refunded | Refused


def react(transfer: Transfer, step: Step) -> list[Withdraw | Deposit | Refund]:
    match step:
        case TransferMoney(id, source, _, cents) if transfer.status == "new":
            return [Withdraw(source, cents, id)]
        case Withdrawn(cents=cents, transfer=id) if transfer.status == "pending" and id:
            return [Deposit(transfer.target, cents, id)]
        case Refused(what="deposit", cents=cents, transfer=id) if transfer.status == "pending" and id:
            return [Refund(transfer.source, cents, id)]
        case _:
            return []


def follow(transfer: Transfer, step: Step) -> Transfer:
    match step:
        case TransferMoney(_, source, target) if transfer.status == "new":
            return Transfer(source, target, "pending")
        case Deposited():
            return replace(transfer, status="done")
        case Refunded():
            return replace(transfer, status="refunded")
        case Refused(what="withdraw"):
            return replace(transfer, status="refused")
        case TransferMoney() | Withdrawn() | Refused():
            return transfer


transfer = Saga(
    "transfer",
    account,
    Transfer(),
    correlate=lambda step: step.transfer,
    react=react,
    evolve=follow,
    ended=lambda transfer: transfer.status in ("done", "refunded", "refused"),
)

bank = Topology(
    os.environ.get("CHAOS_BANK", "chaos"),
    deciders=(account,),
    sagas=(transfer,),
    views=(balances, holdings),
    partitions=3,
)
