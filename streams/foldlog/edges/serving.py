"""The HTTP edge as a process: an address, signals, and an end that answers who is still waiting."""

import asyncio
import socket
from collections.abc import Callable

from foldlog.client.asynchronous import AsyncClient
from foldlog.edges.http import application
from foldlog.web.listening import Server, configured


async def serve(client: AsyncClient, server: socket.socket, wait: float, on_started: Callable[[], None]) -> None:
    """Takes commands until SIGINT or SIGTERM; raises at once what sending would raise."""
    async with client:
        await client.prepare()
        on_started()
        await Server(configured(application(client, wait))).serve(sockets=[server])


def run(client: AsyncClient, server: socket.socket, wait: float, on_started: Callable[[], None]) -> None:
    """As `serve`, from a program that has no loop."""
    asyncio.run(serve(client, server, wait, on_started))
