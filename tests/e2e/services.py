"""Bank and risk as the tests run them: under names of their own, some transfers hasty, and some never heard of by risk.

What is special about a transfer stands in its id, so that every function stays a pure one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from foldlog.core import Cancel, Schedule, Topology
from topologies.banking import banking
from topologies.banking.settlement import PATIENCE, Command, Settlement, Step, react, settlement
from topologies.risk import risk
from topologies.risk.exchange import TransferAbandoned, TransferSettled, TransferSubmitted, hear
from topologies.risk.profile import AssessTransfer, CloseExposure

UNHEARD, HASTY = "unheard-", "hasty-"


def patience_of(transfer: str, patience: timedelta) -> timedelta:
    """How long a transfer waits for its clearance: a hasty one about as long as that takes."""
    return patience / 20 if transfer.startswith(HASTY) else patience


def bank_of(name: str, patience: timedelta = PATIENCE) -> Topology:
    """The bank of a market."""

    def react_in_time(before: Settlement, step: Step) -> Sequence[Command | Schedule | Cancel]:
        after, asked = patience_of(step.transfer, patience), react(before, step)
        return [replace(each, after=after) if isinstance(each, Schedule) else each for each in asked]

    subscriptions = tuple(replace(each, publisher=f"{name}_risk.assessments") for each in banking.consumes)
    saga = replace(settlement, react=react_in_time)
    return replace(banking, name=f"{name}_bank", sagas=(saga,), consumes=subscriptions)


def risk_of(name: str) -> Topology:
    """The risk context of a market."""
    [bank_transfers] = risk.consumes
    heard = replace(bank_transfers, publisher=f"{name}_bank.transfers", translate=hear_most)
    return replace(risk, name=f"{name}_risk", consumes=(heard,))


def hear_most(
    event: TransferSubmitted | TransferSettled | TransferAbandoned,
) -> AssessTransfer | CloseExposure | None:
    """What risk does about a transfer: nothing where it has not heard of it."""
    return None if event.transfer.startswith(UNHEARD) else hear(event)
