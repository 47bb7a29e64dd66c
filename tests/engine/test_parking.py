"""Parked keys: who fails waits, with all that follows, until the fault is mended; everybody else goes on."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shutil import rmtree

from foldlog.core import Record, topics
from foldlog.core.folding import fold
from foldlog.core.repair import Parked
from tests.engine.bank import (
    UNLUCKY,
    Balance,
    Close,
    Misbehave,
    Misbehaved,
    Open,
    Post,
    Posted,
    Transfer,
    TransferMoney,
    balances,
)
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually
from tests.engine.scraping import FREE_PORT, scrape, url_of

ten = Decimal("10.00")
MENDED = {"BANK_MENDED": "1"}


def parks(bank: Bank, processor: str, key: str) -> None:
    """Waits until the key is parked."""
    eventually(lambda: key in bank.parked(processor), f"{key} parked by {processor}")


def flows(bank: Bank, processor: str, key: str) -> None:
    """Waits until the key is not parked any more."""
    eventually(lambda: key not in bank.parked(processor), f"{key} flows again")


def mended(bank: Bank, account: str) -> Record:
    """The fold of an account's log by the mended view, which an event that was poison leaves as it is."""
    row: Record = fold(balances, [both for both in bank.events(account) if not isinstance(both[0], Misbehaved)])
    return row


def test_a_poison_event_parks_its_own_key_with_all_that_follows(bank: Bank, worker: Worker) -> None:
    bad, good = bank.account_on(0), bank.account_on(0)
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), Open(good, "bob"), Post(bad, ten), Post(good, ten))
    bank.row("balances", good, Balance("bob", ten, 1))
    parks(bank, "balances", bad)
    bank.send(Post(bad, ten), Post(good, ten))
    bank.row("balances", good, Balance("bob", 2 * ten, 2))
    eventually(lambda: len(bank.waiting("balances", bad)) == 3)
    posted = Posted(bad, "ada", ten)
    assert bank.waiting("balances", bad) == [Misbehaved(bad, "fold"), posted, posted]
    assert bank.rows("balances")[bad] == Balance("ada")
    head = bank.parked("balances")[bad]
    assert (head.cause, head.reason) == ("fold-failed", "ValueError: this event cannot be folded")
    assert (head.first, head.next, head.tries, head.due) == (1, 4, 1, None)
    eventually(lambda: "ada" in bank.rows("wealth"), "another view has no trouble with it")
    worker.ready()


def test_a_retry_that_fails_again_leaves_the_sequence_as_it_was(bank: Bank, worker: Worker) -> None:
    bad, good = bank.account_on(0), bank.account_on(0)
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), Post(bad, ten), Open(good, "bob"))
    parks(bank, "balances", bad)
    bank.repair("retry", "balances", bad)
    eventually(lambda: bank.parked("balances")[bad].tries == 2)
    eventually(lambda: len(bank.waiting("balances", bad)) == 2)
    assert bank.waiting("balances", bad) == [Misbehaved(bad, "fold"), Posted(bad, "ada", ten)]
    bank.row("balances", bad, Balance("ada"))
    bank.row("balances", good, Balance("bob"))
    worker.ready()


def test_one_record_is_dropped_and_the_rest_is_retried(bank: Bank, worker: Worker) -> None:
    bad = bank.account_on(0)
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), Post(bad, ten))
    parks(bank, "balances", bad)
    eventually(lambda: len(bank.waiting("balances", bad)) == 2)
    bank.repair("drop", "balances", bad, sequence=1)
    eventually(lambda: bank.parked("balances")[bad].first == 2)
    bank.repair("retry", "balances", bad)
    flows(bank, "balances", bad)
    bank.send(Post(bad, ten))
    bank.row("balances", bad, Balance("ada", 2 * ten, 2))


def test_a_whole_sequence_is_dropped_and_the_key_flows_again(bank: Bank, worker: Worker) -> None:
    bad = bank.account_on(0)
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), Post(bad, ten))
    eventually(lambda: len(bank.waiting("balances", bad)) == 2)
    bank.repair("drop", "balances", bad)
    flows(bank, "balances", bad)
    assert bank.waiting("balances", bad) == []
    bank.send(Post(bad, ten))
    bank.row("balances", bad, Balance("ada", ten, 1))


def test_after_the_fix_a_retry_drains_in_order_and_the_view_is_the_fold_of_the_log(
    own_bank: Bank, start: Start, tmp_path: Path
) -> None:
    bank, worker = own_bank, start("account", "balances").ready()
    bad, good = bank.account_on(0), bank.account_on(0)
    bank.send(Open(bad, "ada"), Post(bad, ten), Misbehave(bad, "fold"), Close(bad), Open(bad, "eve"))
    bank.send(*(Post(bad, Decimal(amount)) for amount in range(1, 30)))
    parks(bank, "balances", bad)
    assert worker.stop() == 0
    rmtree(tmp_path / "workers" / "w" / "state")  # what is parked is on the topic
    start("account", "balances", **MENDED).ready()
    bank.send(Post(bad, ten), Open(good, "bob"))
    bank.row("balances", good, Balance("bob"))
    eventually(lambda: len(bank.waiting("balances", bad)) == 33, "what came after the fix waits too")
    bank.repair("retry", "balances", bad)
    flows(bank, "balances", bad)
    bank.send(Post(bad, ten))
    bank.ask(Open(good))
    bank.row("balances", bad, mended(bank, bad))
    assert bank.waiting("balances", bad) == []
    assert bank.letters() == []


