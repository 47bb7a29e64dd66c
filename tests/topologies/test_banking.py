"""The bank: accounts with holds and limits, transfers that are cleared in time or not, and their settlement."""

from datetime import date
from decimal import Decimal

import pytest

from foldlog.core import Cancel, Record, Schedule
from foldlog.testing import fold, given, rows
from topologies.banking.account import (
    AccountCredited,
    AccountOpened,
    CaptureHold,
    CreditAccount,
    CreditRefused,
    Deposit,
    HoldCaptured,
    HoldPlaced,
    HoldRefused,
    HoldReleased,
    MoneyDeposited,
    OpenAccount,
    PlaceHold,
    ReleaseHold,
    account,
)
from topologies.banking.public import (
    ENTRIES,
    DailyTotal,
    Entry,
    Statement,
    TransferAbandoned,
    TransferPassed,
    TransferSettled,
    TransferStopped,
    TransferSubmitted,
    answer,
    daily_totals,
    statements,
    tell,
)
from topologies.banking.settlement import OVERDUE, PATIENCE, ClearanceOverdue, settlement
from topologies.banking.transfer import (
    BlockTransfer,
    ClearTransfer,
    CompleteTransfer,
    ExpireTransfer,
    FailTransfer,
    RequestTransfer,
    Terms,
    TransferBlocked,
    TransferCleared,
    TransferCompleted,
    TransferExpired,
    TransferFailed,
    TransferRequested,
    transfer,
)

monday, tuesday = date(2026, 1, 5), date(2026, 1, 6)
ten, fifty, hundred = Decimal("10.00"), Decimal("50.00"), Decimal("100.00")
opened = AccountOpened("ada", "Ada", fifty)
funded = (opened, MoneyDeposited("ada", hundred, monday))
held = HoldPlaced("ada", "t", ten, monday)
terms = Terms("ada", "bob", ten, monday)
requested = TransferRequested("t", terms)


def test_an_account_is_opened_once() -> None:
    given(account).when(OpenAccount("ada", "Ada", fifty)).then(opened)
    given(account, opened).when(OpenAccount("ada", "Ada", fifty)).then()
    given(account, opened).when(OpenAccount("ada", "Bob", fifty)).then_rejected("is Ada's already")


def test_money_goes_to_open_accounts() -> None:
    given(account, opened).when(Deposit("ada", ten, monday)).then(MoneyDeposited("ada", ten, monday))
    given(account, opened).when(Deposit("ada", -ten, monday)).then_rejected("an amount above 0, not -10.00")
    given(account).when(Deposit("ada", ten, monday)).then_rejected("needs an open account")
    given(account, opened).when(CreditAccount("ada", "t", ten, monday)).then(AccountCredited("ada", "t", ten, monday))
    given(account).when(CreditAccount("ada", "t", ten, monday)).then(CreditRefused("ada", "t", ten, monday))


def test_what_is_held_cannot_be_held_again() -> None:
    wanted = PlaceHold("ada", "t", ten, monday)
    given(account, *funded).when(wanted).then(held)
    given(account, *funded, held).when(wanted).then()
    poor = (opened, MoneyDeposited("ada", ten, monday), held)
    refused = HoldRefused("ada", "other", ten, monday, "insufficient funds")
    given(account, *poor).when(PlaceHold("ada", "other", ten, monday)).then(refused)
    nobody = HoldRefused("eve", "t", ten, monday, "there is no such account")
    given(account).when(PlaceHold("eve", "t", ten, monday)).then(nobody)


def test_the_daily_limit_counts_what_was_held_that_day_and_not_released() -> None:
    before = (*funded, HoldPlaced("ada", "t1", fifty, monday))
    more = PlaceHold("ada", "t2", ten, monday)
    refused = HoldRefused("ada", "t2", ten, monday, "above the daily limit of 50.00")
    given(account, *before).when(more).then(refused)
    given(account, *before, HoldCaptured("ada", "t1", fifty, monday)).when(more).then(refused)
    given(account, *before, HoldReleased("ada", "t1", fifty, monday)).when(more).then(
        HoldPlaced("ada", "t2", ten, monday)
    )
    later = PlaceHold("ada", "t2", ten, tuesday)
    given(account, *before).when(later).then(HoldPlaced("ada", "t2", ten, tuesday))


