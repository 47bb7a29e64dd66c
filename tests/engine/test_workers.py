"""Workers: they share partitions, come and go, and wait for a registry that is away."""

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest

from foldlog.contracts.schema import schema_of
from tests.engine.bank import Balance, Open, Post, Posted
from tests.engine.conftest import Start
from tests.engine.outside import Door, webhook
from tests.engine.processes import ROOT
from tests.engine.running import Bank, eventually

ten = Decimal("10.00")


def assert_each_is_processed_once(bank: Bank, accounts: list[str], posts: int) -> None:
    """Waits until every account has been opened and posted to that often, and looks for repetitions."""
    eventually(lambda: len(bank.log()) >= len(accounts) * (posts + 1), "the last event")
    metas = [meta for _, meta in bank.log()]
    for account in accounts:
        own = [meta for meta in metas if meta.aggregate_id == account]
        assert [meta.version for meta in own] == list(range(1, posts + 2))
        assert len({meta.causation for meta in own}) == posts + 1
    wanted = Balance("ada", posts * ten, posts)
    eventually(lambda: bank.rows("balances") == dict.fromkeys(accounts, wanted), "the last row")


def test_two_workers_share_and_the_second_takes_over(own_bank: Bank, start: Start) -> None:
    bank, accounts = own_bank, [uuid.uuid4().hex for _ in range(30)]
    first, second = (start("account", "balances", instance=name) for name in ("one", "two"))
    first.ready()
    second.ready()
    bank.send(*(Open(account, "ada") for account in accounts))
    bank.send(*(Post(account, ten) for account in accounts))
    assert_each_is_processed_once(bank, accounts, 1)
    eventually(lambda: bank.owners("account") == {"one", "two"}, "offsets of both")
    bank.send(*(Post(account, ten) for account in accounts))
    assert first.stop(signal.SIGTERM) == 0
    bank.send(*(Post(account, ten) for account in accounts))
    assert_each_is_processed_once(bank, accounts, 3)
    eventually(lambda: bank.owners("account") == {"two"}, "offsets of the second alone")
    assert second.stop() == 0
    assert not list(ROOT.glob(f"*{bank.name}*")), "a worker writes nothing into its working directory"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_under_load_ends_within_seconds_and_loses_nothing(
    own_bank: Bank, start: Start, number: signal.Signals
) -> None:
    bank, worker = own_bank, start("account", "balances", FOLDLOG_BATCH_RECORDS="2").ready()
    accounts = [uuid.uuid4().hex for _ in range(40)]
    bank.send(*(Open(account, "ada") for account in accounts))
    bank.send(*(Post(account, ten) for _ in range(50) for account in accounts))
    eventually(lambda: len(bank.log()) > 200)
    began = time.monotonic()
    assert worker.stop(number) == 0
    assert time.monotonic() - began < 20, "it does not wait for all there is to do"
    assert worker.errors == []
    assert not (worker.directory / "ready").exists()
    done = len(bank.log())
    assert done < 40 * 51, "it was under load"
    start("account", "balances")
    assert_each_is_processed_once(bank, accounts, 50)


def test_a_second_worker_of_the_same_name_is_refused(own_bank: Bank, start: Start) -> None:
    first = start("account").ready()
    second = start("account")
    assert second.ended() == 1
    assert any("instance w is in use by another process" in line for line in second.output.splitlines())
    eventually(first.is_ready, "the sign that starting the second one has taken away")


@pytest.fixture
def door(own_bank: Bank) -> Iterator[Door]:
    """The way to the registry, which a test can shut."""
    with closing(Door(own_bank.cluster.registry)) as door:
        yield door


def newer_post(bank: Bank, account: str) -> bytes:
    """A posting by a producer whose schema has a field more: an id that no worker has met."""
    schema = schema_of(bank.codec.contract(Post))
    schema = {**schema, "fields": [*schema["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
    schema_id = bank.registry.register(f"{bank.commands}-{schema['namespace']}.Post", schema)
    return b"\0" + schema_id.to_bytes(4, "big") + bank.codec.encode(Post(account, ten))[5:] + b"\0"


def test_an_unknown_schema_waits_for_the_registry(own_bank: Bank, start: Start, door: Door) -> None:
    bank, worker = own_bank, start("account", FOLDLOG_REGISTRY=door.url).ready()
    account = bank.account_on(0)
    bank.send(Open(account, "ada"))
    bank.ask(Post(account, ten))
    newer = newer_post(bank, account)
    door.shut()
    assert bank.ask(Post(account, ten)).version == 3, "known schemas keep working"
    place = bank.put(account.encode(), newer)
    eventually(lambda: "waiting for the registry" in worker.output)
    eventually(lambda: door.refused > 1)
    assert worker.process.poll() is None, worker.output
    door.is_open = True
    eventually(lambda: len(bank.events(account)) == 4)
    worker.ready()
    event, meta = bank.events(account)[-1]
    assert (event, meta.causation, meta.version) == (Posted(account, "ada", ten), place, 4)
    assert bank.letters() == []


def test_a_worker_that_waits_for_the_registry_can_be_stopped(own_bank: Bank, start: Start, door: Door) -> None:
    bank, worker = own_bank, start("account", FOLDLOG_REGISTRY=door.url).ready()
    account = bank.account_on(0)
    bank.ask(Open(account, "ada"))
    newer = newer_post(bank, account)
    door.shut()
    bank.put(account.encode(), newer)
    eventually(lambda: "waiting for the registry" in worker.output)
    assert worker.stop() == 0
    start("account")
    eventually(lambda: len(bank.events(account)) == 2)


def test_an_effect_is_not_repeated_because_the_registry_was_away(own_bank: Bank, start: Start, door: Door) -> None:
    """The events of one batch are read before any has its effect; reading them again must not double it."""
    bank, decider, account = own_bank, start("account", instance="d").ready(), own_bank.account_on(0)
    with webhook() as hook:
        settings = {"FOLDLOG_REGISTRY": door.url, "FOLDLOG_NOTIFY": hook.url, "FOLDLOG_BATCH_MS": "500"}
        reactor = start("tellers", **settings).ready()
        bank.ask(Open(account, "ada"))
        eventually(lambda: hook.tries[account] == 1)
        door.shut()
        other = bank.account_on(0)
        bank.send(Open(other, "bob"), Post(account, ten))
        eventually(lambda: "waiting for the registry" in reactor.output)
        eventually(lambda: door.refused > 1)
        door.is_open = True
        eventually(lambda: hook.tries[other])
        bank.send(Open(bank.account_on(0)))
        eventually(lambda: len(hook.sent) == 3)
        assert hook.tries[other] == 1
    assert decider.is_ready()


def test_without_a_registry_a_worker_ends_with_one_clear_line(own_bank: Bank, start: Start, door: Door) -> None:
    door.shut()
    worker = start("account", FOLDLOG_REGISTRY=door.url)
    assert worker.ended() == 1
    [error] = worker.errors
    assert f"the registry at {door.url}" in error
