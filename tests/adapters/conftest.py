"""Servers for the tests that need one; each is started once a run, when the first test asks for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from tests.adapters.kept import Bank, Kind, Place, fresh_bank
from tests.adapters.servers import POSTGRES, RABBITMQ, REDIS, any_of

PlaceOf = Callable[[Kind], Place]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with any_of(POSTGRES) as url:
        yield url


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """The URL of a Redis server."""
    with any_of(REDIS) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ server."""
    with any_of(RABBITMQ) as url:
        yield url


@pytest.fixture(scope="module")
def bank(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A bank that a module's tests share: a view only grows, and each sink has a place of its own."""
    with fresh_bank(cluster, tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture
def own_bank(cluster: Cluster, tmp_path: Path) -> Iterator[Bank]:
    """A bank for one test."""
    with fresh_bank(cluster, tmp_path) as bank:
        yield bank


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> PlaceOf:
    """A place for a sink of some kind that no other test uses."""

    def place(kind: Kind) -> Place:
        return Place.at(request.getfixturevalue(kind.name) if kind.product else str(tmp_path / "files"))

    return place
