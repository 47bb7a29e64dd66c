"""A bank with a running worker, shared by the tests of all edges, and a RabbitMQ; each test has accounts of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adapters.servers import RABBITMQ, Server, own
from tests.client.conftest import bank, id, worker
from tests.edges.process import Edge
from tests.engine.processes import Worker
from tests.engine.running import Bank

__all__ = ["bank", "id", "worker"]

Start = Callable[..., Edge]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A RabbitMQ that the tests may stop."""
    with own(RABBITMQ) as server:
        yield server


@pytest.fixture
def start(bank: Bank, worker: Worker, server: Server, tmp_path: Path) -> Iterator[Start]:
    """Starts edges of the shared bank to this RabbitMQ; they end with the test."""
    started: list[Edge] = []

    def start(kind: str, *options: str) -> Edge:
        edge = Edge(bank, tmp_path, kind, "--url", server.url, *options)
        started.append(edge)
        return edge

    yield start
    for edge in started:
        edge.close()
