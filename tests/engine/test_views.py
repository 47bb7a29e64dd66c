"""Views: a row is the fold of its key's events, wherever they are written."""

import random
import uuid
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from shutil import rmtree

from foldlog.core import Meta, Record, topics
from foldlog.core.folding import fold
from foldlog.engine.housekeeping import TRIM_EVERY
from tests.engine.bank import Balance, Close, Misbehave, Misbehaved, Open, Post, Posted, Wealth, balances, wealth
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually

ten = Decimal("10.00")
MARKER = 1  # the record with which a transaction ends


def ids(count: int) -> list[str]:
    """Names that no other test knows."""
    return [uuid.uuid4().hex for _ in range(count)]


def by_owner(log: list[tuple[Record, Meta]]) -> dict[str, list[tuple[Record, Meta]]]:
    """The postings of each owner, in the order of the log."""
    found: dict[str, list[tuple[Record, Meta]]] = defaultdict(list)
    for event, meta in log:
        if isinstance(event, Posted):
            found[event.owner].append((event, meta))
    return found


def test_rows_equal_the_fold_of_the_log(bank: Bank, worker: Worker) -> None:
    accounts, owners, chance = ids(12), ids(4), random.Random(1)
    bank.send(*(Open(account, chance.choice(owners)) for account in accounts))
    bank.send(*(Post(chance.choice(accounts), Decimal(chance.randint(1, 9999)) / 100) for _ in range(200)))
    for account in accounts:
        bank.ask(Close(account) if account in accounts[:2] else Open(account))
    for account in accounts[2:]:
        bank.row("balances", account, fold(balances, bank.events(account)))
    postings = by_owner(bank.log())
    for owner in owners:
        bank.row("wealth", owner, fold(wealth, postings[owner]))
    assert worker.is_ready()


def test_a_row_lives_on_the_partition_of_its_own_key(bank: Bank, worker: Worker) -> None:
    accounts, [owner] = [bank.account_on(number) for number in range(3)], ids(1)
    bank.send(*(Open(account, owner) for account in accounts), *(Post(account, ten) for account in accounts))
    bank.row("wealth", owner, Wealth(3 * ten, 3))
    entries = bank.tail(topics.table(bank.name, "wealth")).entries()
    assert {entry.partition for entry in entries if entry.key == owner.encode()} == {bank.home(owner.encode())}


def test_what_was_moved_to_another_key_is_trimmed_behind_the_committed_offset(bank: Bank, worker: Worker) -> None:
    assert TRIM_EVERY <= 10, "this test waits for it"
    [owner] = ids(1)
    away = bank.account_on((bank.home(owner.encode()) + 1) % bank.topology.partitions)
    bank.send(Open(away, owner), Post(away, ten))
    bank.row("wealth", owner, Wealth(ten, 1))
    moved = bank.tail(topics.rekeyed(bank.name, "wealth"))
    _, high = moved.bounds(bank.home(owner.encode()))
    assert high > 0
    eventually(lambda: moved.bounds(bank.home(owner.encode()))[0] >= high - MARKER, "trimming")


def test_a_deleted_row_is_a_tombstone(bank: Bank, worker: Worker) -> None:
    [account] = ids(1)
    bank.send(Open(account, "ada"), Post(account, ten))
    bank.row("balances", account, Balance("ada", ten, 1))
    bank.send(Close(account))
    eventually(lambda: account not in bank.rows("balances"))
    entries = [e for e in bank.tail(topics.table(bank.name, "balances")).entries() if e.key == account.encode()]
    assert entries[-1].value is None


def test_a_deleted_row_begins_anew(bank: Bank, worker: Worker) -> None:
    [account] = ids(1)
    bank.send(Open(account, "ada"), Post(account, ten), Close(account), Open(account, "bob"), Post(account, ten))
    bank.row("balances", account, Balance("bob", ten, 1))


def test_a_row_that_cannot_be_written_costs_its_own_key_alone(own_bank: Bank, start: Start) -> None:
    """The events stand in one batch: whose row it is must be found out, and nothing else may be lost."""
    bank, worker = own_bank, start("account").ready()
    bad, good, other = (bank.account_on(0) for _ in range(3))
    bank.send(Open(bad, "ada"), Open(good, "bob"), Post(bad, ten), Misbehave(bad, "row too fine"), Post(good, ten))
    bank.send(Post(bad, ten), Open(other, "eve"), Close(other))
    bank.ask(Post(good, ten))
    assert worker.stop() == 0
    viewer = start("balances", FOLDLOG_BATCH_MS="500").ready()
    bank.row("balances", good, Balance("bob", 2 * ten, 2))
    assert bank.rows("balances") == {bad: Balance("ada", ten, 1), good: Balance("bob", 2 * ten, 2)}
    assert {key: head.cause for key, head in bank.parked("balances").items()} == {bad: "encode-failed"}
    assert bank.waiting("balances", bad) == [Misbehaved(bad, "row too fine"), Posted(bad, "ada", ten)]
    assert viewer.stop() == 0
    bank.send(Post(good, ten))
    start("account", "balances")
    bank.row("balances", good, Balance("bob", 3 * ten, 3))


def test_a_large_name_of_a_row_is_put_aside(bank: Bank, worker: Worker) -> None:
    [account], owner = ids(1), "o" * 2000
    bank.send(Open(account, owner), Post(account, ten))
    [letter] = bank.letters_about(f"{account}@2")
    assert (letter.processor, letter.cause) == ("wealth", "oversized")


def test_a_view_whose_state_is_lost_is_restored_from_its_topic(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    bank, worker = own_bank, start("account", "wealth").ready()
    accounts = [bank.account_on(number) for number in range(3)]
    bank.send(*(Open(account, "ada") for account in accounts), *(Post(account, ten) for account in accounts))
    bank.row("wealth", "ada", Wealth(3 * ten, 3))
    assert worker.stop() == 0
    rmtree(tmp_path / "workers" / "w" / "state")
    start("account", "wealth")
    bank.send(*(Post(account, ten) for account in accounts))
    bank.row("wealth", "ada", Wealth(6 * ten, 6))
