"""Read your writes: whoever sent a command sees its effect in a view, however busy everything is."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import Producer

from foldlog.core.topics import events
from foldlog.kafka.generations import point
from tests.engine.bank import Balance, Open, Post
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually
from tests.query.filling import Rows, second_generation
from tests.query.processes import ROOT, Served
from tests.query.sending import Sender

TRIES = int(os.environ.get("FOLDLOG_TRIES", "300"))  # `make read-tests` takes 10,000
READERS = 6
LONG = {"wait_ms": 30_000}  # a busy machine takes its time
ten = Decimal("10.00")


@pytest.fixture(scope="module")
def sender(bank: Bank, worker: Worker) -> Iterator[Sender]:
    sender = Sender(bank)
    yield sender
    sender.close()


@pytest.fixture
def load(bank: Bank, worker: Worker) -> Iterator[None]:
    """Commands of others, all the time."""
    stop = threading.Event()
    accounts = [uuid.uuid4().hex for _ in range(50)]
    others = Producer({"bootstrap.servers": bank.cluster.bootstrap, "log_level": 0, "linger.ms": 5})

    def send(command: Any) -> None:
        key = command.account.encode()
        others.produce(bank.commands, bank.codec.encode(command), key, bank.home(key))

    def run() -> None:
        for account in accounts:
            send(Open(account, f"owner-{account[0]}"))
        while not stop.is_set():
            for account in accounts * 4:
                send(Post(account, ten))
            others.flush()
            time.sleep(0.2)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def stale_reads(tries: int, once: Callable[[int], bool]) -> int:
    """How many of so many tries, several at once, did not see what they wrote."""
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(once, range(tries))).count(False)


def test_no_read_is_stale(served: Served, sender: Sender, load: None) -> None:
    """By key, in lists and in SQL; the row is in the partition of its event."""

    def once(number: int) -> bool:
        account = uuid.uuid4().hex
        at = sender.ask(Open(account, "ada"))
        wanted = {"key": account, "owner": "ada", "amount": "0.00", "postings": 0}
        match number % 3:
            case 0:
                answer = served.http.get(f"/views/balances/{account}", params=LONG, headers={"Foldlog-After": at})
                return answer.status_code == 200 and bool(answer.json() == wanted)
            case 1:
                answer = served.get("/views/balances", key=f"eq:{account}", after=at, **LONG)
                return bool(answer.json()["rows"] == [wanted])
            case _:
                answer = served.sql("SELECT count(*) FROM balances WHERE key = ?", [account], after=at, **LONG)
                return bool(answer.json()["rows"] == [[1]])

    assert stale_reads(TRIES, once) == 0


def test_no_read_is_stale_of_rows_that_are_elsewhere(served: Served, sender: Sender, load: None) -> None:
    """The events of `wealth` are moved to the partition of their owner first."""

    def once(number: int) -> bool:
        account, owner = uuid.uuid4().hex, f"owner-{uuid.uuid4().hex}"
        sender.ask(Open(account, owner))
        at = sender.ask(Post(account, ten))
        answer = served.get(f"/views/wealth/{owner}", after=at, wait_ms=30_000)
        return answer.status_code == 200 and answer.json()["amount"] == "10.00"

    assert stale_reads(TRIES // 3, once) == 0


def test_several_events_are_waited_for_and_old_ones_are_there_at_once(served: Served, sender: Sender) -> None:
    accounts = [uuid.uuid4().hex for _ in range(4)]
    places = [sender.ask(Open(account, "ada")) for account in accounts]
    answer = served.sql(
        "SELECT count(*) FROM balances WHERE key IN (?, ?, ?, ?)", accounts, after=", ".join(places), wait_ms=30_000
    )
    assert answer.json()["rows"] == [[4]]
    assert served.get("/views/balances", after=places[0], wait_ms=0).status_code in (200, 504)
    eventually(lambda: served.get("/views/balances", after=places[0], wait_ms=50).status_code == 200)


def test_what_does_not_come_is_told_when_the_time_is_over(served: Served, bank: Bank, sender: Sender) -> None:
    log = events(bank.name, "account")
    began = time.monotonic()
    answer = served.get("/views/balances", after=f"{log}:0:999999999", wait_ms=300)
    assert time.monotonic() - began >= 0.3
    assert (answer.status_code, answer.headers["content-type"]) == (504, "application/problem+json")
    assert answer.json()["detail"].startswith(f"balances: not yet at {log}:0:999999999 after 300 ms: ask again")


@pytest.mark.parametrize(
    ("after", "detail"),
    [
        ("garbage", "`garbage` is no position"),
        ("a:b:c", "`a:b:c` is no position"),
        ("x:0:-1", "is no position"),
        ("x:0:99999999999999999999", "is no position"),
        ("orders.order.events:0:1", "balances never comes to orders.order.events:0:1"),
        ("{log}:3:1", "never comes to"),
        ("{log}:0:1,garbage", "`garbage` is no position"),
    ],
)
def test_what_is_no_place_is_told(after: str, detail: str, served: Served, bank: Bank) -> None:
    after = after.replace("{log}", events(bank.name, "account"))
    for answer in (
        served.get("/views/balances/x", after=after),
        served.get("/views/balances", after=after),
        served.sql("FROM balances", after=after),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert detail in answer.json()["detail"]


def test_a_statement_over_no_view_has_nothing_to_wait_for(served: Served, bank: Bank) -> None:
    answer = served.sql("SELECT 1", after=f"{events(bank.name, 'account')}:0:0")
    assert answer.status_code == 400
    assert "what reads no view never comes to" in answer.json()["detail"]


def test_after_a_change_of_generation_the_new_one_is_waited_for(served: Served, bank: Bank, sender: Sender) -> None:
    """The rows that are shown must contain the event, not those that were shown before: nobody folds the new ones."""
    account = uuid.uuid4().hex
    at = sender.ask(Open(account, "ada"))
    assert served.get(f"/views/balances/{account}", after=at, wait_ms=30_000).status_code == 200
    Rows(bank, second_generation(bank)).write({account: Balance("ada")})
    point(bank.cluster.bootstrap, bank.name, "balances", "balances.g2")
    eventually(lambda: served.get("/views").json()["views"][0]["topic"].endswith(".g2"), "the other generation")
    assert served.get(f"/views/balances/{account}", after=at, wait_ms=200).status_code == 504
    point(bank.cluster.bootstrap, bank.name, "balances", "balances")
    eventually(lambda: served.get("/views").json()["views"][0]["topic"].endswith(".balances"), "the way back")
    assert served.get(f"/views/balances/{account}", after=at, wait_ms=30_000).status_code == 200


def test_the_command_line_waits_too(bank: Bank, sender: Sender, load: None) -> None:
    def view(account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "foldlog.cli.main", "view", f"{bank.name}.balances", account, *arguments]
        kafka = {"FOLDLOG_BOOTSTRAP": bank.cluster.bootstrap, "FOLDLOG_REGISTRY": bank.cluster.registry}
        environment = {**os.environ, **kafka, "BANK": bank.name}
        return subprocess.run(
            [*command, "--topology", "tests.engine.bank", "--format", "json"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    for _ in range(2):
        account = uuid.uuid4().hex
        ran = view(account, "--after", sender.ask(Open(account, "ada")))
        assert (ran.returncode, json.loads(ran.stdout)["owner"]) == (0, "ada"), ran.stderr
    log = events(bank.name, "account")
    late = view("x", "--after", f"{log}:0:999999999", "--timeout", "0.5")
    assert (late.returncode, late.stdout) == (1, "")
    assert f"{bank.name}.balances is not at {log}:0:999999999 after 0.5 s" in late.stderr
    wrong = view("x", "--after", f"{log}:3:0")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == f"error: {bank.name}.balances never comes to {log}:3:0: it reads {log}\n"
