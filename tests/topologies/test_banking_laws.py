"""What holds for bank and risk together however their messages interleave: money is neither made nor lost."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core import Record
from foldlog.testing import fold
from tests.topologies.driver import Driver, Place
from topologies.banking import banking
from topologies.banking.account import (
    NOTHING,
    AccountCredited,
    Deposit,
    HoldCaptured,
    MoneyDeposited,
    OpenAccount,
    account,
)
from topologies.banking.public import daily_totals, statements
from topologies.banking.transfer import (
    BlockTransfer,
    ClearTransfer,
    ExpireTransfer,
    RequestTransfer,
    Status,
    Terms,
    TransferCompleted,
    TransferFailed,
)
from topologies.risk import risk
from topologies.risk.compliance import compliance_status
from topologies.risk.profile import CloseCase, OpenCase

ACCOUNTS = ("ada", "bob", "eve")
DAYS = (date(2026, 1, 5), date(2026, 1, 6))
amounts = st.decimals("0.01", "400", places=2)
savings = st.decimals("0.01", "2000", places=2)
terms = st.builds(
    Terms, st.sampled_from(ACCOUNTS), st.sampled_from([*ACCOUNTS, "nobody"]), amounts, st.sampled_from(DAYS)
)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, list[Record]]]:
    """Accounts with money, transfers that are asked for once or twice, and those who interfere at any time."""
    story: list[tuple[str, list[Record]]] = []
    for id_ in ACCOUNTS:
        opening = OpenAccount(id_, id_, draw(st.sampled_from([Decimal(500), Decimal(100_000)])))
        story.append((f"teller {id_}", [opening, Deposit(id_, draw(savings), DAYS[0])]))
    for number in range(draw(st.integers(1, 8))):
        id_, wanted = f"t{number}", draw(terms)
        asked = [RequestTransfer(id_, wanted)] * draw(st.integers(1, 2))
        story.append((f"customer {wanted.source}", [*asked]))
        interference: list[Record] = draw(
            st.lists(
                st.sampled_from([ExpireTransfer(id_), ClearTransfer(id_), BlockTransfer(id_, "by hand")]), max_size=2
            )
        )
        story.append((f"late {id_}", interference))
    suspects = draw(st.lists(st.sampled_from(ACCOUNTS), max_size=2, unique=True))
    cases: list[tuple[str, list[Record]]]
    cases = [(f"analyst {id_}", [OpenCase(id_, "c", "a hint"), CloseCase(id_, "c")]) for id_ in suspects]
    return story + cases


@st.composite
def runs(draw: st.DrawFn) -> Driver:
    """A story told to the end, in an interleaving of its own; the tellers are mostly first and interference late."""
    random, patience = Random(draw(st.integers(0, 1 << 32))), draw(st.sampled_from([0.9, 0.99, 0]))

    def choose(places: Sequence[Place]) -> Place:
        tellers = [place for place in places if "teller" in place[0]]
        others = [place for place in places if not place[0].startswith(("late", "timer"))]
        return random.choice((tellers or others or places) if random.random() < patience else places)

    driver = Driver((banking, risk), choose)
    for sender, commands in draw(stories()):
        driver.send(sender, *commands)
    driver.run()
    return driver


def amount_of(run: Driver, kind: type[Record]) -> Decimal:
    """The sum of the events of one type."""
    return sum((getattr(event, "amount", NOTHING) for _, event in run.events if type(event) is kind), NOTHING)


@settings(max_examples=300, deadline=None)
@given(runs())
def test_money_is_conserved_to_the_cent(run: Driver) -> None:
    assert sum((each.balance for each in run.of("account").values()), NOTHING) == amount_of(run, MoneyDeposited)
    assert amount_of(run, HoldCaptured) == amount_of(run, AccountCredited)


@settings(max_examples=300, deadline=None)
@given(runs())
def test_no_account_is_ever_overdrawn_and_no_hold_stays(run: Driver) -> None:
    for id_ in run.of("account"):
        mine = [event for event in run.events_of("account") if getattr(event, "account", "") == id_]
        for count in range(len(mine) + 1):
            state = fold(account, *mine[:count])
            assert 0 <= state.held <= state.balance
            assert state.held == sum(state.holds.values())
        assert state.holds == {}


@settings(max_examples=300, deadline=None)
@given(runs())
def test_every_transfer_ends_and_none_of_its_steps_is_rejected(run: Driver) -> None:
    assert all(saga.ended for saga in run.of("settlement").values())
    assert {each.status for each in run.of("transfer").values()} <= {Status.COMPLETED, Status.FAILED}
    assert not [reason for reason in run.rejections if not reason.startswith(("late", "customer"))]


@settings(max_examples=300, deadline=None)
@given(runs())
def test_a_transfer_moves_its_amount_once_or_not_at_all(run: Driver) -> None:
    for id_, transfer in run.of("transfer").items():
        wanted = transfer.terms
        moved = dict.fromkeys((*ACCOUNTS, "nobody"), NOTHING)
        for _, event in run.events:
            match event:
                case HoldCaptured(owner, transfer=of, amount=amount) if of == id_:
                    moved[owner] -= amount
                case AccountCredited(owner, transfer=of, amount=amount) if of == id_:
                    moved[owner] += amount
                case _:
                    pass
        changes = {name: amount for name, amount in moved.items() if amount}
        completed = transfer.status is Status.COMPLETED
        assert changes == ({wanted.source: -wanted.amount, wanted.target: wanted.amount} if completed else {})


@settings(max_examples=200, deadline=None)
@given(runs())
def test_risk_forgets_no_exposure_and_keeps_none(run: Driver) -> None:
    for id_, profile in run.of("profile").items():
        assert (profile.open, profile.score.exposure, profile.case) == ({}, 0, None)
        row = fold(compliance_status, *(e for e in run.events_of("profile") if getattr(e, "account", "") == id_))
        assert (row.score, row.case) == (profile.score, None)
    assessed = sum(type(event).__name__ in ("TransferApproved", "TransferDenied") for _, event in run.events)
    assert assessed == len(run.of("settlement"))


@settings(max_examples=200, deadline=None)
@given(runs())
def test_the_views_tell_what_the_aggregates_hold(run: Driver) -> None:
    for id_, state in run.of("account").items():
        mine = [e for e in run.events_of("account") if type(e) in statements.events and e.account == id_]  # type: ignore[attr-defined]
        row = fold(statements, *mine)
        assert (row.balance, row.held) == (state.balance, state.held)
    ended = [e for e in run.events_of("transfer") if isinstance(e, TransferCompleted | TransferFailed)]
    total = fold(daily_totals, *ended)
    statuses = [each.status for each in run.of("transfer").values()]
    assert (total.completed, total.failed) == (statuses.count(Status.COMPLETED), statuses.count(Status.FAILED))
    assert total.moved == sum((e.terms.amount for e in ended if isinstance(e, TransferCompleted)), NOTHING)
