"""The workload: the reference is the fold of the decider, and so is the rule of the Python peers."""

import importlib
from pathlib import Path
from typing import Any

import pytest

import foldlog.bench
from foldlog.bench.workload import (
    Account,
    Deposit,
    Deposited,
    Outcome,
    Refused,
    Withdraw,
    Withdrawn,
    decide,
    evolve,
    openings,
    orders,
    reference,
    topology,
)
from foldlog.core.folding import fold
from foldlog.core.specification import given

COUNT, ACCOUNTS = 3000, 40


def decided(count: int, accounts: int) -> Outcome:
    """The outcome by the decider."""
    outcome, states = Outcome(), dict[str, Account]()
    for id_, account, withdraw, amount in orders(count, accounts):
        state = states.get(account, Account())
        for event in decide((Withdraw if withdraw else Deposit)(account, amount, 0), state):
            state = evolve(state, event)
            outcome.add(account, type(event).__name__, event.amount, event.balance, id_)
        states[account] = state
    return outcome


def test_the_reference_is_the_fold_of_the_decider() -> None:
    assert decided(COUNT, ACCOUNTS) == reference(orders(COUNT, ACCOUNTS))


def test_a_withdrawal_beyond_the_balance_is_refused() -> None:
    account = topology("bench").deciders[0]
    given(account, Deposited("ada", 10, 10, 0)).when(Withdraw("ada", 11, 7)).then(Refused("ada", 11, 10, 7))
    given(account, Deposited("ada", 10, 10, 0)).when(Withdraw("ada", 10, 7)).then(Withdrawn("ada", 10, 0, 7))


def test_every_command_has_one_event_and_no_balance_is_negative() -> None:
    outcome = reference(orders(COUNT, ACCOUNTS))
    assert outcome.events == COUNT == sum(version for version, _, _ in outcome.accounts.values())
    assert 0 < outcome.refused < COUNT / 2
    assert all(balance >= 0 for _, balance, _ in outcome.accounts.values())


def test_the_same_seed_gives_the_same_commands_and_another_seed_others() -> None:
    assert list(orders(100)) == list(orders(100))
    assert list(orders(100)) != list(orders(100, seed=7))


def test_command_ids_are_unique() -> None:
    assert len({order.id for order in orders(COUNT)}) == COUNT


def test_openings_fill_each_account_once() -> None:
    outcome = reference(openings(100))
    assert len(outcome.accounts) == outcome.events == 100
    assert outcome.refused == 0


def test_the_view_shows_the_balance_of_the_last_event() -> None:
    view = topology("bench", view=True).views[0]
    events: Any = [(Deposited("ada", 10, 10, 1), None), (Withdrawn("ada", 4, 6, 2), None)]
    assert (fold(view, events).balance, fold(view, events).sent) == (6, 2)


def test_the_python_peers_have_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_SCHEMAS", str(Path(foldlog.bench.__file__).parent))
    rule = importlib.import_module("tests.bench.peers.account").decide
    outcome, states = Outcome(), dict[str, Any]()
    for order in orders(COUNT, ACCOUNTS):
        command = {"command_id": order.id, "account_id": order.account, "amount": order.amount, "sent": 0}
        command["type"] = "Withdraw" if order.withdraw else "Deposit"
        states[order.account], event = rule(states.get(order.account, (0, 0)), command)
        outcome.add(order.account, event["type"], event["amount"], event["balance"], event["command_id"])
        assert event["version"] == outcome.accounts[order.account][0]
    assert outcome == reference(orders(COUNT, ACCOUNTS))
