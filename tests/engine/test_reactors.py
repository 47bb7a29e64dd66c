"""Reactors: a side effect for each event, in the order of each aggregate, against a real webhook."""

import time
import uuid
from decimal import Decimal

import pytest

from tests.engine.bank import Close, Misbehave, Open, Post
from tests.engine.conftest import Start
from tests.engine.outside import Webhook, webhook
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


def test_an_effect_that_keeps_failing_is_put_aside_and_the_next_goes_on(bank: Bank, outside: Webhook, ada: str) -> None:
    outside.refusals[ada] = 5
    began = time.monotonic()
    bank.send(Misbehave(ada, "first"), Misbehave(ada, "second"))
    [letter] = bank.letters_about(ada)
    assert time.monotonic() - began > 0.2 + 0.4 + 0.8 + 1.6, "pauses between the tries double"
    assert (letter.processor, letter.cause) == ("tellers", "handle-failed")
    assert "503" in letter.reason
    eventually(lambda: outside.to(ada))
    assert [sent.subject for sent in outside.to(ada)] == ["second"]


def test_one_aggregates_trouble_does_not_hold_up_the_others_of_a_batch(own_bank: Bank, start: Start, ada: str) -> None:
    bank, decider = own_bank, start("account").ready()
    others = [uuid.uuid4().hex for _ in range(10)]
    bank.send(*(Misbehave(account, "x") for account in (ada, *others)))
    bank.ask(Close(ada))
    with webhook() as hook:
        hook.refusals[ada] = 4
        start("tellers", instance="r", FOLDLOG_NOTIFY=hook.url, FOLDLOG_BATCH_MS="500")
        eventually(lambda: len(hook.sent) == 12)
        assert {sent.to for sent in hook.sent[:10]} == set(others)
    assert decider.is_ready()


def test_effects_that_are_done_are_not_repeated_by_the_next_worker(own_bank: Bank, start: Start, ada: str) -> None:
    with webhook() as hook:
        bank, worker = own_bank, start("account", "tellers", FOLDLOG_NOTIFY=hook.url).ready()
        bank.send(Open(ada))
        eventually(lambda: len(hook.to(ada)) == 1)
        assert worker.stop() == 0
        start("account", "tellers", FOLDLOG_NOTIFY=hook.url)
        bank.send(Close(ada))
        eventually(lambda: len(hook.to(ada)) == 2)
        assert [sent.subject for sent in hook.to(ada)] == ["Opened", "Closed"]
