"""The other side of RabbitMQ: who sends commands and who hears of events, through restarts of the server."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPException
from yarl import URL

logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # a page for every try to connect
AWAY = (AMQPException, OSError, RuntimeError, TimeoutError)


@asynccontextmanager
async def channel(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel, once the server answers."""
    while True:
        connection = aio_pika.Connection(URL(url))
        try:
            await connection.connect(timeout=5)
            break
        except AWAY:
            await connection.close()  # what is left open is closed by the collector, in whichever thread that runs
            await asyncio.sleep(0.2)
    async with connection:
        yield await connection.channel()


def command(kind: str, id: str, **data: Any) -> aio_pika.Message:
    """A command as JSON, its type beside it."""
    return aio_pika.Message(
        json.dumps(data).encode(),
        type=kind,
        message_id=id,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def publish(url: str, queue: str, messages: Iterable[aio_pika.Message]) -> None:
    """Publishes each until it is confirmed, in order."""
    waiting = list(messages)
    while waiting:
        try:
            async with channel(url) as open_channel:
                await open_channel.declare_queue(queue, durable=True)
                while waiting:
                    await open_channel.default_exchange.publish(waiting[0], queue, timeout=30)
                    waiting.pop(0)
        except AWAY:
            await asyncio.sleep(0.2)


def _room(most: int | None) -> dict[str, Any]:
    return {} if most is None else {"x-max-length": most, "x-overflow": "reject-publish"}


async def bound(url: str, exchange: str, queue: str, pattern: str, most: int | None = None) -> None:
    """A durable queue that hears what matches a pattern, and refuses what is more than so many."""
    async with channel(url) as open_channel:
        await open_channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        made = await open_channel.declare_queue(queue, durable=True, arguments=_room(most))
        await made.bind(exchange, pattern)


async def taken(
    url: str, queue: str, count: int, seconds: float = 60, most: int | None = None
) -> list[AbstractIncomingMessage]:
    """The messages of a queue, at least so many, and all that are there then."""
    found: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(seconds), channel(url) as open_channel:
        source = await open_channel.declare_queue(queue, durable=True, arguments=_room(most))
        while True:
            message = await source.get(no_ack=True, fail=False)
            if message is not None:
                found.append(message)
            elif len(found) >= count:
                return found
            else:
                await asyncio.sleep(0.05)


async def hear(url: str, queue: str, found: list[AbstractIncomingMessage], end: asyncio.Event) -> None:
    """Takes whatever comes to a queue, until the end."""
    while not end.is_set():
        try:
            async with channel(url) as open_channel:
                source = await open_channel.declare_queue(queue, durable=True)
                while not end.is_set():
                    if (message := await source.get(fail=False)) is not None:
                        found.append(message)
                        await message.ack()
                    else:
                        await asyncio.sleep(0.05)
        except AWAY:
            await asyncio.sleep(0.2)


def heard(messages: Iterable[AbstractIncomingMessage], id: str) -> list[dict[str, Any]]:
    """The CloudEvents about accounts whose name begins so, each as often as it came."""
    events = [json.loads(message.body) for message in messages]
    return [event for event in events if event["subject"].startswith(id)]
