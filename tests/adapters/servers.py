"""Which server a test gets: the one that a URL names, else one in Docker, else a program of this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import pytest

from foldlog.cluster import docker
from tests.adapters.containers import Container
from tests.adapters.programs import Make, Postgres, RabbitMQ, Redis, found


@dataclass(frozen=True)
class Product:
    """A kind of server: how each way to one is called, and how it is reached."""

    name: str
    variable: str
    url: str
    make: Make
    program: str
    places: str
    package: str
    image: str
    port: int
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)


POSTGRES = Product(
    "PostgreSQL",
    "FOLDLOG_POSTGRES",
    "postgresql://postgres@{host}:{port}/postgres",
    Postgres,
    program="postgres",
    places="usr/lib/postgresql/*/bin",
    package="postgresql",
    image="postgres:17-alpine",
    port=5432,
    ready="listening on IPv4 address",
    environment={"POSTGRES_HOST_AUTH_METHOD": "trust"},
)
REDIS = Product(
    "Redis",
    "FOLDLOG_REDIS",
    "redis://{host}:{port}/0",
    Redis,
    program="redis-server",
    places="usr/bin",
    package="redis-server",
    image="redis:8-alpine",
    port=6379,
    ready="Ready to accept connections",
)
RABBITMQ = Product(
    "RabbitMQ",
    "FOLDLOG_RABBITMQ",
    "amqp://guest:guest@{host}:{port}/",
    RabbitMQ,
    program="rabbitmq-server",
    # Not the wrapper on PATH, which changes to a user of its own.
    places="usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    package="rabbitmq-server",
    image="rabbitmq:4-alpine",
    port=5672,
    ready="Server startup complete",
)


class Server(Protocol):
    """A server of a test's own: stopped and started it has the same URL and its data."""

    url: str

    def start(self) -> None:
        """Starts it and waits until it answers."""

    def stop(self) -> None:
        """Ends it in order."""

    def kill(self) -> None:
        """Ends it by SIGKILL."""

    def close(self) -> None:
        """Ends it, and deletes its data."""


@contextmanager
def any_of(product: Product) -> Iterator[str]:
    """The URL of a server: an existing one, which others may use too, else one for the whole run."""
    url = os.environ.get(product.variable)
    if url:
        yield url
        return
    with own(product) as server:
        yield server.url


@contextmanager
def own(product: Product) -> Iterator[Server]:
    """A started server that nobody else uses; the test fails where there is no way to one."""
    server = _made(product)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _made(product: Product) -> Server:
    if _docker_answers():
        return Container(product.image, product.port, product.environment, product.url, product.ready)
    program = found(product.program, product.places)
    if program is None:
        pytest.fail(
            f"no {product.name}: set {product.variable} to a server's URL, start Docker, or install one "
            f"(Debian: apt-get install {product.package})",
            pytrace=False,
        )
    return product.make(program, product.url)


_docker_answers = cache(docker.answers)
