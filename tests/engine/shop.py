"""A context that publishes: sales, of which others learn the customer and the amount.

The contexts' names are `SHOP` and `LOYALTY`, so that each run can have topics of its own. Where MENDED is yes,
every sale can be told.
"""

import os
from decimal import Decimal

from foldlog.core import Decider, Meta, Money, Publication, Record, Topology

UNLUCKY = Decimal("666.00")  # an amount that nobody can translate


class Sell(Record):
    sale: str
    customer: str
    amount: Money


class Sold(Record):
    sale: str
    customer: str
    amount: Money


class Gifted(Record):
    sale: str


class Sale(Record):
    sold: bool = False


def decide(command: Sell, sale: Sale) -> list[Sold | Gifted]:
    if command.amount == 0:
        return [Gifted(command.sale)]
    return [Sold(command.sale, command.customer, command.amount)]


def evolve(sale: Sale, event: Sold | Gifted) -> Sale:
    return Sale(sold=True)


sale = Decider("sale", Sale(), key=lambda command: command.sale, decide=decide, evolve=evolve)


class SaleMade(Record):
    """A customer has bought something; `sale` is the shop's own number of it."""

    customer: str
    amount: Money
    sale: str


class GiftMade(Record):
    sale: str


def tell(event: Sold | Gifted, meta: Meta) -> SaleMade | GiftMade | None:
    match event:
        case Sold(amount=amount) if amount == UNLUCKY and os.environ.get("MENDED") != "yes":
            raise ValueError("this sale cannot be told")
        case Sold(customer="nobody"):
            return None
        case Sold(_, customer, amount):
            return SaleMade(customer, amount, meta.aggregate_id)
        case Gifted(id):
            return GiftMade(id)


sales = Publication("sales", sale, tell)

shop = Topology(os.environ.get("SHOP", "shop"), deciders=(sale,), publishes=(sales,), partitions=3)
