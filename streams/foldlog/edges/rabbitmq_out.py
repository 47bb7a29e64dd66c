"""Events out to an exchange of RabbitMQ: CloudEvents, routed by type, each confirmed."""

import asyncio

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractExchange

from foldlog.edges.cloudevents import STRUCTURED, CloudEvent, structured
from foldlog.edges.rabbitmq import ANSWER_S, Link, reaching


class Exchange:
    """A durable topic exchange; a message's routing key is its event's type, its id the event's."""

    def __init__(self, url: str, name: str) -> None:
        self._link, self._name = Link(url), name
        self._declared: tuple[AbstractChannel, AbstractExchange] | None = None

    async def tell(self, events: list[CloudEvent]) -> list[CloudEvent]:
        """Publishes all at once, in order, and waits for the confirms; gives back from the first unconfirmed on."""
        with reaching(self._link.url):
            exchange = await self._exchange()
            answers = await asyncio.gather(*(_publish(exchange, event) for event in events), return_exceptions=True)
            failed = next((n for n, answer in enumerate(answers) if isinstance(answer, BaseException)), len(events))
            if failed < len(events):
                await self._link.drop()
            if failed == 0 and isinstance(answers[0], BaseException):
                raise answers[0]
        return events[failed:]

    async def close(self) -> None:
        """Leaves RabbitMQ."""
        await self._link.drop()

    async def _exchange(self) -> AbstractExchange:
        channel = await self._link.channel()
        if self._declared is None or self._declared[0] is not channel:
            self._declared = channel, await channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)
        return self._declared[1]


async def _publish(exchange: AbstractExchange, event: CloudEvent) -> None:
    message = Message(
        structured(event),
        content_type=STRUCTURED,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=event.id,
        correlation_id=event.correlationid,
        type=event.type,
        app_id="foldlog",
    )
    await exchange.publish(message, event.type, mandatory=False, timeout=ANSWER_S)
