"""Standing orders: a saga whose timers post to an account, once or again and again."""

from datetime import timedelta

from foldlog.core import Cancel, Money, Record, Rejected, Saga, Schedule, replace
from tests.engine.accounts import UNLUCKY, Post, Posted, account


class StandingOrder(Record):
    """Posts `amount` to an account `times` times, the first time after `every_ms`."""

    transfer: str
    target: str
    amount: Money
    every_ms: int
    times: int = 1


class StopOrder(Record):
    transfer: str


class Due(Record):
    """What a standing order is told by its timer."""

    transfer: str
    number: int


class Standing(Record):
    order: StandingOrder | None = None
    done: int = 0
    stopped: bool = False


def pay(standing: Standing, step: StandingOrder | StopOrder | Due | Posted) -> list[Post | Schedule | Cancel]:
    match step, standing.order:
        case StandingOrder(id, every_ms=every), None:
            return [Schedule("next", Due(id, 1), after=timedelta(milliseconds=every))]
        case StandingOrder(), _:
            raise Rejected("there is such an order")
        case StopOrder(), _:
            return [Cancel("next")]
        case Due(), StandingOrder(amount=amount) if amount == UNLUCKY:
            raise ValueError("this step cannot be taken")
        case Due(_, number), StandingOrder(id, target, amount, every, times):
            again = Schedule("next", Due(id, number + 1), after=timedelta(milliseconds=every))
            return [Post(target, amount, id), *([again] if number < times else [])]
        case _:
            return []


def stand(standing: Standing, step: StandingOrder | StopOrder | Due | Posted) -> Standing:
    match step:
        case StandingOrder():
            return Standing(step)
        case StopOrder():
            return replace(standing, stopped=True)
        case Due(_, number):
            return replace(standing, done=number)
        case Posted():
            return standing


standing = Saga(
    "standing",
    account,
    Standing(),
    correlate=lambda step: step.transfer,
    react=pay,
    evolve=stand,
    ended=lambda standing: standing.stopped or (standing.order is not None and standing.done == standing.order.times),
)
