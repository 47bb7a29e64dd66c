"""Real purchases, a shop of its own for each test, and the run that nothing disturbed.

The slice is the file's first purchases; FOLDLOG_E2E_ORDERS sets how many, and 0 takes all 69,659.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from foldlog.cli.demo import cdnow
from foldlog.cli.demo.cdnow import Purchase
from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from tests.e2e.running import ROOT, Outcome, Shop

ORDERS = int(os.environ.get("FOLDLOG_E2E_ORDERS", "3000"))

Purchases = tuple[Purchase, ...]


@pytest.fixture(scope="session")
def purchases() -> Purchases:
    """What is bought in every run."""
    everything = cdnow.read(ROOT / "topologies" / "orders" / "data" / "CDNOW_master.txt.gz")
    return everything[:ORDERS] if ORDERS else everything


@pytest.fixture(scope="session")
def open_shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Shop]]:
    """Makes shops; their workers end with the run, however it ends."""
    shops: list[Shop] = []
    with closing(Registry(cluster.registry)) as registry:

        def open_shop() -> Shop:
            shops.append(Shop(cluster, registry, tmp_path_factory.mktemp("shop"), f"orders_{uuid.uuid4().hex[:8]}"))
            return shops[-1]

        try:
            yield open_shop
        finally:
            for shop in shops:
                shop.close()


@pytest.fixture
def shop(open_shop: Callable[[], Shop]) -> Iterator[Shop]:
    """A shop for one test."""
    shop = open_shop()
    yield shop
    for worker in shop.workers:
        worker.clean_up()


@pytest.fixture(scope="session")
def undisturbed(open_shop: Callable[[], Shop], purchases: Purchases) -> Outcome:
    """What the purchases come to where one worker handles all of them in peace."""
    shop = open_shop()
    worker = shop.start("only").ready()
    shop.stock(purchases)
    shop.order(purchases)
    shop.settle(len(purchases))
    worker.stop()
    return shop.outcome()
