"""One bank with a running worker, and a client to it; each test has accounts of its own."""

import uuid
from collections.abc import Iterator

import pytest

from foldlog import Client
from foldlog.cluster import Cluster
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh_bank

LONG = 120.0  # s: a start and a restart on a busy machine


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Bank]:
    """The bank's topics and schemas."""
    with fresh_bank(cluster) as bank:
        yield bank


@pytest.fixture(scope="module")
def worker(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Decides its commands and folds its views."""
    worker = Worker(bank, tmp_path_factory.mktemp("worker"), "client")
    try:
        eventually(worker.is_ready, "the worker's start", LONG)
        yield worker
    finally:
        worker.close()


@pytest.fixture(scope="module")
def client(bank: Bank, worker: Worker) -> Iterator[Client]:
    """The client that tests share."""
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        yield client


@pytest.fixture
def id() -> str:
    """The id of an account that nobody has used."""
    return uuid.uuid4().hex
