"""A context with every type that a record may have."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID, uuid4

from foldlog.core import field
from foldlog.core.contract import Contract
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.record import Money, Record, Scale
from foldlog.core.saga import Saga
from foldlog.core.topology import Topology
from foldlog.core.view import View

Sku = NewType("Sku", str)
Rate = Annotated[Decimal, Scale(38, 10)]


class Colour(Enum):
    """What it looks like."""

    UNKNOWN = 0
    RED = 1
    GREEN = 2


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Line(Record):
    sku: Sku
    quantity: int
    price: Money


class Card(Record):
    number: str


class Cash(Record): ...


class Tree(Record):
    value: int
    children: "tuple[Tree, ...]" = ()


class Keyed(Record, kw_only=True):
    first: str
    second: int = 2


class Everything(Record):
    """One field of each type.

    Only the first line of this becomes the schema's doc.
    """

    text: str
    number: int
    ratio: float
    flag: bool
    raw: bytes
    amount: Money
    rate: Rate
    moment: datetime
    day: date
    ident: UUID
    colour: Colour
    size: Size
    word: Literal["up", "down"]
    line: Line
    lines: tuple[Line, ...]
    tags: list[str]
    prices: dict[str, Money]
    discounts: tuple[Money | None, ...]
    maybe: str | None
    payment: Card | Cash
    refund: Cash | Card | None
    tree: Tree
    keyed: Keyed


class Defaults(Record):
    """A default of each type that can have one."""

    text: str = "é"
    number: int = -1
    ratio: float = 0.5
    flag: bool = True
    raw: bytes = b"\x00\xff"
    amount: Money = Decimal("-1.50")
    moment: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    day: date = date(2020, 1, 1)
    ident: UUID = UUID(int=1)
    colour: Colour = Colour.RED
    word: Literal["up", "down"] = "up"
    line: Line = Line(Sku("a"), 1, Decimal(2))
    lines: tuple[Line, ...] = (Line(Sku("a"), 1, Decimal(2)),)
    tags: list[str] = field(default_factory=list)
    prices: dict[str, Money] = {}  # noqa: RUF012 — msgspec copies it
    maybe: str | None = None
    note: str | None = "none"
    payment: Card | Cash | None = Cash()


class Post(Record):
    account: str
    amount: Money
    note: str | None = None


class Posted(Record):
    account: str
    amount: Money
    note: str | None = None


class Account(Record):
    balance: Money = Decimal(0)


class Balance(Record):
    amount: Money = Decimal(0)


class Steps(Record):
    seen: int = 0


def decide(command: Post, account: Account) -> list[Posted]:
    return [Posted(command.account, command.amount, command.note)]


def evolve(account: Account, event: Posted) -> Account:
    return Account(account.balance + event.amount)


def show(row: Balance, event: Posted) -> Balance:
    return Balance(row.amount + event.amount)


def react(steps: Steps, event: Posted) -> list[Post]:
    return []


def advance(steps: Steps, event: Posted) -> Steps:
    return Steps(steps.seen + 1)


account = Decider("account", Account(), key=lambda c: c.account, decide=decide, evolve=evolve)


def banking(name: str = "banking") -> Topology:
    """A context with one record in each part."""
    view = View("balances", account, Balance(), key=lambda e: e.account, evolve=show)
    saga = Saga("audit", account, Steps(), correlate=lambda e: e.account, react=react, evolve=advance)
    return Topology(name, deciders=(account,), views=(view,), sagas=(saga,))


def fresh_name() -> str:
    """The name of a context that no registry has seen."""
    return f"c{uuid4().hex[:12]}"


def contract(record: type[Record], part: Any = "command") -> Contract:
    return Contract(record, "shop", "cart", part)


@dataclass(frozen=True)
class Sample:
    """One event and its meta."""

    event = Posted("ada", Decimal("-12.50"), "rent")
    meta = Meta("ada@7", "ada", 7, datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC), "c-1", "k-1", "ops", None)
