"""Orders: from a customer's order to goods that are paid and shipped, or to a cancellation that undoes all."""

from foldlog.core import Topology
from topologies.orders.customers import customers
from topologies.orders.fulfilment import fulfilment
from topologies.orders.notifications import notifications
from topologies.orders.order import order
from topologies.orders.order_status import order_status
from topologies.orders.payment import payment
from topologies.orders.stock import stock
from topologies.orders.stock_levels import stock_levels

orders = Topology(
    "orders",
    deciders=(order, stock, payment),
    sagas=(fulfilment,),
    views=(order_status, stock_levels, customers),
    reactors=(notifications,),
)

__all__ = ["orders"]
