"""A connection to RabbitMQ that is made anew where it was lost, and one error for everything that goes wrong."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPException

from foldlog.core.errors import ConfigError, UnreachableError

ANSWER_S, CONNECT_S = 15.0, 5.0
# Their own account of a lost connection is a page of traceback; what is to be known is told in one line.
for _name in ("aio_pika", "aiormq"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
# What the client raises where a connection, a channel or a single answer is lost.
LOST = (AMQPException, OSError, TimeoutError, RuntimeError)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turns a failure into an UnreachableError that names the server, without its password."""
    try:
        yield
    except LOST as error:
        raise UnreachableError(f"RabbitMQ at {place(url)}: {str(error) or type(error).__name__}") from error


def place(url: str) -> str:
    """Host and port of a URL; ConfigError where it is none of RabbitMQ's."""
    try:
        found = aio_pika.connection.make_url(url)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"--url is no address of RabbitMQ: {error}; write amqp://user:password@host:5672/") from error
    if found.scheme not in ("amqp", "amqps") or not found.host:
        raise ConfigError("--url is no address of RabbitMQ: write amqp://user:password@host:5672/")
    return f"{found.host}:{found.port}"


class Link:
    """One connection and one channel, with confirms; made when it is needed, and made anew once it was dropped."""

    def __init__(self, url: str) -> None:
        place(url)
        self.url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def channel(self) -> AbstractChannel:
        """The open channel; raises whatever the client does where there is none."""
        if self._channel is None or self._channel.is_closed:
            await self.drop()
            self._connection = await aio_pika.connect(self.url, timeout=CONNECT_S)
            self._channel = await self._connection.channel(publisher_confirms=True)
        return self._channel

    async def drop(self) -> None:
        """Closes it; the next use makes another."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(*LOST):
                await connection.close()
