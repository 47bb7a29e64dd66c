"""Events out to an exchange of RabbitMQ: CloudEvents, routed by type, each confirmed."""

import asyncio
from hashlib import blake2b

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import DeliveryError

from foldlog.core.errors import RefusedError
from foldlog.edges.cloudevents import STRUCTURED, CloudEvent, structured
from foldlog.edges.rabbitmq import ANSWER_S, LOST, Link, place, reaching

_SHORT = 255  # bytes of a property


class Exchange:
    """A durable topic exchange; a message's routing key is its event's type, its id the event's."""

    def __init__(self, url: str, name: str) -> None:
        self._link, self._name = Link(url), name
        self._open: tuple[AbstractChannel, AbstractExchange] | None = None
        self._opening = asyncio.Lock()

    async def tell(self, event: CloudEvent) -> None:
        """Publishes one event and waits for its confirm.

        Raises UnreachableError where there is no exchange, RefusedError where the event was not confirmed.
        """
        channel, exchange = await self._opened()
        try:
            await exchange.publish(_message(event), event.type, mandatory=False, timeout=ANSWER_S)
        except DeliveryError as error:
            raise RefusedError(f"RabbitMQ at {place(self._link.url)} did not take it: is a queue full?") from error
        except LOST as error:
            await self._lose(channel)
            raise RefusedError(f"RabbitMQ at {place(self._link.url)}: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        """Leaves RabbitMQ."""
        await self._link.drop()

    async def _opened(self) -> tuple[AbstractChannel, AbstractExchange]:
        async with self._opening:
            with reaching(self._link.url):
                channel = await self._link.channel()
                if self._open is None or self._open[0] is not channel:
                    exchange = await channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)
                    self._open = channel, exchange
            return self._open

    async def _lose(self, channel: AbstractChannel) -> None:
        """Gives up a channel that failed, unless somebody has done so."""
        async with self._opening:
            if self._open is not None and self._open[0] is channel:
                self._open = None
                await self._link.drop()


def _message(event: CloudEvent) -> Message:
    return Message(
        structured(event),
        content_type=STRUCTURED,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=_short(event.id),
        correlation_id=_short(event.correlationid or "") or None,
        type=event.type,
        app_id="foldlog",
    )


def _short(text: str) -> str:
    """A property's text; a digest stands for one that is too long for RabbitMQ."""
    return text if len(text.encode()) <= _SHORT else blake2b(text.encode(), digest_size=16).hexdigest()
