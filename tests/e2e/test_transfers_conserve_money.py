"""Transfers between two services whose workers are killed: money is conserved to the cent, and every transfer ends.

FOLDLOG_E2E_TRANSFERS sets how many; 100000 are among 1,000 accounts, sent at 1,000 a second, with ten kills.
"""

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from tests.e2e.banking import LIMIT, SAVINGS, Load, Market
from tests.e2e.running import eventually
from topologies.banking.account import AccountCredited, HoldCaptured, HoldReleased
from topologies.banking.settlement import OVERDUE
from topologies.banking.transfer import Status, TransferExpired, TransferFailed

TRANSFERS = int(os.environ.get("FOLDLOG_E2E_TRANSFERS", "400"))
LOAD = Load(accounts=max(20, TRANSFERS // 100), transfers=TRANSFERS, seed=1997)
KILLS = max(3, TRANSFERS // 10_000)
RATE = 1000.0  # transfers/s
NOTHING = Decimal("0.00")


@pytest.fixture
def market(cluster: Cluster, tmp_path: Path) -> Iterator[Market]:
    with closing(Registry(cluster.registry)) as registry:
        market = Market(cluster, registry, tmp_path, f"m{uuid.uuid4().hex[:8]}")
        with closing(market):
            yield market


def send(market: Market) -> None:
    """Sends every transfer, and on the way kills the two workers in turns, each in the middle of its work."""
    began, disturb = time.monotonic(), {(1 + kill) * TRANSFERS // (KILLS + 1): kill for kill in range(KILLS)}
    for number, (request, expiry) in enumerate(LOAD.requests()):
        market.transfer(request, expiry, again=number % 50 == 0)
        if number % 100 == 0:
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        if number in disturb:
            market.flush()
            context = ("banking", "risk")[disturb[number] % 2]
            market.workers[context].ready()
            before = market.written()
            eventually(lambda before=before: market.written() > before, "the transfers' log grows", 120)  # type: ignore[misc]
            market.workers[context].kill()
            market.start(context)
    market.flush()


def test_no_cent_is_made_or_lost_while_both_services_are_killed(market: Market) -> None:
    workers = [market.start(context) for context in ("banking", "risk")]
    market.open(LOAD)
    market.suspect("a0000")
    for worker in workers:
        worker.ready()
    send(market)
    market.settle(TRANSFERS)
    accounts, transfers = market.states(market.bank, "account"), market.states(market.bank, "transfer")

    balances = [state.balance for state in accounts.values() if state.owner is not None]
    assert sum(balances, NOTHING) == LOAD.accounts * SAVINGS
    assert all(state.balance >= 0 and state.holds == {} for state in accounts.values())

    assert len(transfers) == TRANSFERS
    statuses = Counter(state.status for state in transfers.values())
    assert statuses.keys() == {Status.COMPLETED, Status.FAILED}
    assert statuses[Status.COMPLETED] > TRANSFERS / 2
    assert_moved_once(market, {id_ for id_, state in transfers.items() if state.status is Status.COMPLETED})
    assert_reasons(market)
    assert_views(market, accounts, statuses)
    assert max(market.published(market.bank, "transfers").values()) == 1
    assert max(market.published(market.risk, "assessments").values()) == 1
    profiles = market.states(market.risk, "profile")
    eventually(lambda: not any(each.open for each in market.states(market.risk, "profile").values()), "no exposure")
    assert profiles["a0000"].case == "c1"
    for worker in market.workers.values():
        worker.ready().stop()


def assert_moved_once(market: Market, completed: set[str]) -> None:
    """Each transfer took at most once and gave what it took: a compensation happens once."""
    taken, given, given_back = Counter[str](), Counter[str](), Counter[str]()
    for event, _ in market.events(market.bank, "account"):
        match event:
            case HoldCaptured(transfer=id_):
                taken[id_] += 1
            case AccountCredited(transfer=id_):
                given[id_] += 1
            case HoldReleased(transfer=id_):
                given_back[id_] += 1
            case _:
                pass
    assert taken == given
    assert set(taken.values()) <= {1}
    assert set(given_back.values()) <= {1}
    assert completed <= taken.keys()
    assert not taken.keys() & given_back.keys()


def assert_reasons(market: Market) -> None:
    """The failures are those that the load asks for."""
    reasons = Counter(e.reason for e, _ in market.events(market.bank, "transfer") if isinstance(e, TransferFailed))
    assert reasons["fraud case c1 is open"] > 0
    assert reasons[f"above the daily limit of {LIMIT}"] > 0
    assert any(reason.startswith("there is no account nobody") for reason in reasons)


def assert_views(market: Market, accounts: dict[str, object], statuses: Counter[Status]) -> None:
    """The views are the folds of the logs."""

    def are_right() -> bool:
        statements, totals = market.rows(market.bank, "statements"), market.rows(market.bank, "daily_totals").values()
        told = sum(row.completed for row in totals), sum(row.failed for row in totals)
        balances = {id_: (row.balance, row.held) for id_, row in statements.items()}
        wanted = {id_: (state.balance, NOTHING) for id_, state in accounts.items() if state.owner is not None}  # type: ignore[attr-defined]
        return balances == wanted and told == (statuses[Status.COMPLETED], statuses[Status.FAILED])

    eventually(are_right, "the views are up to date")


def test_without_risk_a_transfer_runs_out_of_time_and_a_late_answer_changes_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDLOG_TEST_PATIENCE", "2")
    load = Load(accounts=2, transfers=6, seed=7)
    market.open(load)
    market.start("banking").ready()
    for request, _ in load.requests():
        market.transfer(request, None, again=False)
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
