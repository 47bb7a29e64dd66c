"""Reactors: a side effect for each event, in the order of each aggregate, against a real webhook."""

import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.core import topics
from foldlog.core.repair import ParkedKey
from tests.engine.bank import Close, Misbehave, Open, Post
from tests.engine.conftest import Start
from tests.engine.outside import Webhook, mailbox, target, webhook
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def ada() -> str:
    """An account that no other test knows."""
    return uuid.uuid4().hex


def test_each_event_has_its_effect_once_and_in_order(bank: Bank, outside: Webhook) -> None:
    accounts = [uuid.uuid4().hex for _ in range(20)]
    for what in ("a", "b", "c"):
        bank.send(*(Misbehave(account, what) for account in accounts))
    for account in accounts:
        eventually(lambda account=account: len(outside.to(account)) == 3)  # type: ignore[misc]
        assert [sent.subject for sent in outside.to(account)] == ["a", "b", "c"]
        assert [sent.key for sent in outside.to(account)] == [f"account:{account}@{n}" for n in (1, 2, 3)]
        assert outside.tries[account] == 3


def test_events_that_the_reactor_does_not_take_pass_by(bank: Bank, outside: Webhook, ada: str) -> None:
    bank.send(Open(ada), Post(ada, Decimal(1)), Close(ada))
    eventually(lambda: len(outside.to(ada)) == 2)
    assert [sent.subject for sent in outside.to(ada)] == ["Opened", "Closed"]


def test_a_failed_effect_is_tried_again_before_the_next_of_its_aggregate(
    bank: Bank, outside: Webhook, worker: Worker, ada: str
) -> None:
    outside.refusals[ada] = 2
    bank.send(Misbehave(ada, "first"), Misbehave(ada, "second"))
    eventually(lambda: len(outside.to(ada)) == 2)
    assert [sent.subject for sent in outside.to(ada)] == ["first", "second"]
    assert outside.tries[ada] == 4
    assert worker.is_ready()


def test_an_effect_that_keeps_failing_waits_for_an_operator_with_what_follows(
    bank: Bank, outside: Webhook, ada: str
) -> None:
    outside.refusals[ada] = 5
    began = time.monotonic()
    bank.send(Misbehave(ada, "first"), Misbehave(ada, "second"))
    head = eventually(lambda: (at := bank.parked("tellers").get(ada)) and at.tries == 5 and at, "the last try")
    assert isinstance(head, ParkedKey)
    assert time.monotonic() - began > 0.2 + 0.4 + 0.8 + 1.6, "pauses between the tries double"
    assert (head.due, head.cause, outside.tries[ada]) == (None, "handle-failed", 5)
    assert "503" in head.reason
    bank.send(Misbehave(ada, "third"))
    eventually(lambda: bank.parked("tellers")[ada].next == 4)
    assert outside.to(ada) == []
    bank.repair("retry", "tellers", ada)
    eventually(lambda: len(outside.to(ada)) == 3)
    assert [sent.subject for sent in outside.to(ada)] == ["first", "second", "third"]
    eventually(lambda: ada not in bank.parked("tellers"))
    bank.send(Misbehave(ada, "fourth"))
    eventually(lambda: len(outside.to(ada)) == 4)
    assert not any(letter.processor == "tellers" and ada.encode() in (letter.value or b"") for letter in bank.letters())


def test_an_effect_that_takes_its_time_is_tried_as_often_as_any_other(bank: Bank, outside: Webhook, ada: str) -> None:
    outside.refusals[ada], outside.pauses[ada] = 5, 0.7  # longer than a batch waits for it
    bank.send(Misbehave(ada, "first"))
    head = eventually(lambda: (at := bank.parked("tellers").get(ada)) and at.due is None and at, "the last try")
    assert isinstance(head, ParkedKey)
    assert (head.tries, outside.tries[ada]) == (5, 5)


def test_an_operator_gives_up_an_effect(bank: Bank, outside: Webhook, ada: str) -> None:
    outside.refusals[ada] = 5
    bank.send(Misbehave(ada, "first"), Misbehave(ada, "second"))
    eventually(lambda: (at := bank.parked("tellers").get(ada)) and at.due is None, "the last try")
    bank.repair("drop", "tellers", ada, sequence=1)
    bank.repair("retry", "tellers", ada)
    eventually(lambda: outside.to(ada))
    assert [sent.subject for sent in outside.to(ada)] == ["second"]


