"""Risk: transfers are assessed by exposure and velocity, and a fraud case stops them all."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from foldlog.core import Message, Record
from foldlog.core.specification import meta_of
from foldlog.testing import fold, given
from topologies.risk.compliance import OFFICERS, ComplianceStatus, alert, compliance_status
from topologies.risk.exchange import (
    TransferAbandoned,
    TransferPassed,
    TransferSettled,
    TransferStopped,
    TransferSubmitted,
    hear,
    tell,
)
from topologies.risk.profile import (
    AssessTransfer,
    CaseClosed,
    CaseOpened,
    CloseCase,
    CloseExposure,
    ExposureClosed,
    OpenCase,
    ThresholdCrossed,
    TransferApproved,
    TransferDenied,
    profile,
)
from topologies.risk.scoring import MOST_A_DAY, MOST_EXPOSED, Level, Score, level

monday, tuesday = date(2026, 1, 5), date(2026, 1, 6)
ten = Decimal("10.00")
approved = TransferApproved("ada", "t", ten, monday, Score(ten, 1))
fast = TransferApproved("ada", "t", ten, monday, Score(ten, MOST_A_DAY))
case = CaseOpened("ada", "c1", "a hint")


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (Score(), Level.CLEAR),
        (Score(MOST_EXPOSED * 8 / 10, 1), Level.WATCH),
        (Score(ten, MOST_A_DAY), Level.WATCH),
        (Score(MOST_EXPOSED, 1), Level.WATCH),
        (Score(MOST_EXPOSED + ten, 1), Level.OVER),
        (Score(ten, MOST_A_DAY + 1), Level.OVER),
    ],
)
def test_the_level_is_that_of_the_worse_score(score: Score, expected: Level) -> None:
    assert level(score) is expected


def test_a_transfer_is_assessed_once() -> None:
    assess = AssessTransfer("ada", "t", ten, monday)
    given(profile).when(assess).then(approved)
    given(profile, approved).when(assess).then()


def test_exposure_is_what_is_on_its_way() -> None:
    second = AssessTransfer("ada", "u", ten, monday)
    given(profile, approved).when(second).then(TransferApproved("ada", "u", ten, monday, Score(2 * ten, 2)))
    closed = ExposureClosed("ada", "t", Score(ten - ten, 1))
    given(profile, approved).when(CloseExposure("ada", "t")).then(closed)
    given(profile, approved, closed).when(CloseExposure("ada", "t")).then()
    too_much = AssessTransfer("ada", "u", MOST_EXPOSED, monday)
    denied = TransferDenied("ada", "u", monday, "an exposure of 50010.00 is more than 50000.00")
    given(profile, approved).when(too_much).then(denied)


def test_a_new_day_begins_a_new_count() -> None:
    assess = AssessTransfer("ada", "u", ten, tuesday)
    given(profile, fast).when(assess).then(TransferApproved("ada", "u", ten, tuesday, Score(2 * ten, 1)))


def test_who_is_too_fast_gets_a_case() -> None:
    why = f"{MOST_A_DAY + 1} transfers a day are more than {MOST_A_DAY}"
    denied = TransferDenied("ada", "u", monday, why)
    given(profile, fast).when(AssessTransfer("ada", "u", ten, monday)).then(
        denied, CaseOpened("ada", "velocity-u", why)
    )


def test_officers_hear_once_that_a_threshold_is_crossed() -> None:
    large, score = MOST_EXPOSED * 9 / 10, Score(MOST_EXPOSED * 9 / 10, 1)
    first = TransferApproved("ada", "t", large, monday, score)
    given(profile).when(AssessTransfer("ada", "t", large, monday)).then(first, ThresholdCrossed("ada", score))
    again = TransferApproved("ada", "u", ten, monday, Score(large + ten, 2))
    given(profile, first).when(AssessTransfer("ada", "u", ten, monday)).then(again)


def test_a_case_stops_every_transfer_until_it_is_closed() -> None:
    assess = AssessTransfer("ada", "u", ten, monday)
    given(profile, case).when(assess).then(TransferDenied("ada", "u", monday, "fraud case c1 is open"))
    given(profile, case, CaseClosed("ada", "c1")).when(assess).then(
        TransferApproved("ada", "u", ten, monday, Score(ten, 1))
    )


def test_an_account_has_one_case_at_a_time() -> None:
    given(profile).when(OpenCase("ada", "c1", "a hint")).then(case)
    given(profile, case).when(OpenCase("ada", "c1", "a hint")).then()
    given(profile, case).when(OpenCase("ada", "c2", "more")).then_rejected("case c1 is open already")
    given(profile, case).when(CloseCase("ada", "c2")).then_rejected("the open case is c1")
    given(profile, case).when(CloseCase("ada", "c1")).then(CaseClosed("ada", "c1"))
    given(profile).when(CloseCase("ada", "c1")).then()


def test_the_compliance_status_says_how_an_account_stands_and_why() -> None:
    denied = TransferDenied("ada", "u", monday, "fraud case c1 is open")
    row = fold(compliance_status, fast, ThresholdCrossed("ada", fast.score), case, denied)
    assert row == ComplianceStatus(Level.WATCH, fast.score, 1, 1, "c1", "a hint")
    after = fold(compliance_status, fast, case, CaseClosed("ada", "c1"), ExposureClosed("ada", "t", Score()))
    assert after == ComplianceStatus(Level.CLEAR, Score(), 1)


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (ThresholdCrossed("ada", Score(ten, 45)), "Account ada is near a limit"),
        (case, "Fraud case c1: account ada is blocked"),
    ],
)
def test_an_alert_is_sent_with_the_events_id(event: ThresholdCrossed | CaseOpened, subject: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(alert(event, meta_of(3, "ada"), send))
    assert [(one.to, one.subject, one.idempotency_key) for one in sent] == [(OFFICERS, subject, "ada@3")]


@pytest.mark.parametrize(
    ("heard", "command"),
    [
        (TransferSubmitted("t", "ada", ten, monday), AssessTransfer("ada", "t", ten, monday)),
        (TransferSettled("t", "ada"), CloseExposure("ada", "t")),
        (TransferAbandoned("t", "ada"), CloseExposure("ada", "t")),
    ],
)
def test_the_banks_events_are_commands_here(
    heard: TransferSubmitted | TransferSettled | TransferAbandoned, command: Record
) -> None:
    assert hear(heard) == command


def test_an_assessment_is_public_but_not_its_scores() -> None:
    assert tell(approved) == TransferPassed("t")
    assert tell(TransferDenied("ada", "t", monday, "fraud")) == TransferStopped("t", "fraud")
