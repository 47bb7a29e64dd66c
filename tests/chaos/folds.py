"""What the log comes to: accounts and views, folded from events by the bank's own functions."""

from typing import Any, cast

from foldlog.core import Record, View
from tests.chaos import bank
from tests.chaos.bank import Account
from tests.chaos.collected import Collected, Event


def fold_one(before: Account, event: Event) -> Account:
    """An account after one event more."""
    after: Account = bank.evolve(before, event.record)  # type: ignore[arg-type]  # only events are in the log
    return after


def fold_accounts(found: Collected) -> dict[str, Account]:
    """Every account as the fold of the whole log, in the log's order."""
    accounts: dict[str, Account] = {}
    for event in found.events:
        accounts[event.account] = fold_one(accounts.get(event.account, Account()), event)
    return accounts


def fold_view(view: View[Any, Any], events: list[Event]) -> Record:
    """A view's row of these events."""
    row = view.initial
    for event in events:
        row = view.evolve(row, event.record)  # type: ignore[call-arg]  # the bank's views do not ask for Meta
    return cast(Record, row)
