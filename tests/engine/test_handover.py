"""Handing over: a worker that stops leaves its group, so that the others go on without waiting for its session."""

import signal
import sys
import time
from decimal import Decimal

import pytest
from confluent_kafka import ConsumerGroupState

from foldlog.engine import clients
from foldlog.settings import Settings
from tests.engine.bank import Open, Post
from tests.engine.conftest import Start
from tests.engine.running import PATIENCE, Bank, eventually

ten = Decimal("10.00")


def is_shared(bank: Bank, processor: str, *instances: str) -> bool:
    """True once these instances are the group, and each has partitions."""
    group = f"{bank.name}.{processor}"
    described = bank.admin.describe_consumer_groups([group])[group].result(PATIENCE)
    owners = {each.group_instance_id for each in described.members if each.assignment.topic_partitions}
    return described.state == ConsumerGroupState.STABLE and owners == set(instances)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_stopped_leaves_and_the_other_serves_at_once(
    own_bank: Bank, start: Start, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = own_bank
    one, two = (start("account", instance=name, FOLDLOG_SESSION_TIMEOUT_MS="60000") for name in ("one", "two"))
    one.ready()
    two.ready()
    eventually(lambda: is_shared(bank, "account", "one", "two"))
    accounts = [bank.account_on(partition) for partition in range(3)]
    for account in accounts:
        bank.ask(Open(account, "ada"))
    eventually(lambda: bank.owners("account") == {"one", "two"}, "offsets of both")

    began = time.monotonic()
    one.process.send_signal(number)
    bank.send(*(Post(account, ten) for account in accounts))
    eventually(lambda: all(len(bank.events(account)) == 2 for account in accounts))
    took = time.monotonic() - began
    with capsys.disabled():
        sys.stdout.write(f" [{number.name}: served by the other {took:.2f} s after the signal] ")
    assert took < 45, "long before the session would have ended"
    assert one.ended() == 0
    assert bank.members("account") == {"two"}
    for account in accounts:
        assert [meta.version for _, meta in bank.events(account)] == [1, 2]
    assert one.errors == two.errors == []


def test_a_worker_that_was_killed_comes_back_within_its_session_and_moves_no_partition(
    own_bank: Bank, start: Start
) -> None:
    bank = own_bank
    one, two = (start("account", instance=name, FOLDLOG_SESSION_TIMEOUT_MS="60000") for name in ("one", "two"))
    one.ready()
    two.ready()
    eventually(lambda: is_shared(bank, "account", "one", "two"))
    accounts = [bank.account_on(partition) for partition in range(3)]
    for account in accounts:
        bank.ask(Open(account, "ada"))
    eventually(lambda: bank.owners("account") == {"one", "two"}, "offsets of both")
    restored = two.output.count("state=restoring")
    one.process.kill()
    one.ended()
    assert bank.members("account") == {"one", "two"}, "its session goes on without it"
    start("account", instance="one", FOLDLOG_SESSION_TIMEOUT_MS="60000").ready()
    for account in accounts:
        bank.ask(Post(account, ten))
    assert bank.owners("account") == {"one", "two"}
    assert two.output.count("state=restoring") == restored


def test_by_default_a_heartbeat_tells_within_half_a_second() -> None:
    config = clients.member("127.0.0.1:1", "group", "one", Settings())
    assert config["heartbeat.interval.ms"] <= 500
    assert config["heartbeat.interval.ms"] * 3 <= config["session.timeout.ms"]
