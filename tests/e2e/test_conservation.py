"""The checkers of the bank's logs catch what they are for: each meets good logs, and some that were doctored."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from foldlog.core import Record, replace
from foldlog.core.contract import Process, Taken, Timer
from tests.e2e.conservation import End, lost_money, wrong_ends, wrong_movements, wrong_timers
from topologies.banking.account import (
    Account,
    AccountCredited,
    CreditRefused,
    HoldCaptured,
    HoldPlaced,
    HoldRefused,
    HoldReleased,
)
from topologies.banking.settlement import OVERDUE
from topologies.banking.transfer import Terms, TransferCompleted, TransferFailed

TEN, DAY, NOON = Decimal("10.00"), date(2026, 1, 5), datetime(2026, 1, 5, 12, tzinfo=UTC)
TERMS = Terms("ada", "bob", TEN, DAY)
NOWHERE = Terms("ada", "nobody", TEN, DAY)
POOR = "insufficient funds"
ENDS: list[End] = [
    TransferCompleted("1", TERMS),
    TransferFailed("2", TERMS, OVERDUE),
    TransferFailed("3", NOWHERE, "there is no account nobody"),
    TransferFailed("4", TERMS, POOR),
]
LOG: list[Record] = [
    *(HoldPlaced("ada", id_, TEN, DAY) for id_ in "123"),
    HoldCaptured("ada", "1", TEN, DAY),
    AccountCredited("bob", "1", TEN, DAY),
    HoldReleased("ada", "2", TEN, DAY),
    HoldCaptured("ada", "3", TEN, DAY),
    CreditRefused("nobody", "3", TEN, DAY),
    AccountCredited("ada", "3", TEN, DAY),
    HoldRefused("ada", "4", TEN, DAY, POOR),
]


def test_good_logs_have_no_fault() -> None:
    accounts = {"ada": Account("ada", balance=Decimal(90)), "bob": Account("bob", balance=Decimal(110))}
    assert not list(lost_money(accounts, Decimal(200)))
    assert not list(wrong_ends("1234", ENDS))
    assert not list(wrong_movements(ENDS, LOG))
    assert not list(wrong_timers({"1": settlement("1"), "2": settlement("2", 15.0)}, ENDS, patience))


def test_a_cent_is_missed() -> None:
    assert list(lost_money({"ada": Account("ada", balance=TEN)}, Decimal("10.01"))) == [
        "10.00 are there, 10.01 were paid in"
    ]


def test_a_debt_and_a_hold_are_caught() -> None:
    accounts = {"ada": Account("ada", balance=-TEN), "bob": Account("bob", balance=TEN, held=TEN, holds={"1": TEN})}
    assert list(lost_money(accounts, Decimal(0))) == [
        "account ada: the balance is -10.00",
        "account bob: 10.00 are held, by ['1']",
    ]


def test_two_ends_none_and_one_of_nothing_are_caught() -> None:
    assert list(wrong_ends("1235", [*ENDS, ENDS[0]])) == [
        "transfer 1 was sent and has 2 ends",
        "transfer 4 was not sent and has 1 ends",
        "transfer 5 was sent and has 0 ends",
    ]


@pytest.mark.parametrize("event", LOG, ids=lambda event: f"{type(event).__name__} {event.transfer}")
def test_a_movement_that_lacks_or_is_there_twice_is_caught(event: Record) -> None:
    for log in ([each for each in LOG if each != event], [*LOG, event]):
        [fault] = wrong_movements(ENDS, log)
        assert fault.startswith(f"transfer {event.transfer}: ")  # type: ignore[attr-defined]


def test_another_amount_and_money_of_no_transfer_are_caught() -> None:
    log = [*LOG[:-1], HoldRefused("ada", "4", TEN + 1, DAY, POOR), HoldPlaced("ada", "9", TEN, DAY)]
    other, strange = wrong_movements(ENDS, log)
    assert other == f"transfer 4: 1 {log[-2]} instead of 1 {LOG[-1]}"
    assert strange == f"transfer 9: 1 {log[-1]} instead of nothing"


def patience(_: str) -> timedelta:
    return timedelta(seconds=15)


def settlement(id_: str, *overdue: float) -> Process:
    """A settlement whose timer went off after these seconds."""
    steps = [Taken(1, "TransferRequested", NOON, f"transfer:{id_}@1")]
    for after in overdue:
        time = NOON + timedelta(seconds=after)
        steps.append(Taken(len(steps) + 1, "ClearanceOverdue", time, f"settlement:{id_}:1.clearance"))
    return Process(len(steps), ended=True, taken=tuple(steps))


def test_a_timer_that_went_off_twice_early_or_not_at_all_is_caught() -> None:
    assert list(wrong_timers({"1": settlement("1", 15.0, 16.0)}, ENDS, patience)) == [
        "settlement 1: its timer went off 2 times"
    ]
    assert list(wrong_timers({"2": settlement("2")}, ENDS, patience)) == ["settlement 2: its timer went off 0 times"]
    assert list(wrong_timers({"1": settlement("1", 14.9)}, ENDS, patience)) == [
        "settlement 1: its timer went off after 0:00:14.900000"
    ]


def test_a_pending_timer_a_strange_one_and_a_forgotten_step_are_caught() -> None:
    pending = replace(settlement("1"), timers=(Timer("clearance", NOON, b"", "", ""),))
    strange = settlement("2", 15.0)
    strange = replace(strange, taken=(strange.taken[0], replace(strange.taken[1], causation="another")))
    found = list(wrong_timers({"1": pending, "2": strange, "4": replace(settlement("4"), steps=2)}, ENDS, patience))
    assert found == [
        "settlement 1: a timer is pending",
        "settlement 2: its timer is another",
        "settlement 4: 2 steps, 1 are known",
    ]
