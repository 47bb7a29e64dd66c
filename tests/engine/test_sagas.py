"""Sagas: a transfer takes money from one account and gives it to another, or gives it back."""

import uuid
from decimal import Decimal
from pathlib import Path
from shutil import rmtree

import pytest

from foldlog.core import topics
from tests.engine.bank import UNLUCKY, Open, Post, Posted, Refused, Transfer, TransferMoney
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually

ten = Decimal("10.00")


def ids(count: int) -> list[str]:
    """Names that no other test knows."""
    return [uuid.uuid4().hex for _ in range(count)]


def open_accounts(bank: Bank) -> tuple[str, str]:
    """Two open accounts on different partitions, the first with 10."""
    ada, bob = bank.account_on(0), bank.account_on(1)
    bank.send(Open(ada), Post(ada, ten), Open(bob))
    return ada, bob


def test_a_transfer_takes_and_gives(bank: Bank, worker: Worker) -> None:
    (ada, bob), [id] = open_accounts(bank), ids(1)
    bank.send(TransferMoney(id, ada, bob, ten))
    bank.row("transfer", id, Transfer(ada, bob, "done"))
    assert [event for event, _ in bank.events(ada)[2:]] == [Posted(ada, "nobody", -ten, id)]
    assert [event for event, _ in bank.events(bob)[1:]] == [Posted(bob, "nobody", ten, id)]


def test_a_transfer_that_cannot_be_given_is_returned(bank: Bank, worker: Worker) -> None:
    (ada, _), [id, closed] = open_accounts(bank), ids(2)
    bank.send(TransferMoney(id, ada, closed, ten))
    bank.row("transfer", id, Transfer(ada, closed, "returned"))
    assert [event for event, _ in bank.events(closed)] == [Refused(closed, ten, id)]
    assert sum(event.amount for event, _ in bank.events(ada) if isinstance(event, Posted)) == ten


def test_a_transfer_without_cover_is_refused(bank: Bank, worker: Worker) -> None:
    (ada, bob), [id] = open_accounts(bank), ids(1)
    bank.send(TransferMoney(id, ada, bob, 2 * ten))
    bank.row("transfer", id, Transfer(ada, bob, "refused"))
    assert len(bank.events(bob)) == 1


def test_the_ids_of_a_sagas_commands_follow_from_its_steps(bank: Bank, worker: Worker) -> None:
    (ada, bob), [id] = open_accounts(bank), ids(1)
    bank.send(TransferMoney(id, ada, bob, ten))
    bank.row("transfer", id, Transfer(ada, bob, "done"))
    assert bank.events(ada)[-1][1].causation == f"transfer:{id}:1.0"
    assert bank.events(bob)[-1][1].causation == f"transfer:{id}:2.0"


@pytest.mark.parametrize("stray", [0, 1], ids=["at home", "on the wrong partition"])
def test_correlation_and_actor_flow_from_the_first_command_to_the_last_event(
    bank: Bank, worker: Worker, stray: int
) -> None:
    (ada, bob), [id] = open_accounts(bank), ids(1)
    value = bank.codec.encode(TransferMoney(id, ada, bob, ten))
    topic, partition = topics.commands(bank.name, "transfer"), (bank.home(id.encode()) + stray) % 3
    place = bank.put(id.encode(), value, [("actor", b"ops")], topic=topic, partition=partition)
    bank.row("transfer", id, Transfer(ada, bob, "done"))
    for account in (ada, bob):
        meta = bank.events(account)[-1][1]
        assert (meta.correlation, meta.actor) == (place, "ops")


def test_an_ended_saga_takes_no_more_steps(bank: Bank, worker: Worker) -> None:
    (ada, bob), [id] = open_accounts(bank), ids(1)
    bank.send(TransferMoney(id, ada, bob, ten))
    bank.row("transfer", id, Transfer(ada, bob, "done"))
    bank.send(TransferMoney(id, bob, ada, ten), Post(ada, ten, id), Post(bob, -ten, id))
    [other] = ids(1)
    bank.send(TransferMoney(other, ada, bob, ten))
    bank.row("transfer", other, Transfer(ada, bob, "done"))
    assert bank.rows("transfer")[id] == Transfer(ada, bob, "done")
    assert {meta.causation for _, meta in bank.log() if f":{id}:" in meta.causation} == {
        f"transfer:{id}:1.0",
        f"transfer:{id}:2.0",
    }


def test_a_step_that_fails_parks_its_saga_and_others_go_on(bank: Bank, worker: Worker) -> None:
    (ada, bob), [bad, good] = open_accounts(bank), ids(2)
    bank.send(TransferMoney(bad, ada, bob, UNLUCKY), TransferMoney(good, ada, bob, ten))
    bank.row("transfer", good, Transfer(ada, bob, "done"))
    head = eventually(lambda: bank.parked("transfer").get(bad))
    assert (head.cause, head.reason) == ("fold-failed", "ValueError: this step cannot be taken")
    assert bank.waiting("transfer", bad) == [TransferMoney(bad, ada, bob, UNLUCKY)]
    assert bad not in bank.rows("transfer")


def test_inboxes_are_trimmed_behind_the_committed_offset(bank: Bank, worker: Worker) -> None:
    for _ in range(3):
        (ada, bob), [id] = open_accounts(bank), ids(1)
        bank.send(TransferMoney(id, ada, bob, ten))
        bank.row("transfer", id, Transfer(ada, bob, "done"))
    inbox = bank.tail(topics.inbox(bank.name, "transfer"))
    written = [inbox.bounds(number)[1] for number in range(3)]
    assert sum(written) > 0
    for number, high in enumerate(written):
        eventually(lambda number=number, high=high: inbox.bounds(number)[0] >= high - 1, "trimming")  # type: ignore[misc]


def test_a_saga_whose_state_is_lost_goes_on_where_it_was(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    bank, worker = own_bank, start("transfer").ready()
    ada, bob = open_accounts(bank)
    bank.send(TransferMoney("t", ada, bob, ten))
    bank.row("transfer", "t", Transfer(ada, bob, "pending"))
    assert worker.stop() == 0
    rmtree(tmp_path / "workers" / "w" / "state")
    start("transfer", "account")
    bank.row("transfer", "t", Transfer(ada, bob, "done"))
    assert [meta.causation for _, meta in bank.events(bob)][1:] == ["transfer:t:2.0"]
