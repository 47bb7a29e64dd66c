"""Profile of one account: each transfer from it is assessed; while a fraud case is open, none passes."""

from datetime import date

from foldlog.core import Decider, Money, Record, Rejected, field, replace
from topologies.risk.scoring import MOST_A_DAY, Level, Score, level, reason


class ProfileMessage(Record):
    account: str


class AssessTransfer(ProfileMessage):
    transfer: str
    amount: Money
    day: date


class CloseExposure(ProfileMessage):
    transfer: str


class OpenCase(ProfileMessage):
    case: str
    reason: str


class CloseCase(ProfileMessage):
    case: str


class TransferApproved(ProfileMessage):
    transfer: str
    amount: Money
    day: date
    score: Score


class TransferDenied(ProfileMessage):
    transfer: str
    day: date
    reason: str


class ThresholdCrossed(ProfileMessage):
    score: Score


class ExposureClosed(ProfileMessage):
    transfer: str
    score: Score


class CaseOpened(ProfileMessage):
    case: str
    reason: str


class CaseClosed(ProfileMessage):
    case: str


Command = AssessTransfer | CloseExposure | OpenCase | CloseCase
Event = TransferApproved | TransferDenied | ThresholdCrossed | ExposureClosed | CaseOpened | CaseClosed


class Profile(Record):
    """`open` are the transfers that are on their way; velocity is of the newest `day`."""

    open: dict[str, Money] = field(default_factory=dict)
    day: date = date.min
    score: Score = Score()
    case: str | None = None


def decide(command: Command, profile: Profile) -> list[Event]:
    match command:
        case AssessTransfer(transfer=transfer):
            return [] if transfer in profile.open else assess(command, profile)
        case CloseExposure(id_, transfer):
            if transfer not in profile.open:
                return []  # it was denied, or is closed already
            left = replace(profile.score, exposure=profile.score.exposure - profile.open[transfer])
            return [ExposureClosed(id_, transfer, left)]
        case OpenCase(id_, case, why):
            if profile.case not in (None, case):
                raise Rejected(f"account {id_}: case {profile.case} is open already; close it first")
            return [] if profile.case else [CaseOpened(id_, case, why)]
        case CloseCase(id_, case):
            if profile.case not in (None, case):
                raise Rejected(f"account {id_}: the open case is {profile.case}, not {case}")
            return [CaseClosed(id_, case)] if profile.case else []


def assess(command: AssessTransfer, profile: Profile) -> list[Event]:
    """Approves or denies; who is too fast gets a fraud case of his own."""
    id_, transfer, amount, day = command.account, command.transfer, command.amount, command.day
    if profile.case is not None:
        return [TransferDenied(id_, transfer, day, f"fraud case {profile.case} is open")]
    velocity = (profile.score.velocity if day <= profile.day else 0) + 1
    score = Score(profile.score.exposure + amount, velocity)
    if level(score) is Level.OVER:
        denied = TransferDenied(id_, transfer, day, reason(score))
        too_fast = velocity > MOST_A_DAY
        return [denied, CaseOpened(id_, f"velocity-{transfer}", reason(score))] if too_fast else [denied]
    approved = TransferApproved(id_, transfer, amount, day, score)
    is_news = level(score) is Level.WATCH and level(profile.score) is Level.CLEAR
    return [approved, ThresholdCrossed(id_, score)] if is_news else [approved]


def evolve(profile: Profile, event: Event) -> Profile:
    match event:
        case TransferApproved(_, transfer, amount, day, score):
            return replace(profile, open={**profile.open, transfer: amount}, day=max(day, profile.day), score=score)
        case ExposureClosed(_, transfer, score):
            others = {each: amount for each, amount in profile.open.items() if each != transfer}
            return replace(profile, open=others, score=score)
        case CaseOpened(_, case):
            return replace(profile, case=case)
        case CaseClosed():
            return replace(profile, case=None)
        case TransferDenied() | ThresholdCrossed():
            return profile


profile = Decider("profile", Profile(), key=lambda c: c.account, decide=decide, evolve=evolve)
