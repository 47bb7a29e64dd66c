"""A context that subscribes: points for what a customer bought in the shop.

Where MENDED is yes, there is an award for every sale, and a customer who is not named is a stranger.
"""

import os
from decimal import Decimal

from foldlog.core import Decider, Meta, Money, Record, Subscription, Topology

UNBEARABLE = Decimal("13.00")  # an amount for which there is no award


class Award(Record):
    member: str
    points: int
    cause: str


class Awarded(Record):
    member: str
    points: int
    cause: str


class Member(Record):
    points: int = 0


def decide(command: Award, member: Member) -> list[Awarded]:
    return [Awarded(command.member, command.points, command.cause)]


def evolve(member: Member, event: Awarded) -> Member:
    return Member(member.points + event.points)


member = Decider("member", Member(), key=lambda command: command.member, decide=decide, evolve=evolve)


MENDED = os.environ.get("MENDED") == "yes"


class SaleMade(Record):
    """What is wanted of the shop's event of this name."""

    amount: Money
    customer: str
    if MENDED:
        customer = "stranger"


def award(event: SaleMade, meta: Meta) -> Award | None:
    if event.amount == UNBEARABLE and not MENDED:
        raise ValueError("no award for this")
    return Award(event.customer, int(event.amount), meta.event_id) if event.amount >= 1 else None


purchases = Subscription(
    "purchases", f"{os.environ.get('SHOP', 'shop')}.sales", award, int(os.environ.get("PARTITIONS", "3"))
)

loyalty = Topology(os.environ.get("LOYALTY", "loyalty"), deciders=(member,), consumes=(purchases,), partitions=2)