def test_a_day_that_is_past_counts_for_the_newest() -> None:
    before = (*funded, HoldPlaced("ada", "t1", fifty, tuesday))
    refused = HoldRefused("ada", "t2", ten, monday, "above the daily limit of 50.00")
    given(account, *before).when(PlaceHold("ada", "t2", ten, monday)).then(refused)


def test_a_hold_is_captured_or_released_once_and_whole() -> None:
    capture, release = CaptureHold("ada", "t", ten, monday), ReleaseHold("ada", "t", ten, monday)
    given(account, *funded, held).when(capture).then(HoldCaptured("ada", "t", ten, monday))
    given(account, *funded, held).when(release).then(HoldReleased("ada", "t", ten, monday))
    ended = (*funded, held, HoldCaptured("ada", "t", ten, monday))
    given(account, *ended).when(capture).then_rejected("holds nothing for transfer t")
    given(account, *ended).when(release).then_rejected("holds nothing for transfer t")
    assert (fold(account, *ended).balance, fold(account, *ended).held) == (hundred - ten, 0)


def test_a_transfer_is_requested_once() -> None:
    given(transfer).when(RequestTransfer("t", terms)).then(requested)
    given(transfer, requested).when(RequestTransfer("t", terms)).then()
    other = RequestTransfer("t", Terms("ada", "bob", fifty, monday))
    given(transfer, requested).when(other).then_rejected("transfer t is another one already")
    same = RequestTransfer("t", Terms("ada", "ada", ten, monday))
    given(transfer).when(same).then_rejected("needs two accounts")
    nothing = RequestTransfer("t", Terms("ada", "bob", ten - ten, monday))
    given(transfer).when(nothing).then_rejected("an amount above 0")


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (ClearTransfer("t"), TransferCleared("t")),
        (BlockTransfer("t", "fraud"), TransferBlocked("t", "fraud")),
        (ExpireTransfer("t"), TransferExpired("t")),
    ],
)
def test_the_first_answer_counts_and_later_ones_change_nothing(command: Record, event: Record) -> None:
    given(transfer, requested).when(command).then(event)
    for late in (ClearTransfer("t"), BlockTransfer("t", "late"), ExpireTransfer("t")):
        given(transfer, requested, event).when(late).then()
    given(transfer).when(command).then_rejected("transfer t does not exist")


def test_only_a_cleared_transfer_is_completed() -> None:
    given(transfer, requested, TransferCleared("t")).when(CompleteTransfer("t")).then(TransferCompleted("t", terms))
    given(transfer, requested).when(CompleteTransfer("t")).then_rejected("transfer t requested")
    given(transfer, requested, TransferExpired("t")).when(CompleteTransfer("t")).then_rejected("transfer t stopped")


def test_a_transfer_ends_once() -> None:
    completed = (requested, TransferCleared("t"), TransferCompleted("t", terms))
    given(transfer, *completed).when(CompleteTransfer("t")).then()
    given(transfer, *completed).when(FailTransfer("t", "no")).then_rejected("transfer t completed")
    failed = TransferFailed("t", terms, "no")
    given(transfer, requested).when(FailTransfer("t", "no")).then(failed)
    given(transfer, requested, failed).when(FailTransfer("t", "no")).then()


on_ada, on_bob = ("ada", "t", ten, monday), ("bob", "t", ten, monday)
overdue = Schedule("clearance", ClearanceOverdue("t"), after=PATIENCE)
begun = (requested, HoldPlaced(*on_ada))


def test_a_settlement_holds_the_money_and_sets_a_deadline() -> None:
    given(settlement).when(requested).then(PlaceHold(*on_ada), overdue)
    given(settlement, requested).when(ClearanceOverdue("t")).then(ExpireTransfer("t"))


