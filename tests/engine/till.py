"""A context with views by time: tills ring up sales, and say when; one view changes with its version.

The context's name is `TILL`, the version of the view `takings` is `TAKINGS`: the second has another column, the third
counts every unit twice.
"""

import os
from datetime import datetime, timedelta

from foldlog.core import Decider, Hopping, Lookup, Record, Sessions, Topology, Tumbling, View, Windowed, replace

MINUTE = timedelta(minutes=1)


class Sale(Record):
    till: str
    sku: str
    customer: str
    units: int
    at: datetime


class Ring(Sale): ...


class Rung(Sale): ...


class Till(Record):
    sales: int = 0


def decide(command: Ring, till: Till) -> list[Rung]:
    return [Rung(command.till, command.sku, command.customer, command.units, command.at)]


def evolve(till: Till, event: Rung) -> Till:
    return Till(till.sales + 1)


till = Decider("till", Till(), key=lambda command: command.till, decide=decide, evolve=evolve)


class Units(Windowed):
    units: int = 0


class Sold(Units): ...


class SoldLately(Units): ...


class Visit(Windowed):
    sales: int = 0


def add(row: Sold, rung: Rung) -> Sold:
    return replace(row, units=row.units + rung.units)


def add_lately(row: SoldLately, rung: Rung) -> SoldLately:
    return replace(row, units=row.units + rung.units)


def visit(row: Visit, rung: Rung) -> Visit:
    return replace(row, sales=row.sales + 1)


def one_visit(first: Visit, second: Visit) -> Visit:
    return replace(first, sales=first.sales + second.sales)


def rung_at(rung: Rung) -> datetime:
    return rung.at


hourly = View(
    "hourly",
    till,
    Sold(),
    key=lambda rung: rung.sku,
    evolve=add,
    window=Tumbling(60 * MINUTE, at=rung_at, late=24 * 60 * MINUTE),
)
lately = View(
    "lately",
    till,
    SoldLately(),
    key=lambda rung: rung.sku,
    evolve=add_lately,
    window=Hopping(30 * MINUTE, 10 * MINUTE, at=rung_at, keep=90 * MINUTE),
)
visits = View(
    "visits",
    till,
    Visit(),
    key=lambda rung: rung.customer,
    evolve=visit,
    window=Sessions(10 * MINUTE, one_visit, at=rung_at),
)


class Purchases(Record):
    sales: int = 0


class Regulars(Record):
    sales: int = 0
    by_regulars: int = 0


def count(row: Purchases, rung: Rung) -> Purchases:
    return Purchases(row.sales + 1)


def count_regulars(row: Regulars, rung: Rung, customer: Purchases | None) -> Regulars:
    regular = customer is not None and customer.sales >= 3
    return Regulars(row.sales + 1, row.by_regulars + regular)


purchases = View("purchases", till, Purchases(), key=lambda rung: rung.customer, evolve=count)
regulars = View(
    "regulars",
    till,
    Regulars(),
    key=lambda rung: rung.sku,
    evolve=count_regulars,
    lookup=Lookup(purchases, key=lambda rung: rung.customer),
)

VERSION = int(os.environ.get("TAKINGS", "1"))


class Takings(Record):
    units: int = 0
    if VERSION > 1:
        sales: int = 0


def take(row: Takings, rung: Rung) -> Takings:
    more = {"sales": row.sales + 1} if VERSION > 1 else {}
    return replace(row, units=row.units + rung.units * (2 if VERSION == 3 else 1), **more)


takings = View("takings", till, Takings(), key=lambda rung: rung.sku, evolve=take, version=VERSION)

tills = Topology(
    os.environ.get("TILL", "till"),
    deciders=(till,),
    views=(hourly, lately, visits, purchases, regulars, takings),
    partitions=3,
)
