"""Commands in from a queue of RabbitMQ: acknowledged once Kafka has them, put aside where they make no sense."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from foldlog.client.client import Client
from foldlog.client.commands import Command
from foldlog.core.errors import ClusterError, ContractError, DecodeError, UnreachableError
from foldlog.edges.cloudevents import JSON
from foldlog.edges.incoming import Gate, valid
from foldlog.edges.rabbitmq import LOST, Link, reaching
from foldlog.edges.waiting import Patience, pause
from foldlog.engine.remembered import REMEMBERED

log = structlog.get_logger()

# As the AMQP binding of CloudEvents has them; RabbitMQ's clients write both.
ATTRIBUTE = ("cloudEvents:", "cloudEvents_")
REASON = "x-foldlog-reason"
LOOK_S = 5.0
SAY_S = 10.0


class Queue:
    """Takes the commands of one queue. A message's id is its command's: it has its effect once, however often it comes.

    A queue has one such reader, so that commands keep their order; a second one waits until the first has gone. What
    was sent and not acknowledged comes again when either side is lost: it must not be more than an aggregate remembers.
    What cannot be a command goes to the exchange `<queue>.dead-letters`, and by that to the queue of the same name.
    """

    def __init__(self, url: str, name: str, client: Client, prefetch: int = REMEMBERED) -> None:
        self._link, self._name, self._prefetch = Link(url), name, min(prefetch, REMEMBERED)
        self._client, self._gate = client, Gate(client.topology)
        self._patience = Patience()
        self._busy, self._idle = 0, asyncio.Event()
        self._idle.set()
        self._said = time.monotonic()
        self.sent = self.put_aside = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Goes on until it is told to stop, however often RabbitMQ or Kafka are away meanwhile."""
        while not stopping.is_set():
            try:
                with reaching(self._link.url):
                    await self._consume(stopping)
            except UnreachableError as error:
                wait = self._patience.next()
                log.warning("no commands are taken", because=str(error), seconds=wait)
                await self._link.drop()
                await pause(stopping, wait)
        await self._link.drop()

    async def _consume(self, stopping: asyncio.Event) -> None:
        await self._exists()
        channel = await self._link.channel()
        await channel.set_qos(prefetch_count=self._prefetch)
        queue = await channel.get_queue(self._name)
        aside = await self._aside(channel)
        tag = await queue.consume(lambda message: self._take(message, aside), exclusive=True)
        log.info("commands are taken", queue=self._name)
        self._patience.reset()
        while not stopping.is_set() and not channel.is_closed:
            await pause(stopping, LOOK_S)
            await channel.get_queue(self._name)  # raises where it was deleted, or the connection was lost
            self._say()
        await queue.cancel(tag)
        await self._idle.wait()  # what was taken is brought to its end

    async def _exists(self) -> None:
        """The queue as it is; declared durable where there is none, which ends a channel."""
        try:
            await (await self._link.channel()).get_queue(self._name)
        except ChannelNotFoundEntity:
            await self._link.drop()
            await (await self._link.channel()).declare_queue(self._name, durable=True)

    async def _aside(self, channel: AbstractChannel) -> AbstractExchange:
        name = f"{self._name}.dead-letters"
        exchange = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        queue = await channel.declare_queue(name, durable=True)
        await queue.bind(exchange)
        return exchange

    async def _take(self, message: AbstractIncomingMessage, aside: AbstractExchange) -> None:
        """Nothing is awaited before the command is queued for Kafka: so commands keep their order."""
        self._busy += 1
        self._idle.clear()
        try:
            await self._brought(message, aside)
        except LOST as error:  # it was not acknowledged, so it comes again
            log.debug("a message comes again", because=str(error))
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _brought(self, message: AbstractIncomingMessage, aside: AbstractExchange) -> None:
        try:
            delivered = self._client.publish(command_of(self._gate, message))
        except (ContractError, ClusterError) as error:  # not JSON, no such command, does not fit, too large
            await self._put_aside(message, str(error), aside)
            return
        try:
            await asyncio.wrap_future(delivered)
        except ClusterError as error:
            log.warning("Kafka did not take a command, it comes again", because=str(error), id=message.message_id)
            await message.nack(requeue=True)
            return
        self.sent += 1
        await message.ack()

    async def _put_aside(self, message: AbstractIncomingMessage, reason: str, aside: AbstractExchange) -> None:
        """The message as it is, with the reason; acknowledged once RabbitMQ has it there."""
        log.warning("a message was put aside", because=reason, id=message.message_id)
        copy = Message(
            message.body,
            headers={**message.headers, REASON: reason[:1000]},
            content_type=message.content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            type=message.type,
        )
        await aside.publish(copy, self._name)
        self.put_aside += 1
        await message.ack()

    def _say(self) -> None:
        if self.sent and time.monotonic() - self._said > SAY_S:
            self._said = time.monotonic()
            log.info("commands were sent", commands=self.sent, put_aside=self.put_aside)


def command_of(gate: Gate, message: AbstractMessage) -> Command:
    """The command that a message is; DecodeError where it is none, or where a repetition could not be told."""
    attributes = _attributes(message.headers)
    kind = (message.content_type or JSON).partition(";")[0].strip().lower()
    if "type" not in attributes and kind == JSON and message.type:
        command = gate.named(message.type, message.body, None, None, message.correlation_id)
    else:
        command = gate.any(kind, attributes, message.body)
    # An id of the command's own comes first: some clients give each sending of a message another id.
    command = command._replace(id=command.id or message.message_id)
    if not command.id:
        raise DecodeError("message_id: is missing; without it a repetition cannot be told from a new command")
    return valid(command)


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of a CloudEvent in binary mode."""
    prefixed = ((name, prefix) for name in headers for prefix in ATTRIBUTE if name.startswith(prefix))
    return {name.removeprefix(prefix): str(headers[name]) for name, prefix in prefixed}
