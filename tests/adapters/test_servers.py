"""The servers of the adapter tests answer, keep their data when they are killed, and leave nothing behind."""

import asyncio
from collections.abc import Callable

import aio_pika
import psycopg
import pytest
import redis as redis_client

from foldlog.cluster.ports import is_free
from tests.adapters import servers
from tests.adapters.servers import POSTGRES, RABBITMQ, REDIS, Product, own

pytestmark = pytest.mark.adapters


def write_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def read_row(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def write_key(url: str) -> None:
    with redis_client.Redis.from_url(url) as client:
        client.set("kept", 42)


def read_key(url: str) -> int:
    with redis_client.Redis.from_url(url) as client:
        return int(client.get("kept") or 0)


async def _publish(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True)
        message = aio_pika.Message(b"42", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue.name)


async def _take(url: str) -> int:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", durable=True)
        message = await queue.get(timeout=30)
        return int(message.body)


KEPT: list[tuple[Product, Callable[[str], None], Callable[[str], int]]] = [
    (POSTGRES, write_row, read_row),
    (REDIS, write_key, read_key),
    (RABBITMQ, lambda url: asyncio.run(_publish(url)), lambda url: asyncio.run(_take(url))),
]


@pytest.mark.parametrize(("product", "write", "read"), KEPT, ids=[product.name for product, _, _ in KEPT])
def test_a_server_of_ones_own_keeps_its_data_until_it_is_closed(
    product: Product, write: Callable[[str], None], read: Callable[[str], int]
) -> None:
    with own(product) as server:
        write(server.url)
        server.kill()
        server.start()
        assert read(server.url) == 42
    assert is_free(int(server.url.rpartition(":")[2].partition("/")[0]))


def test_a_url_in_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_REDIS", "redis://elsewhere:6379/0")
    with servers.any_of(REDIS) as url:
        assert url == "redis://elsewhere:6379/0"


def test_where_there_is_no_server_the_test_fails_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_docker_answers", lambda: False)
    monkeypatch.setattr(servers, "found", lambda name, places: None)
    with pytest.raises(pytest.fail.Exception, match=r"no PostgreSQL: set FOLDLOG_POSTGRES.*apt-get install postgresql"):
        servers._made(POSTGRES)
