"""Errands: a stepwise saga over the bank's accounts. Takes from one account, gives to two others, or gives back."""

import os
from datetime import timedelta
from decimal import Decimal

from foldlog.core import Call, Money, Progress, Record, Retry, Step, Topology, replace, stepwise
from tests.engine.bank import Post, Posted, Refused, account

SOON = timedelta(milliseconds=200)


class RunErrand(Record):
    transfer: str
    source: str
    targets: tuple[str, ...]
    amount: Money


class Errand(Progress):
    transfer: str = ""
    source: str = ""
    targets: tuple[str, ...] = ()
    amount: Money = Decimal(0)


def begin(errand: Errand, command: RunErrand) -> Errand:
    id_, source, targets, amount = command.transfer, command.source, command.targets, command.amount
    return replace(errand, transfer=id_, source=source, targets=targets, amount=amount)


def take(errand: Errand) -> Post:
    return Post(errand.source, -2 * errand.amount, errand.transfer)


def give_back(errand: Errand) -> Post:
    return Post(errand.source, 2 * errand.amount, errand.transfer)


def taken(errand: Errand, event: Posted | Refused) -> bool:
    return event.account == errand.source and event.amount < 0


def given_back(errand: Errand, event: Posted | Refused) -> bool:
    return event.account == errand.source and event.amount > 0


def gift(number: int) -> Step[Errand]:
    """Gives to one of the targets; a refusal is tried again once."""

    def give(errand: Errand) -> Post:
        return Post(errand.targets[number], errand.amount, errand.transfer)

    def take_back(errand: Errand) -> Post:
        return Post(errand.targets[number], -errand.amount, errand.transfer)

    def got(errand: Errand, event: Posted | Refused) -> bool:
        return event.account == errand.targets[number] and event.amount > 0

    def lost(errand: Errand, event: Posted | Refused) -> bool:
        return event.account == errand.targets[number] and event.amount < 0

    call = Call(give, Posted, Refused, got, timeout=timedelta(minutes=5), retry=Retry(1, first=SOON))
    return Step(f"gift {number}", call, Call(take_back, Posted, Refused, lost))


errand = stepwise(
    "errand",
    account,
    Errand(),
    start=begin,
    correlate=lambda message: message.transfer,
    steps=(
        Step("take", Call(take, Posted, Refused, taken), Call(give_back, Posted, Refused, given_back)),
        (gift(0), gift(1)),
    ),
)
errands = Topology(os.environ.get("BANK", "errands"), deciders=(account,), sagas=(errand,), partitions=3)
