"""The edges to RabbitMQ and webhooks as processes: they go on until SIGINT or SIGTERM."""

import asyncio
from collections.abc import Callable

from foldlog.client.asynchronous import AsyncClient
from foldlog.client.client import Client
from foldlog.core.topology import Topology
from foldlog.edges.outgoing import Wishes, follow
from foldlog.edges.rabbitmq_in import Queue
from foldlog.edges.rabbitmq_out import Exchange
from foldlog.edges.waiting import until_told
from foldlog.edges.webhook import Webhook


def take(topology: Topology, url: str, queue: str, prefetch: int) -> None:
    """Commands in from a queue of RabbitMQ."""

    async def run(client: Client) -> None:
        with until_told() as stopping:
            await Queue(url, queue, client, prefetch).run(stopping)

    with Client(topology) as client:
        client.prepare()
        asyncio.run(run(client))


def tell(topology: Topology, made: Callable[[], Exchange | Webhook], wishes: Wishes) -> None:
    """Events out to whatever `made` makes inside the loop."""

    async def run() -> None:
        target = made()
        try:
            with until_told() as stopping:
                async with AsyncClient(topology) as client:
                    await follow(client, target, stopping, wishes)
        finally:
            await target.close()

    asyncio.run(run())
