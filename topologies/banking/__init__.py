"""Banking: accounts, and transfers between them that are held, cleared by the risk context, and settled or undone."""

from foldlog.core import Topology
from topologies.banking.account import account
from topologies.banking.public import clearances, daily_totals, statements, transfers
from topologies.banking.settlement import settlement
from topologies.banking.transfer import transfer

banking = Topology(
    "banking",
    deciders=(account, transfer),
    sagas=(settlement,),
    views=(statements, daily_totals),
    publishes=(transfers,),
    consumes=(clearances,),
)

__all__ = ["banking"]