def test_money_moves_when_it_is_held_and_cleared_in_whatever_order() -> None:
    move = (Cancel("clearance"), CaptureHold(*on_ada))
    given(settlement, *begun).when(TransferCleared("t")).then(*move)
    given(settlement, requested).when(TransferCleared("t")).then()
    given(settlement, requested, TransferCleared("t")).when(HoldPlaced(*on_ada)).then(*move)


def test_captured_money_is_credited_and_the_transfer_completed() -> None:
    cleared = (*begun, TransferCleared("t"))
    given(settlement, *cleared).when(HoldCaptured(*on_ada)).then(CreditAccount(*on_bob))
    given(settlement, *cleared, HoldCaptured(*on_ada)).when(AccountCredited(*on_bob)).then(CompleteTransfer("t"))


@pytest.mark.parametrize(
    ("stopped", "reason"), [(TransferBlocked("t", "fraud"), "fraud"), (TransferExpired("t"), OVERDUE)]
)
def test_a_stopped_transfer_lets_go_of_the_money(stopped: Record, reason: str) -> None:
    let_go = (Cancel("clearance"), ReleaseHold(*on_ada))
    given(settlement, *begun).when(stopped).then(*let_go)
    given(settlement, requested, stopped).when(HoldPlaced(*on_ada)).then(*let_go)
    given(settlement, *begun, stopped).when(HoldReleased(*on_ada)).then(FailTransfer("t", reason))


def test_a_refused_hold_fails_the_transfer() -> None:
    refused = HoldRefused(*on_ada, "insufficient funds")
    given(settlement, requested).when(refused).then(FailTransfer("t", "insufficient funds"))
    given(settlement, requested, refused).when(TransferCleared("t")).then()


def test_a_refused_credit_goes_back() -> None:
    captured = (*begun, TransferCleared("t"), HoldCaptured(*on_ada))
    given(settlement, *captured).when(CreditRefused(*on_bob)).then(CreditAccount(*on_ada))
    back = AccountCredited(*on_ada)
    given(settlement, *captured, CreditRefused(*on_bob)).when(back).then(FailTransfer("t", "there is no account bob"))


def test_money_that_no_transfer_moved_is_nobodys_step() -> None:
    given(settlement).when(AccountCredited(*on_ada)).then()
    assert settlement.ended(fold(settlement, *begun, TransferFailed("t", terms, "no")))


def test_a_statement_shows_balance_holds_and_the_newest_entries() -> None:
    row = fold(statements, *funded, held, HoldCaptured(*on_ada), AccountCredited("ada", "u", fifty, tuesday))
    entries = (
        Entry(monday, "deposit", hundred),
        Entry(monday, "transfer t", -ten),
        Entry(tuesday, "transfer u", fifty),
    )
    assert row == Statement("Ada", hundred + fifty - ten, Decimal(0), 3, entries)
    many = fold(statements, *[MoneyDeposited("ada", ten, monday)] * (ENTRIES + 1))
    assert (many.count, len(many.entries)) == (ENTRIES + 1, ENTRIES)


def test_daily_totals_are_of_the_business_day() -> None:
    late = Terms("ada", "bob", fifty, tuesday)
    found = rows(
        daily_totals, TransferCompleted("t", terms), TransferFailed("u", late, "no"), TransferCompleted("v", late)
    )
    assert found == {"2026-01-05": DailyTotal(1, ten), "2026-01-06": DailyTotal(1, fifty, 1, fifty)}


def test_the_world_hears_that_a_transfer_was_submitted_settled_or_abandoned() -> None:
    news = ("t", "ada", "bob", ten, monday)
    assert tell(requested) == TransferSubmitted(*news)
    assert tell(TransferCompleted("t", terms)) == TransferSettled(*news)
    assert tell(TransferFailed("t", terms, "no")) == TransferAbandoned(*news, "no")


def test_what_risk_says_is_an_answer() -> None:
    assert answer(TransferPassed("t")) == ClearTransfer("t")
    assert answer(TransferStopped("t", "fraud")) == BlockTransfer("t", "fraud")
