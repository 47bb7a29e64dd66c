"""A view gets a column while commands flow and readers ask: nobody fails, and nobody misses what he wrote.

`FOLDLOG_READS` is how many reads there are at least in each phase: before the rebuild, after readers changed over, and
after the new workers took over; and how many orders there are before, ten times as many. `make read-tests` takes more.
"""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from foldlog.cluster import Cluster
from foldlog.core.topics import table
from foldlog.kafka.generations import resolve
from tests.engine.processes import ROOT, Worker, reaching
from tests.engine.running import Bank, eventually, fresh
from tests.query.customers import orders
from tests.query.processes import Served
from tests.query.sending import Sender
from topologies.orders.order_messages import CreateOrder
from topologies.orders.pricing import OrderItem

READS = int(os.environ.get("FOLDLOG_READS", "100"))
RATE = 100  # a second, at most
READERS = 24
LONG = 180.0  # s: a busy machine takes its time
CONTEXT = "tests.query.customers"


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Bank]:
    """A shop for one test."""
    with fresh(cluster, orders) as shop:
        yield shop


def ordered(customer: str, number: str) -> CreateOrder:
    return CreateOrder(number, customer, date(2026, 1, 2), (OrderItem("book", 2, Decimal("12.50")),), submit=True)


class Buyers:
    """Customers who order, and look at once whether the view has it; each is a thread's own."""

    def __init__(self, served: Served, sender: Sender) -> None:
        self._served, self._sender = served, sender
        self.reads, self.rate = 0, 0.0
        self.failed: list[str] = []
        self.stale: list[str] = []
        self._lock, self._stop, self._began = threading.Lock(), threading.Event(), time.monotonic()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(READERS)]
        for thread in self._threads:
            thread.start()

    def more(self) -> None:
        """Waits for so many more reads."""
        before = self.reads
        eventually(lambda: self.reads >= before + READS, "the reads", LONG + READS)

    def close(self) -> None:
        """Ends the threads."""
        if not self._stop.is_set():
            self._stop.set()
            self.rate = self.reads / (time.monotonic() - self._began)
        for thread in self._threads:
            thread.join()

    def _run(self, buyer: int) -> None:
        counts = Counter[str]()
        with httpx.Client(base_url=self._served.url, timeout=LONG, trust_env=False) as http:
            while not self._stop.is_set():
                with self._lock:
                    number, self.reads = self.reads, self.reads + 1
                self._stop.wait(self._began + number / RATE - time.monotonic())
                customer = f"buyer-{buyer}-{number % 20}"
                counts[customer] += 1
                at = self._sender.ask(ordered(customer, f"order-{number}"))
                answer = http.get(f"/views/customers/{customer}", params={"after": at, "wait_ms": 60_000})
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                elif answer.json()["orders"] != counts[customer]:
                    self.stale.append(f"{answer.text} instead of {counts[customer]} at {at}")


def test_nobody_fails_or_misses_his_own_orders(shop: Bank, tmp_path: Path) -> None:
    shop.send(*(ordered(f"customer-{number % 500}", f"before-{number}") for number in range(READS * 10)))
    environment = {**os.environ, **reaching(shop), "CUSTOMERS": "2", "FOLDLOG_HOME": str(tmp_path)}
    rebuild = [sys.executable, "-m", "foldlog.cli.main", "rebuild", f"{shop.name}.customers", "--topology", CONTEXT]
    with (
        closing(Worker(shop, tmp_path, "v1", "order", "customers", module=CONTEXT)) as old,
        closing(Served(shop, tmp_path, module=CONTEXT)) as served,
        closing(Sender(shop, LONG)) as sender,
    ):
        old.ready()
        served.ready()
        with closing(Buyers(served, sender)) as buyers:
            buyers.more()
            out = tmp_path / "rebuild.out"
            with out.open("wb") as output:
                rebuilding = subprocess.Popen(rebuild, cwd=ROOT, env=environment, stdout=output, stderr=output)
            second = table(shop.name, "customers.g2")
            eventually(lambda: resolve(shop.cluster.bootstrap, shop.name, "customers") == second, "the change", LONG)
            buyers.more()
            with closing(Worker(shop, tmp_path, "v2", "order", "customers", module=CONTEXT, CUSTOMERS="2")) as new:
                new.ready()
                assert rebuilding.wait(LONG) == 0, out.read_text()
                buyers.more()
                topics = {view["topic"] for view in served.get("/views").json()["views"]}
                buyers.close()
    sys.stdout.write(
        f"{buyers.reads} reads, {buyers.rate:.0f} a second: {len(buyers.failed)} failed, {len(buyers.stale)} stale\n"
    )
    assert topics == {second}
    assert (buyers.failed, buyers.stale) == ([], [])