def test_a_slow_or_failing_key_does_not_hold_up_others(own_bank: Bank, start: Start) -> None:
    bank, slow, failing = own_bank, uuid.uuid4().hex, uuid.uuid4().hex
    others = [uuid.uuid4().hex for _ in range(10)]
    with webhook() as hook:
        hook.pauses[slow], hook.refusals[failing] = 9.0, 4  # a sender waits 10 s for an answer
        worker = start("account", "tellers", FOLDLOG_NOTIFY=hook.url).ready()
        for what in ("a", "b", "c"):
            bank.send(*(Misbehave(account, what) for account in (slow, failing, *others)))
            eventually(lambda what=what: all(what in hook.subjects(each) for each in others))  # type: ignore[misc]
            assert hook.to(slow) == []
        hook.pauses[slow] = 0
        for account in (slow, failing):
            eventually(lambda account=account: len(hook.to(account)) == 3)  # type: ignore[misc]
            assert [sent.subject for sent in hook.to(account)] == ["a", "b", "c"]
        assert hook.tries[slow] == 3, "a slow effect is waited for, not repeated"
        assert worker.stop() == 0


def test_effects_that_are_done_are_not_repeated_by_the_next_worker(own_bank: Bank, start: Start, ada: str) -> None:
    with webhook() as hook:
        bank, worker = own_bank, start("account", "tellers", FOLDLOG_NOTIFY=hook.url).ready()
        bank.send(Open(ada))
        log = topics.events(bank.name, "account")
        eventually(lambda: bank.passed("tellers", log, bank.home(ada.encode())), "the reactor is done with it")
        eventually(lambda: not bank.parked("tellers"), "an effect that takes its time is parked until it has ended")
        assert len(hook.to(ada)) == 1
        assert worker.stop() == 0
        start("account", "tellers", FOLDLOG_NOTIFY=hook.url)
        bank.send(Close(ada))
        eventually(lambda: len(hook.to(ada)) == 2)
        assert [sent.subject for sent in hook.to(ada)] == ["Opened", "Closed"]


def test_a_muted_reactor_lets_events_pass(own_bank: Bank, start: Start, ada: str) -> None:
    with webhook() as hook:
        bank, worker = own_bank, start("account", "tellers", FOLDLOG_NOTIFY=hook.url, FOLDLOG_MUTED="tellers").ready()
        bank.send(Open(ada))
        eventually(lambda: bank.events(ada))
        log = topics.events(bank.name, "account")
        eventually(lambda: bank.passed("tellers", log, bank.home(ada.encode())), "the reactor has let it pass")
        assert worker.stop() == 0
        start("account", "tellers", FOLDLOG_NOTIFY=hook.url)
        bank.send(Close(ada))
        eventually(lambda: hook.to(ada))
        assert [sent.subject for sent in hook.to(ada)] == ["Closed"]


def test_events_from_before_a_time_have_no_effect_when_a_log_is_read_again(
    own_bank: Bank, start: Start, ada: str
) -> None:
    bank, decider = own_bank, start("account", instance="d").ready()
    bank.send(Open(ada))
    eventually(lambda: bank.events(ada))
    time.sleep(0.1)
    since = datetime.now(UTC).isoformat()
    time.sleep(0.1)
    bank.send(Close(ada))
    with webhook() as hook:
        start("tellers", FOLDLOG_NOTIFY=hook.url, FOLDLOG_MUTED_BEFORE=since)
        eventually(lambda: hook.to(ada))
        assert [sent.subject for sent in hook.to(ada)] == ["Closed"]
        assert decider.is_ready()


def test_messages_go_out_as_mail(own_bank: Bank, start: Start, ada: str) -> None:
    with mailbox() as box:
        start("account", "tellers", FOLDLOG_NOTIFY=box.url)
        own_bank.send(Open(ada), Close(ada))
        mails = eventually(lambda: box.mails if len(box.mails) == 2 else None, "two mails")
        assert [(mail["To"], mail["Subject"], mail["Message-ID"]) for mail in mails] == [
            (ada, "Opened", f"<account%3A{ada}%401@foldlog>"),
            (ada, "Closed", f"<account%3A{ada}%402@foldlog>"),
        ]


def test_a_target_that_fails_and_dies_gets_each_event_in_order(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    """A third of the calls fail, the target dies twice, and so does the worker."""
    bank, accounts = own_bank, [uuid.uuid4().hex for _ in range(12)]
    whats = [str(number) for number in range(8)]
    with target(tmp_path / "got") as hook:
        worker = start("account", "tellers", FOLDLOG_NOTIFY=hook.url, BANK_TRIES="50").ready()
        for what in whats:
            bank.send(*(Misbehave(account, what) for account in accounts))
            if what in ("2", "5"):
                eventually(hook.got)
                hook.restart()
            if what == "4":
                worker.close()  # kill -9
                worker = start("account", "tellers", FOLDLOG_NOTIFY=hook.url, BANK_TRIES="50")
        everything = {f"account:{account}@{n}" for account in accounts for n in range(1, 9)}
        eventually(lambda: {key for _, _, key in hook.got()} == everything, "every event")
        for account in accounts:
            first = dict.fromkeys(what for to, what, _ in hook.got() if to == account)
            assert list(first) == whats
