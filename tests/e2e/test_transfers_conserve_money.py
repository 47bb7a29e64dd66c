"""Transfers between two services whose workers are killed: money is conserved to the cent, and every transfer ends.

FOLDLOG_E2E_TRANSFERS sets how many; with 100000, which `make kill-tests` takes, they are among 1,000 accounts.
"""

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from tests.e2e import checkers, conservation
from tests.e2e.banking import LIMIT, MONDAY, SAVINGS, Market
from tests.e2e.running import eventually
from tests.e2e.services import UNHEARD, patience_of
from tests.e2e.transfers import Load, send
from topologies.banking.account import NOTHING, Account
from topologies.banking.settlement import OVERDUE
from topologies.banking.transfer import (
    RequestTransfer,
    Status,
    Terms,
    TransferCompleted,
    TransferExpired,
    TransferFailed,
)

TRANSFERS = int(os.environ.get("FOLDLOG_E2E_TRANSFERS", "5000"))
LOAD = Load(accounts=max(20, TRANSFERS // 100), transfers=TRANSFERS, seed=1997)
PATIENCE = timedelta(seconds=15)


@pytest.fixture
def market(cluster: Cluster, tmp_path: Path) -> Iterator[Market]:
    with closing(Registry(cluster.registry)) as registry:
        market = Market(cluster, registry, tmp_path, f"m{uuid.uuid4().hex[:8]}")
        with closing(market):
            yield market


@pytest.mark.timeout(600 + TRANSFERS // 20)
def test_no_cent_is_made_or_lost_while_both_services_are_killed(
    market: Market, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOLDLOG_TEST_PATIENCE", str(PATIENCE.total_seconds()))
    for context in ("banking", "risk"):
        market.start(context)
    market.open(LOAD.names())
    market.suspect("a0000")
    for worker in market.workers.values():
        worker.ready()
    began = time.monotonic()
    kills = send(market, LOAD)
    assert kills["banking"] > 0
    market.settle(TRANSFERS)
    took = time.monotonic() - began

    ends = ends_of(market)
    accounts, settlements = market.states(market.bank, "account"), market.settlements()
    sent = [request.transfer for request in LOAD.requests()]
    assert [
        *conservation.lost_money(accounts, LOAD.accounts * SAVINGS),
        *conservation.wrong_ends(sent, ends),
        *conservation.wrong_movements(ends, (event for event, _ in market.events(market.bank, "account"))),
        *conservation.wrong_timers(settlements, ends, partial(patience_of, patience=PATIENCE)),
        *checkers.open_sagas(sent, settlements),
    ] == []
    assert_all_kinds(ends)
    assert_views(market, accounts, ends)
    assert_public(market)
    for worker in market.workers.values():
        worker.ready().stop()
    fired = sum(step.step == "ClearanceOverdue" for each in settlements.values() for step in each.taken)
    with capsys.disabled():
        sys.stdout.write(f" [{TRANSFERS} in {took:.0f} s; killed: {dict(kills)}; timers: {fired}; {told(ends)}] ")


def ends_of(market: Market) -> list[conservation.End]:
    """How the transfers ended, from a log whose versions are without gap or repeat."""
    statuses = Counter(state.status for state in market.states(market.bank, "transfer").values())
    assert statuses.keys() == {Status.COMPLETED, Status.FAILED}
    events = (event for event, _ in market.events(market.bank, "transfer"))
    return [event for event in events if isinstance(event, TransferCompleted | TransferFailed)]


def assert_all_kinds(ends: list[conservation.End]) -> None:
    """Each kind of end that the load asks for is there, and what nobody cleared was not carried out."""
    reasons = Counter(end.reason for end in ends if isinstance(end, TransferFailed))
    assert sum(reasons.values()) < TRANSFERS
    assert reasons["fraud case c1 is open"] > 0
    assert reasons[f"above the daily limit of {LIMIT}"] > 0
    assert any(reason.startswith("there is no account nobody") for reason in reasons)
    unheard = [end for end in ends if end.transfer.startswith(UNHEARD)]
    assert not [end for end in unheard if isinstance(end, TransferCompleted)]
    assert reasons[OVERDUE] >= sum(isinstance(end, TransferFailed) and end.reason == OVERDUE for end in unheard) > 0


def assert_public(market: Market) -> None:
    """What one service tells the other is told once, and in the end nothing is under way there either."""
    assert max(market.published(market.bank, "transfers").values()) == 1
    assert max(market.published(market.risk, "assessments").values()) == 1
    eventually(lambda: not any(each.open for each in market.states(market.risk, "profile").values()), "no exposure")
    assert market.states(market.risk, "profile")["a0000"].case == "c1"


def told(ends: list[conservation.End]) -> str:
    """The ends by kind."""
    kinds = Counter(end.reason.split(" ")[0] if isinstance(end, TransferFailed) else "completed" for end in ends)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def assert_views(market: Market, accounts: dict[str, Account], ends: list[conservation.End]) -> None:
    """The views are the folds of the logs."""
    completed = sum(isinstance(end, TransferCompleted) for end in ends)

    def are_right() -> bool:
        statements, totals = market.rows(market.bank, "statements"), market.rows(market.bank, "daily_totals").values()
        told = sum(row.completed for row in totals), sum(row.failed for row in totals)
        balances = {id_: (row.balance, row.held) for id_, row in statements.items()}
        wanted = {id_: (state.balance, NOTHING) for id_, state in accounts.items() if state.owner is not None}
        return balances == wanted and told == (completed, len(ends) - completed)

    eventually(are_right, "the views are up to date")


def test_without_risk_a_transfer_runs_out_of_time_and_a_late_answer_changes_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDLOG_TEST_PATIENCE", "2")
    market.open(["ada", "bob"])
    market.start("banking").ready()
    for number in range(6):
        market.transfer(RequestTransfer(f"t{number}", Terms("ada", "bob", Decimal(10), MONDAY)))
    market.flush()
    market.settle(6)
    events = Counter(type(event) for event, _ in market.events(market.bank, "transfer"))
    assert (events[TransferExpired], events[TransferFailed]) == (6, 6)
    assert {e.reason for e, _ in market.events(market.bank, "transfer") if isinstance(e, TransferFailed)} == {OVERDUE}
    market.start("risk").ready()
    eventually(lambda: len(market.published(market.risk, "assessments")) == 6, "risk answers, too late")
    eventually(lambda: len(market.answers()) == 6, "the bank hears it")
    states = market.states(market.bank, "account").values()
    assert [(state.balance, state.held) for state in states] == [(SAVINGS, 0)] * 2
    assert {state.status for state in market.states(market.bank, "transfer").values()} == {Status.FAILED}
