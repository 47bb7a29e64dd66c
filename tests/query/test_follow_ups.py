"""Read what came of your writes: what a saga sent upon an event, and what that did to a view."""

import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.core.topics import events, table
from foldlog.query.causation import folding, follow_up
from tests.engine.bank import Open, Post, Posted, TransferMoney, balances
from tests.engine.bank import bank as topology
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually
from tests.query.processes import Served

StartWorker = Callable[..., Worker]
TEN = Decimal("10.00")


@pytest.fixture
def worker_of(bank: Bank, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers with some of the bank's processors."""
    started: list[Worker] = []

    def start(*only: str) -> Worker:
        started.append(Worker(bank, tmp_path, "-".join(only), *only).ready())
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def withdrawals(bank: Bank, account: str) -> list[str]:
    """Where the events lie with which transfers took money from an account, in their order."""
    log = events(bank.name, "account")
    entries = [entry for entry in bank.tail(log).entries() if (entry.key or b"").startswith(f"{account}@".encode())]
    told = [(bank.codec.decode(entry.value or b""), entry) for entry in entries]
    return [
        f"{log}:{entry.partition}:{entry.offset}"
        for event, entry in told
        if isinstance(event, Posted) and event.amount < 0
    ]


def commands_to(bank: Bank, account: str) -> int:
    return sum(entry.key == account.encode() for entry in bank.tail(bank.commands).entries())


def test_the_answer_waits_for_what_a_saga_sends(bank: Bank, served: Served, worker_of: StartWorker) -> None:
    source, target = uuid.uuid4().hex, uuid.uuid4().hex
    accounts, saga = worker_of("account", "balances"), worker_of("transfer", "standing")
    bank.ask(Open(source, "ada"))
    bank.ask(Open(target, "bob"))
    bank.ask(Post(source, TEN))
    accounts.stop()
    bank.send(TransferMoney(uuid.uuid4().hex, source, target, TEN))
    eventually(lambda: commands_to(bank, source) == 3, "the saga's first command")
    saga.stop()
    worker_of("account", "balances")
    [after] = eventually(lambda: withdrawals(bank, source), "the withdrawal")

    def target_after(**query: str | int) -> tuple[int, str | None]:
        answer = served.get(f"/views/balances/{target}", after=after, **query)
        return answer.status_code, answer.json().get("amount")

    assert target_after(wait_ms=30_000) == (200, "0.00")
    assert target_after(wait_ms=300, follow="true") == (504, None), "the saga has not seen it"
    worker_of("transfer", "standing")
    assert target_after(wait_ms=30_000, follow="true") == (200, "10.00")


def test_all_of_many_transfers_are_seen(bank: Bank, served: Served, worker_of: StartWorker) -> None:
    worker_of("account", "balances", "transfer", "standing")
    source = uuid.uuid4().hex
    bank.ask(Open(source, "ada"))
    bank.ask(Post(source, 100 * TEN))
    for seen in range(20):
        target = uuid.uuid4().hex
        bank.ask(Open(target, "bob"))
        bank.send(TransferMoney(uuid.uuid4().hex, source, target, TEN))
        [after] = eventually(lambda: withdrawals(bank, source)[seen:], "the withdrawal")  # noqa: B023
        query = {"after": after, "follow": "true", "wait_ms": 30_000}
        answer = served.sql("SELECT amount FROM balances WHERE key = ?", [target], **query)
        assert answer.json()["rows"] == [["10.00"]]


def test_what_no_saga_leads_to_never_comes(bank: Bank, served: Served) -> None:
    answer = served.get("/views/balances/x", after="orders.order.events:0:1", follow="true")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "balances never comes to orders.order.events:0:1" in answer.json()["detail"]


def test_the_way_goes_over_sagas_and_the_aggregates_that_they_command() -> None:
    fold = folding(topology, balances, table(topology.name, "balances"))
    found = follow_up(topology, balances, events(topology.name, "account"))
    assert found is not None
    sagas, aggregates = found
    assert [step.group for step in sagas] == [f"{topology.name}.transfer", f"{topology.name}.standing"]
    assert [step.group for step in aggregates] == [f"{topology.name}.account"]
    assert {place for step in sagas for place in step.outputs} == set(aggregates[0].inputs)
    assert set(aggregates[0].outputs) == set(fold.inputs)
    assert follow_up(topology, balances, "orders.order.events") is None
