"""A view that looks into another finds what has arrived of it, whichever partition has it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core.errors import StateError
from foldlog.engine import clients
from foldlog.engine.beside import Beside
from foldlog.settings import load
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh
from tests.engine.till import Purchases, Regulars, Ring, tills

Start = Callable[[], Worker]


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Bank]:
    """A context of tills for one test."""
    with fresh(cluster, tills) as shop:
        yield shop


@pytest.fixture
def start(shop: Bank, tmp_path: Path) -> Iterator[Start]:
    """Starts workers of the two views; they end with the test."""
    started: list[Worker] = []

    def start() -> Worker:
        names = ("w", "till", "purchases", "regulars")
        started.append(Worker(shop, tmp_path, *names, module="tests.engine.till", TILL=shop.name))
        return started[-1]

    yield start
    for each in started:
        each.close()


def buy(shop: Bank, customer: str, *skus: str) -> None:
    """One sale after the other, each at a till of its own."""
    for number, sku in enumerate(skus):
        shop.send(Ring(f"till {number} {customer}", sku, customer, 1, datetime.now(UTC)))


def test_an_event_is_enriched_by_the_row_of_another_view(shop: Bank, start: Start) -> None:
    worker = start().ready()
    buy(shop, "ada", "cd", "cd", "cd")
    shop.row("purchases", "ada", Purchases(3))

    def has_arrived() -> bool:  # the row is on its topic; the view that looks into it hears of it a moment later
        buy(shop, "ada", "probe")
        found = shop.rows("regulars").get("probe")
        return isinstance(found, Regulars) and found.by_regulars > 0

    eventually(has_arrived, "a sale to a regular")
    buy(shop, "ada", "lp", "mc", "dvd", "mp3")  # keys on every partition
    buy(shop, "bob", "lp")
    for sku in ("mc", "dvd", "mp3"):
        shop.row("regulars", sku, Regulars(1, 1))
    shop.row("regulars", "lp", Regulars(2, 1))
    assert worker.stop() == 0
    worker = start().ready()  # what it looks into is read anew, whole, before an event is handled
    buy(shop, "ada", "lp")
    shop.row("regulars", "lp", Regulars(3, 2))
    assert worker.stop() == 0


def test_a_view_that_is_not_there_is_no_empty_one(cluster: Cluster) -> None:
    config = clients.reader(cluster.bootstrap, "read_committed", load())
    beside = Beside(config, "no.such.view", 3, lambda _: Purchases(), patience=2)
    try:
        with pytest.raises(StateError, match=r"no\.such\.view was not read in 2 s"):
            beside.get("ada")
    finally:
        beside.close()
