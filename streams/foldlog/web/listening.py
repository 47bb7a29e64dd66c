"""An address to listen on, and a server that leaves the process its signals."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from foldlog.core.errors import ConfigError

LAST_ANSWERS = 10  # s for those who still wait for one at the end


def configured(application: Any) -> uvicorn.Config:
    """How an ASGI application is served: without a log of its own, with an end that answers who still waits."""
    return uvicorn.Config(
        application, log_config=None, access_log=False, timeout_graceful_shutdown=LAST_ANSWERS, lifespan="off"
    )


class Server(uvicorn.Server):
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
