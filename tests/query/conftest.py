"""A bank with a worker and a query service that most tests share, and fresh services for those who stop them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from tests.engine.processes import Worker
from tests.engine.running import Bank, fresh_bank
from tests.query.processes import Served

Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Bank]:
    """A bank for the tests of a file."""
    with fresh_bank(cluster) as bank:
        yield bank


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file's processes keep what they have."""
    return tmp_path_factory.mktemp("query")


@pytest.fixture(scope="module")
def worker(bank: Bank, home: Path) -> Iterator[Worker]:
    """The bank's worker: its decider and its views."""
    worker = Worker(bank, home, "w", "account", "balances", "wealth")
    try:
        yield worker.ready()
    finally:
        worker.close()


@pytest.fixture(scope="module")
def served(bank: Bank, home: Path) -> Iterator[Served]:
    """The file's query service; nobody stops it."""
    served = Served(bank, home)
    try:
        yield served.ready()
        assert served.stop() == 0, served.output[-5000:]
        assert "Traceback" not in served.output, served.output[-5000:]
    finally:
        served.close()


@pytest.fixture
def serve(bank: Bank, tmp_path: Path) -> Iterator[Serve]:
    """Starts services of the file's bank; they end with the test, however it ends."""
    started: list[Served] = []

    def serve(*arguments: str, **env: str) -> Served:
        started.append(Served(bank, tmp_path, *arguments, **env))
        return started[-1]

    try:
        yield serve
    finally:
        for each in started:
            each.close()
