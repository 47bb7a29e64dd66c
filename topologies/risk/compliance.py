"""What the compliance officers see: a row for each account, and an alert when a threshold is crossed."""

from foldlog.core import Message, Meta, Reactor, Record, Sender, View, replace
from topologies.risk.profile import (
    CaseClosed,
    CaseOpened,
    Event,
    ExposureClosed,
    ThresholdCrossed,
    TransferApproved,
    TransferDenied,
    profile,
)
from topologies.risk.scoring import Level, Score, level

OFFICERS = "compliance@bank.example"


class ComplianceStatus(Record):
    """One account: its latest scores, what was decided about its transfers, and why it is blocked, if it is."""

    level: Level = Level.CLEAR
    score: Score = Score()
    approved: int = 0
    denied: int = 0
    case: str | None = None
    reason: str | None = None


def evolve(row: ComplianceStatus, event: Event) -> ComplianceStatus:
    match event:
        case TransferApproved(score=score):
            return replace(row, score=score, level=level(score), approved=row.approved + 1)
        case TransferDenied():
            return replace(row, denied=row.denied + 1)
        case ExposureClosed(score=score):
            return replace(row, score=score, level=level(score))
        case CaseOpened(_, case, reason):
            return replace(row, case=case, reason=reason)
        case CaseClosed():
            return replace(row, case=None, reason=None)
        case ThresholdCrossed():
            return row


compliance_status = View(
    "compliance_status", profile, ComplianceStatus(), key=lambda event: event.account, evolve=evolve
)


async def alert(event: ThresholdCrossed | CaseOpened, meta: Meta, send: Sender) -> None:
    match event:
        case ThresholdCrossed(id_, score):
            subject = f"Account {id_} is near a limit"
            body = f"Exposure {score.exposure}, {score.velocity} transfers today."
        case CaseOpened(id_, case, reason):
            subject, body = f"Fraud case {case}: account {id_} is blocked", f"Reason: {reason}."
    await send(Message(OFFICERS, subject, body, idempotency_key=meta.event_id))


alerts = Reactor("alerts", profile, alert)
