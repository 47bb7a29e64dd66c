"""Banks and workers: one pair that most tests share, and fresh ones for tests that stop or break them.

And a decider both ways, which needs neither.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from tests.engine.outside import Webhook, webhook
from tests.engine.processes import Worker
from tests.engine.running import Bank, fresh_bank
from tests.engine.ways import Sides, counter, sides

Start = Callable[..., Worker]


@pytest.fixture(scope="session")
def bank(cluster: Cluster) -> Iterator[Bank]:
    """The bank that tests share; each has accounts of its own."""
    with fresh_bank(cluster) as bank:
        yield bank


@pytest.fixture(scope="session")
def outside() -> Iterator[Webhook]:
    """Where the shared worker's reactor sends its messages."""
    with webhook() as hook:
        yield hook


@pytest.fixture(scope="session")
def worker(bank: Bank, outside: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The shared bank's worker; nobody stops it, and it loses no session because the machine is busy."""
    home = tmp_path_factory.mktemp("worker")
    worker = Worker(bank, home, "shared", FOLDLOG_NOTIFY=outside.url, FOLDLOG_SESSION_TIMEOUT_MS="60000")
    try:
        yield worker.ready()
    finally:
        code = worker.stop()
    assert code == 0, worker.output[-5000:]


@pytest.fixture
def own_bank(cluster: Cluster) -> Iterator[Bank]:
    """A bank for one test."""
    with fresh_bank(cluster) as bank:
        yield bank


@pytest.fixture
def start(own_bank: Bank, tmp_path: Path) -> Iterator[Start]:
    """Starts workers of the test's own bank; they end with the test, however it ends."""
    started: list[Worker] = []

    def start(*only: str, instance: str = "w", options: tuple[str, ...] = (), **env: str) -> Worker:
        worker = Worker(own_bank, tmp_path, instance, *only, options=options, **env)
        started.append(worker)
        return worker

    try:
        yield start
    finally:
        for worker in started:
            worker.close()


@pytest.fixture(scope="module")
def counters(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """A decider both ways, over stores of its own."""
    with sides(cluster, tmp_path_factory.mktemp("counters"), counter) as found:
        yield found
