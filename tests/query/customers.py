"""The orders context as far as its view `customers` goes; the second version of the view has another column.

The context's name is `BANK`, so that each test can have topics of its own; the version is `CUSTOMERS`.
"""

import os

from foldlog.core import Money, Topology, View
from topologies.orders.customers import Customer as Declared
from topologies.orders.customers import customers as declared_view
from topologies.orders.customers import evolve as evolve_declared
from topologies.orders.order import order
from topologies.orders.order_messages import PriceCalculated
from topologies.orders.pricing import NOTHING

VERSION = int(os.environ.get("CUSTOMERS", "1"))


class Customer(Declared):
    if VERSION > 1:
        largest: Money = NOTHING


def evolve(row: Customer, placed: PriceCalculated) -> Customer:
    known = evolve_declared(row, placed)
    more = {"largest": max(getattr(row, "largest"), placed.total)} if VERSION > 1 else {}  # noqa: B009
    return Customer(*(getattr(known, name) for name in Declared.__struct_fields__), **more)


customers = View("customers", order, Customer(), key=declared_view.key, evolve=evolve, version=VERSION)
orders = Topology(os.environ.get("BANK", "orders"), deciders=(order,), views=(customers,), partitions=3)
