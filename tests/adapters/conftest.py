"""Servers for the tests that need one; each is started once a run, when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.adapters.servers import POSTGRES, RABBITMQ, REDIS, any_of


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
