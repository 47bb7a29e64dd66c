"""Transfers among accounts, sent while the workers of both services are killed in turns."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from tests.e2e.banking import LIMIT, MONDAY, Market
from tests.e2e.services import HASTY, UNHEARD
from topologies.banking.transfer import RequestTransfer, Terms

BUSY = 20  # transfers a day and account, well below what makes risk open a case
RATE = 250.0  # the most transfers/s that are sent, so that few of them take some kills too
UNDER_WAY = 500  # the most that are sent and have not ended: clearances come in time while both services run
FIRST_KILL, NEXT_KILL = 3.0, 10.0  # s


@dataclass(frozen=True)
class Load:
    """Of a hundred transfers two go nowhere, two are above a limit, two are never cleared and two have no patience."""

    accounts: int
    transfers: int
    seed: int

    def names(self) -> list[str]:
        """The accounts."""
        return [f"a{number:04}" for number in range(self.accounts)]

    def requests(self) -> Iterator[RequestTransfer]:
        """The transfers in order; what is special about one is left to chance."""
        chance, names = random.Random(self.seed), self.names()
        for number in range(self.transfers):
            source, target = chance.sample(names, 2)
            lot, cents = chance.random(), chance.randint(1, 5000)
            amount = LIMIT + 1 if 0.02 <= lot < 0.04 else Decimal(cents) / 100
            day = MONDAY + timedelta(days=number // (self.accounts * BUSY))
            kind = UNHEARD if 0.04 <= lot < 0.06 else HASTY if 0.06 <= lot < 0.08 else "t"
            terms = Terms(source, f"nobody-{target}" if lot < 0.02 else target, amount, day)
            yield RequestTransfer(f"{kind}{number:06}", terms)


@dataclass
class Killer:
    """Kills the workers in turns, one every ten seconds, each where it has begun its work again."""

    market: Market
    kills: Counter[str] = field(default_factory=Counter)
    due: float = field(default_factory=lambda: time.monotonic() + FIRST_KILL)

    def turn(self) -> None:
        """Kills, if it is time."""
        context = ("banking", "risk")[self.kills.total() % 2]
        worker = self.market.workers[context]
        if time.monotonic() < self.due or not worker.is_ready():
            return
        worker.kill()
        self.market.start(context)
        self.kills[context] += 1
        self.due = time.monotonic() + NEXT_KILL


def send(market: Market, load: Load) -> Counter[str]:
    """Sends every transfer, some twice under one id; how often each worker was killed meanwhile."""
    killer, began = Killer(market), time.monotonic()
    for number, request in enumerate(load.requests()):
        market.transfer(request, again=number % 50 == 0)
        while number - market.ended() > UNDER_WAY or time.monotonic() - began < number / RATE:
            market.follow(0.05)
            killer.turn()
    market.flush()
    return killer.kills
