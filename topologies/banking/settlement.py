"""Settlement: hold the money and have the transfer cleared, side by side; then move it, or let go of it.

A clearance that does not come in time is as good as none, so that every transfer ends.
Money leaves an account only by a captured hold, and then it is credited: to the target, or back to the source.
"""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from foldlog.core import Cancel, Money, Record, Saga, Schedule, replace
from topologies.banking.account import (
    AccountCredited,
    CaptureHold,
    CreditAccount,
    CreditRefused,
    HoldCaptured,
    HoldPlaced,
    HoldRefused,
    HoldReleased,
    PlaceHold,
    ReleaseHold,
    account,
)
from topologies.banking.transfer import (
    CompleteTransfer,
    ExpireTransfer,
    FailTransfer,
    TransferBlocked,
    TransferCleared,
    TransferCompleted,
    TransferExpired,
    TransferFailed,
    TransferRequested,
    transfer,
)

PATIENCE = timedelta(minutes=5)  # that a hold waits for its clearance
OVERDUE = "no clearance in time"


class ClearanceOverdue(Record):
    transfer: str


Held = HoldPlaced | HoldRefused | HoldReleased | HoldCaptured
Answered = TransferCleared | TransferBlocked | TransferExpired
Waited = Answered | ClearanceOverdue
Step = TransferRequested | Held | Waited | AccountCredited | CreditRefused | TransferCompleted | TransferFailed
Command = PlaceHold | ReleaseHold | CaptureHold | CreditAccount | ExpireTransfer | CompleteTransfer | FailTransfer


class Clearance(StrEnum):
    """UNKNOWN is how an older reader sees what was added after it; nothing writes it."""

    UNKNOWN = "unknown"
    AWAITED = "awaited"
    GIVEN = "given"
    DENIED = "denied"


class Settlement(Record):
    """One transfer on its way; `reason` says why it will fail."""

    transfer: str = ""
    source: str = ""
    target: str = ""
    amount: Money = Decimal("0.00")
    day: date = date.min
    is_held: bool = False
    clearance: Clearance = Clearance.AWAITED
    reason: str | None = None
    ended: bool = False


def react(before: Settlement, step: Step) -> list[Command | Schedule | Cancel]:
    state = evolve(before, step)
    if not state.transfer:
        return []  # a hold or a credit that no transfer asked for
    on_source = (state.source, state.transfer, state.amount, state.day)
    match step:
        case TransferRequested():
            overdue = Schedule("clearance", ClearanceOverdue(state.transfer), after=PATIENCE)
            return [PlaceHold(*on_source), overdue]
        case ClearanceOverdue():
            return [ExpireTransfer(state.transfer)]
        case HoldPlaced() | TransferCleared() | TransferBlocked() | TransferExpired():
            return decided(state)
        case HoldCaptured():
            return [CreditAccount(state.target, state.transfer, state.amount, state.day)]
        case CreditRefused():
            return [CreditAccount(*on_source)]
        case AccountCredited() if state.reason is None:
            return [CompleteTransfer(state.transfer)]
        case HoldRefused() | HoldReleased() | AccountCredited():
            return [FailTransfer(state.transfer, state.reason or "")]
        case TransferCompleted() | TransferFailed():
            return []


def decided(state: Settlement) -> list[Command | Schedule | Cancel]:
    """What becomes of the hold, once there is one and the answer is here too."""
    if not state.is_held or state.clearance is Clearance.AWAITED:
        return []
    end = CaptureHold if state.clearance is Clearance.GIVEN else ReleaseHold
    return [Cancel("clearance"), end(state.source, state.transfer, state.amount, state.day)]


def evolve(state: Settlement, step: Step) -> Settlement:
    match step:
        case TransferRequested(id_, terms):
            return Settlement(id_, terms.source, terms.target, terms.amount, terms.day)
        case HoldPlaced():
            return replace(state, is_held=True)
        case TransferCleared():
            return replace(state, clearance=Clearance.GIVEN)
        case TransferBlocked(_, reason):
            return replace(state, clearance=Clearance.DENIED, reason=reason)
        case TransferExpired():
            return replace(state, clearance=Clearance.DENIED, reason=OVERDUE)
        case HoldRefused(reason=reason):
            return replace(state, reason=reason)
        case CreditRefused(account=target):
            return replace(state, reason=f"there is no account {target}")
        case ClearanceOverdue() | HoldReleased() | HoldCaptured() | AccountCredited():
            return state
        case TransferCompleted() | TransferFailed():
            return replace(state, ended=True)


settlement = Saga(
    "settlement",
    source=(transfer, account),
    initial=Settlement(),
    correlate=lambda step: step.transfer,
    react=react,
    evolve=evolve,
    ended=lambda state: state.ended,
)
