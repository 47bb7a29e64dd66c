"""A saga under way goes on by the definition with which it began, or is migrated; nothing is guessed."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Record
from foldlog.core.errors import TopologyError
from tests.engine.bank import Open, Posted
from tests.engine.processes import Worker
from tests.engine.promises import RELEASES, Keep, Promise, Promised, Vowed, first, second
from tests.engine.running import Bank, eventually, fresh

one = Decimal("1.00")
Deploy = Callable[[str], Worker]


@pytest.fixture
def bank(cluster: Cluster) -> Iterator[Bank]:
    with fresh(cluster, RELEASES["pinned"]) as bank:  # knows the states of both versions
        yield bank


@pytest.fixture
def deploy(bank: Bank, tmp_path: Path) -> Iterator[Deploy]:
    """Registers a release's schemas and starts it in place of the one before."""
    running: list[Worker] = []

    def deploy(release: str) -> Worker:
        for worker in running:
            assert worker.stop() == 0
        running.clear()
        with closing(Registry(bank.cluster.registry)) as registry:
            push(replace(RELEASES[release], name=bank.name), registry)
        running.append(Worker(bank, tmp_path, "w", module="tests.engine.promises", PROMISES=release))
        return running[0].ready()

    try:
        yield deploy
    finally:
        for worker in running:
            worker.close()


def promised(bank: Bank) -> tuple[str, str]:
    """An open account and an open promise to it."""
    account, id = uuid.uuid4().hex, uuid.uuid4().hex
    bank.send(Open(account), Promise(id, account))
    eventually(lambda: id in bank.rows("promises"))
    return account, id


def amounts(bank: Bank, account: str) -> list[Decimal]:
    found = eventually(lambda: [event for event, _ in bank.events(account) if isinstance(event, Posted)])
    return [event.amount for event in found]


def row(bank: Bank, id: str) -> Record:
    return bank.rows("promises")[id]


def test_a_saga_under_way_ends_by_the_definition_with_which_it_began(bank: Bank, deploy: Deploy) -> None:
    deploy("first")
    old, old_id = promised(bank)
    deploy("pinned")
    new, new_id = promised(bank)
    bank.send(Keep(old_id), Keep(new_id))
    assert (amounts(bank, old), amounts(bank, new)) == ([one], [2 * one])
    eventually(lambda: row(bank, old_id) == Promised(old, kept=True))
    eventually(lambda: row(bank, new_id) == Vowed(new, 2 * one, kept=True))


def test_a_saga_under_way_is_migrated_before_its_next_step(bank: Bank, deploy: Deploy) -> None:
    deploy("first")
    old, id = promised(bank)
    deploy("migrated")
    assert row(bank, id) == Promised(old), "until its next step it stays as it was"
    bank.send(Keep(id))
    assert amounts(bank, old) == [Decimal("1.50")]
    eventually(lambda: row(bank, id) == Vowed(old, Decimal("1.50"), kept=True))


def test_a_release_that_knows_nothing_of_a_version_does_not_go_on(bank: Bank, deploy: Deploy) -> None:
    deploy("pinned")
    account, id = promised(bank)
    worker = deploy("first")  # a roll-back
    bank.send(Keep(id))
    assert worker.ended() == 1
    [error] = worker.errors
    assert "a row was written by another release" in error
    assert "promises.Vowed is no record of" in error
    pinned = Worker(bank, worker.directory.parent.parent, "w", module="tests.engine.promises", PROMISES="pinned")
    try:
        assert amounts(bank, account) == [2 * one], "nothing is lost: the release that began it goes on"
    finally:
        pinned.close()


def test_versions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TopologyError, match=r"versions are \[2, 2\]"):
        second(replace(first, version=2))
    with pytest.raises(TopologyError, match=r"versions are \[2, 3\]"):
        second(replace(first, version=3))
    with pytest.raises(TopologyError, match="an earlier definition has its name"):
        second(replace(first, name="others"))
