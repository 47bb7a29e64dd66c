"""Recovery: the log is the truth, local state a cache of it, and group offsets say where to go on."""

import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from shutil import rmtree

import pytest

from foldlog.cluster import Cluster
from foldlog.core import topics
from foldlog.engine.database import opened
from foldlog.engine.store import _FORMAT as FORMAT
from foldlog.engine.store import Store
from tests.engine.bank import Open, Opened, Post, Posted, Refused
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh_bank

ten = Decimal("10.00")


@pytest.fixture
def state(own_bank: Bank, tmp_path: Path) -> Path:
    """Where the worker `w` keeps the stores of its decider, one a partition."""
    return tmp_path / "workers" / "w" / "state" / f"{own_bank.name}.account"


def versions(bank: Bank, account: str) -> list[int]:
    return [meta.version for _, meta in bank.events(account)]


def forget(state: Path) -> None:
    rmtree(state)


def damage_data(state: Path) -> None:
    """Overwrites what is in the tables and the write-ahead log."""
    files = [path for path in state.rglob("*") if path.suffix in (".sst", ".log")]
    assert files
    for path in files:
        path.write_bytes(b"\x5a" * path.stat().st_size)


def damage_manifest(state: Path) -> None:
    for path in state.rglob("MANIFEST-*"):
        path.write_bytes(b"\x5a" * path.stat().st_size)


def lose_files(state: Path) -> None:
    for path in (*state.rglob("CURRENT"), *state.rglob("*.sst")):
        path.unlink()


class Restarted:
    """A bank whose one worker is stopped and started again by one test after the other."""

    def __init__(self, bank: Bank, home: Path) -> None:
        self.bank = bank
        self._home = home
        self.worker = Worker(bank, home, "w", "account").ready()

    def after(self, harm: Callable[[Path], None]) -> None:
        """Stops the worker, does something to its state, starts it again."""
        assert self.worker.stop() == 0
        harm(self._home / "workers" / "w" / "state")
        self.worker = Worker(self.bank, self._home, "w", "account")


@pytest.fixture(scope="module")
def restarted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    """Such a bank."""
    with fresh_bank(cluster) as bank:
        restarted = Restarted(bank, tmp_path_factory.mktemp("restarted"))
        try:
            yield restarted
        finally:
            restarted.worker.close()


@pytest.mark.parametrize("harm", [forget, damage_data, damage_manifest, lose_files])
def test_a_worker_without_its_state_goes_on_with_the_next_versions(
    restarted: Restarted, harm: Callable[[Path], None]
) -> None:
    bank = restarted.bank
    accounts = [bank.account_on(number) for number in range(3)]
    for account in accounts:
        bank.send(Open(account), Post(account, ten))
        bank.ask(Post(account, ten), f"pay-{account}")
    restarted.after(harm)
    for account in accounts:
        again = bank.ask(Post(account, ten), f"pay-{account}")
        assert (again.version, again.duplicate) == (3, True)
        assert bank.ask(Post(account, -3 * ten)).version == 4
        assert versions(bank, account) == [1, 2, 3, 4]
        assert isinstance(bank.events(account)[-1][0], Refused), "the balance is 20"
    assert restarted.worker.errors == []


@pytest.mark.parametrize(("cache_mb", "shown"), [("0", "block checksum mismatch"), ("128", "it ends in the middle")])
def test_damage_that_shows_late_is_healed_at_once(
    own_bank: Bank, start: Start, state: Path, cache_mb: str, shown: str
) -> None:
    """A table's blocks are read when a row of them is needed: while working, or when rows that have room are read."""
    bank, worker = own_bank, start("account").ready()
    accounts = [bank.account_on(0) for _ in range(300)]
    bank.send(*(Open(account, "ada" * 50) for account in accounts))
    bank.ask(Open(accounts[-1]))
    assert worker.stop() == 0
    Store(state / "0", log_id_of(state / "0")).close()  # what was in the write-ahead log is in a table now
    [table] = (state / "0").glob("*.sst")
    content = table.read_bytes()
    quarter = len(content) // 4
    table.write_bytes(content[: 2 * quarter] + b"\x5a" * quarter + content[3 * quarter :])  # where the rows are
    worker = start("account", FOLDLOG_CACHE_MB=cache_mb).ready()
    assert ("store deleted" in worker.output) == (cache_mb != "0")
    bank.send(*(Post(account, ten) for account in accounts))
    eventually(lambda: len(bank.log()) >= 600)
    assert sorted(meta.version for _, meta in bank.log()) == [1] * 300 + [2] * 300
    assert shown in worker.output
    assert worker.stop() == 0


def log_id_of(path: Path) -> str:
    """The log that a store belongs to."""
    db = opened(path)
    found = bytes(db[b"t"] or b"")
    db.close()
    return found.removesuffix(FORMAT).decode()


def test_a_store_ahead_of_its_log_is_folded_again(own_bank: Bank, start: Start, state: Path) -> None:
    bank, worker = own_bank, start("account").ready()
    account = bank.account_on(0)
    bank.send(Open(account))
    bank.ask(Post(account, ten))
    assert worker.stop() == 0
    store = Store(state / "0", log_id_of(state / "0"))
    store.apply({account.encode(): None}, 1_000_000, 0)
    store.close()
    worker = start("account").ready()
    assert "its log ends at" in worker.output
    assert bank.ask(Post(account, ten)).version == 3


def test_a_store_of_a_topic_that_was_made_anew_is_not_used(
    own_bank: Bank, start: Start, state: Path, tmp_path: Path
) -> None:
    """Its position may well lie within the new log."""
    bank, worker = own_bank, start("account").ready()
    account, other = bank.account_on(0), bank.account_on(0)
    bank.send(Open(account))
    bank.ask(Post(account, ten))
    assert worker.stop() == 0
    old = state.rename(tmp_path / "old")
    bank.remake([bank.commands, topics.events(bank.name, "account")])
    bank.send(Open(other), *[Post(other, ten)] * 20)
    worker = start("account").ready()
    bank.ask(Post(other, ten))
    assert worker.stop() == 0
    rmtree(state)
    old.rename(state)
    start("account").ready()
    assert bank.ask(Open(account)).version == 1
    assert [event for event, _ in bank.events(account)] == [Opened(account, "nobody")]


def test_two_of_one_id_in_a_batch_are_one(own_bank: Bank, start: Start) -> None:
    bank, account = own_bank, own_bank.account_on(0)
    bank.send(Open(account))
    bank.send(*[Post(account, ten)] * 3, id="pay")
    start("account", FOLDLOG_BATCH_MS="500")
    eventually(lambda: len(bank.replies("pay")) == 3)
    assert [reply.duplicate for reply in bank.replies("pay")] == [False, True, True]
    assert {reply.version for reply in bank.replies("pay")} == {2}
    assert [event for event, _ in bank.events(account)] == [Opened(account, "nobody"), Posted(account, "nobody", ten)]


def test_commands_sent_while_nobody_worked_are_all_processed(own_bank: Bank, start: Start) -> None:
    bank, accounts = own_bank, [uuid.uuid4().hex for _ in range(50)]
    bank.send(*(Open(account) for account in accounts), *(Post(account, ten) for account in accounts))
    start("account", FOLDLOG_BATCH_RECORDS="7")
    for account in accounts:
        eventually(lambda account=account: versions(bank, account) == [1, 2])  # type: ignore[misc]
