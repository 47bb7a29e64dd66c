"""Standing orders that pay at a time, and how late they do."""

import uuid
from collections.abc import Sequence
from decimal import Decimal

from foldlog.core import topics
from tests.engine.bank import Open, Standing, StandingOrder
from tests.engine.running import Bank

one = Decimal("1.00")


def ids(count: int) -> list[str]:
    """Names that no other test knows."""
    return [uuid.uuid4().hex for _ in range(count)]


def orders(bank: Bank, count: int, soonest_ms: int, latest_ms: int) -> list[str]:
    """Sends standing orders that pay once each, spread over a time; their ids."""
    [account], names = ids(1), ids(count)
    bank.send(Open(account))
    every = [soonest_ms + (latest_ms - soonest_ms) * n // count for n in range(count)]
    bank.send(*(StandingOrder(name, account, one, ms) for name, ms in zip(names, every, strict=True)))
    return names


def lateness(bank: Bank, names: Sequence[str]) -> list[float]:
    """Seconds between the time at which each order was due and the writing of the step that followed, ascending."""
    found, late = set(names), []
    for entry in bank.tail(topics.table(bank.name, "standing")).entries():
        state, process = bank.codec.decode_with(entry.value or b"")
        assert isinstance(state, Standing)
        if state.order and (entry.key or b"").decode() in found and process.ended:
            asked, paid = process.taken
            late.append((paid.time - asked.time).total_seconds() - state.order.every_ms / 1000)
            assert late[-1] >= -0.001, "never before it is due; a record's time is in whole milliseconds"
            late[-1] += entry.time_ms / 1000 - paid.time.timestamp()
    return sorted(late)