def test_a_long_sequence_drains_in_portions_while_its_neighbours_and_its_own_events_flow(
    own_bank: Bank, start: Start
) -> None:
    bank, worker = own_bank, start("account", "balances").ready()
    bad, good = bank.account_on(0), bank.account_on(0)
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), *(Post(bad, Decimal(n)) for n in range(1, 2200)))
    eventually(lambda: len(bank.waiting("balances", bad)) == 2200)
    assert worker.stop() == 0
    start("account", "balances", **MENDED).ready()
    bank.repair("retry", "balances", bad)
    bank.send(Open(good, "bob"), *(Post(account, ten) for _ in range(300) for account in (good, bad)))
    bank.row("balances", good, Balance("bob", 300 * ten, 300))
    eventually(lambda: len(bank.events(bad)) == 2501)
    bank.row("balances", bad, mended(bank, bad))
    flows(bank, "balances", bad)


def test_nothing_is_lost_or_doubled_by_kills_while_parked_and_while_draining(own_bank: Bank, start: Start) -> None:
    bank, bad = own_bank, own_bank.account_on(0)
    worker = start("account", "balances").ready()
    bank.send(Open(bad, "ada"), Misbehave(bad, "fold"), *(Post(bad, Decimal(n)) for n in range(1, 2000)))
    parks(bank, "balances", bad)
    worker.close()  # kill -9
    worker = start("account", "balances").ready()
    eventually(lambda: len(bank.waiting("balances", bad)) == 2000)
    for _ in range(2):
        worker.close()
        worker = start("account", "balances", **MENDED).ready()
        head = bank.parked("balances").get(bad)
        before = head.first if head else 0
        bank.repair("retry", "balances", bad)
        eventually(lambda before=before: (at := bank.parked("balances").get(bad)) is None or at.first > before)  # type: ignore[misc]
    worker.close()
    start("account", "balances", **MENDED).ready()
    bank.repair("retry", "balances", bad)
    flows(bank, "balances", bad)
    bank.send(Post(bad, ten))
    eventually(lambda: len(bank.events(bad)) == 2002)
    bank.row("balances", bad, mended(bank, bad))
    assert bank.waiting("balances", bad) == []


def test_a_parked_saga_takes_its_steps_after_the_fix(own_bank: Bank, start: Start) -> None:
    bank, worker = own_bank, start("account", "transfer").ready()
    ada, bob = bank.account_on(0), bank.account_on(1)
    bank.send(Open(ada), Post(ada, UNLUCKY), Open(bob), TransferMoney("t", ada, bob, UNLUCKY))
    parks(bank, "transfer", "t")
    assert worker.stop() == 0
    start("account", "transfer", **MENDED).ready()
    bank.repair("retry", "transfer", "t")
    bank.row("transfer", "t", Transfer(ada, bob, "done"))
    assert [event for event, _ in bank.events(bob)[1:]] == [Posted(bob, "nobody", UNLUCKY, "t")]


def test_chronic_poison_is_counted_and_grows_no_memory(own_bank: Bank, start: Start) -> None:
    bank, worker = own_bank, start("account", "balances", **FREE_PORT)
    url = url_of(worker.ready())
    accounts = [bank.account_on(number % 3) for number in range(30)]
    bank.send(*(Open(account, "ada") for account in accounts), *(Misbehave(account, "fold") for account in accounts))
    eventually(lambda: scrape(url)["foldlog_parked_keys", "balances"] == 30)
    sizes = []
    for round_ in range(1, 4):
        bank.send(*(Misbehave(account, "fold") for account in accounts for _ in range(100)))
        eventually(lambda round_=round_: sum(h.next - 2 for h in bank.parked("balances").values()) == 3000 * round_)  # type: ignore[misc]
        sizes.append(scrape(url).families["process_resident_memory_bytes"].samples[0].value)
    assert scrape(url)["foldlog_parked_keys", "balances"] == 30
    assert sizes[-1] - sizes[0] < 32 << 20
    assert len(worker.output.splitlines()) < 200, "a key is told of once"


def test_a_garbled_or_foreign_repair_stops_nothing(bank: Bank, worker: Worker) -> None:
    good = bank.account_on(0)
    record = Parked("nowhere", 7, 0, datetime.now(UTC), None, b"", ())
    for processor in ("balances", "nobody"):
        bank.repair("retry", processor, good)
        bank.repair("sing", processor, good)
        bank.repair("drop", processor, good, sequence=-1)
        bank.repair("retry", processor, good, record=record)
    garbage = uuid.uuid4().hex.encode()
    place = bank.put(good.encode(), garbage, topic=topics.repairs(bank.name))
    eventually(lambda: {letter.processor for letter in bank.letters_of(place)} >= {"balances", "wealth", "transfer"})
    bank.send(Open(good, "bob"))
    bank.row("balances", good, Balance("bob"))
    worker.ready()
