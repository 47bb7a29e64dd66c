"""The HTTP edge as a process: an address, signals, and an end that answers who is still waiting."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from foldlog.client.asynchronous import AsyncClient
from foldlog.core.errors import ConfigError
from foldlog.edges.http import application

_LAST_ANSWERS = 10  # s for those who still wait for one at the end


class _Server(uvicorn.Server):
    """Ends at a signal, and lets the process end as it likes: uvicorn would raise the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hears SIGINT and SIGTERM until the end of the block."""
        heard = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listening(address: str) -> socket.socket:
    """A socket at `host:port`; port 0 takes a free one. ConfigError where the address cannot be listened on."""
    host, _, port = address.rpartition(":")
    try:
        server = socket.create_server((host, int(port)))
    except (OSError, OverflowError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "write host:port, the port at most 65535"
        raise ConfigError(f"--http {address} cannot be listened on: {why}; choose another address") from error
    server.setblocking(False)
    return server


async def serve(client: AsyncClient, server: socket.socket, wait: float, on_started: Callable[[], None]) -> None:
    """Takes commands until SIGINT or SIGTERM; raises at once what sending would raise."""
    async with client:
        await client.prepare()
        config = uvicorn.Config(
            application(client, wait),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_LAST_ANSWERS,
            lifespan="off",
        )
        on_started()
        await _Server(config).serve(sockets=[server])


def run(client: AsyncClient, server: socket.socket, wait: float, on_started: Callable[[], None]) -> None:
    """As `serve`, from a program that has no loop."""
    asyncio.run(serve(client, server, wait, on_started))
