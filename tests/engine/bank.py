"""A small context for the tests of the engine: accounts, two sagas, two views, a reactor, and ways to go wrong.

The context's name is `BANK`, so that each test can have topics of its own. What tests say of it is to be had here.
"""

import os

from foldlog.core import Topology
from tests.engine.accounts import (
    LARGE,
    UNLUCKY,
    Account,
    Balance,
    Close,
    Closed,
    Misbehave,
    Misbehaved,
    Open,
    Opened,
    Post,
    Posted,
    Refused,
    Wealth,
    account,
    balances,
    tellers,
    wealth,
)
from tests.engine.standing import Due, Standing, StandingOrder, StopOrder, standing
from tests.engine.transfer import Transfer, TransferMoney, transfer

__all__ = [
    "LARGE",
    "UNLUCKY",
    "Account",
    "Balance",
    "Close",
    "Closed",
    "Due",
    "Misbehave",
    "Misbehaved",
    "Open",
    "Opened",
    "Post",
    "Posted",
    "Refused",
    "Standing",
    "StandingOrder",
    "StopOrder",
    "Transfer",
    "TransferMoney",
    "Wealth",
    "account",
    "balances",
    "bank",
    "standing",
    "tellers",
    "transfer",
    "wealth",
]

bank = Topology(
    os.environ.get("BANK", "bank"),
    deciders=(account,),
    sagas=(transfer, standing),
    views=(balances, wealth),
    reactors=(tellers,),
    partitions=3,
)
