"""The commands of the demo, sent as any producer sends them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from foldlog.cli import output
from foldlog.cli.demo.cdnow import Purchase, order_commands, stock_commands
from foldlog.cli.tally import Tally
from foldlog.client.replies import Replies
from foldlog.contracts.codec import Codec
from foldlog.core.decider import Decider
from foldlog.core.errors import EngineError
from foldlog.core.topics import commands, events, replies
from foldlog.core.topology import Topology
from foldlog.kafka.reading import read
from foldlog.kafka.sending import CommandProducer

REPLY_S = 60.0
CHECK_EVERY = 1000

Alive = Callable[[], None]
"""Raises where the worker has ended."""


class Load:
    """Turns JSON commands of one context into records on its commands topics."""

    def __init__(self, topology: Topology, codec: Codec, bootstrap: str, compression: str) -> None:
        self._topology, self._codec = topology, codec
        self._bootstrap = bootstrap
        self._compression = compression
        self._kinds = {kind.__name__: kind for kind in topology.deciders_by_command}

    def deliver(self, log: Sequence[Purchase], alive: Alive) -> int:
        """Sends the deliveries of stock and awaits that each was accepted; gives their number.

        Raises EngineError where one is refused, or where a minute brings no reply.
        """
        lines = list(stock_commands(log))
        producer = CommandProducer(self._bootstrap, self._compression)
        with closing(Replies[int](self._bootstrap, replies(self._topology.name), self._codec.decode)) as answers:
            for number, line in enumerate(lines, 1):
                answers.expect(line["id"], number)
                self._send(producer, line, {"reply-to": answers.topic})
            producer.flush()
            _await(answers, alive)
        return len(lines)

    def order(self, purchases: Sequence[Purchase], alive: Alive) -> int:
        """Sends an order a purchase, with a progress bar; gives their number once every one is delivered."""
        producer = CommandProducer(self._bootstrap, self._compression)
        try:
            with output.bar("sending orders") as report:
                for line in order_commands(purchases):
                    self._send(producer, line, {})
                    if producer.sent % CHECK_EVERY == 0:
                        alive()
                        report(producer.delivered, len(purchases))
            producer.flush()
        except KeyboardInterrupt:
            producer.drain()
            output.note(
                f"{producer.delivered:,} orders were sent before that; the same command again goes on from here"
            )
            raise
        return producer.sent

    def _send(self, producer: CommandProducer, line: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        command = msgspec.convert(line["data"], self._kinds[line["type"]])
        decider: Decider[Any, Any, Any] = self._topology.deciders_by_command[type(command)]
        values = {"command-id": line["id"], **headers}
        topic = commands(self._topology.name, decider.name)
        encoded = [(name, value.encode()) for name, value in values.items()]
        producer.send(topic, decider.key(command), self._codec.encode(command), encoded)


def _await(answers: Replies[int], alive: Alive) -> None:
    tally, deadline = Tally(), time.monotonic() + REPLY_S
    while answers.outstanding:
        alive()
        for _, reply in answers.collect(0.5):
            tally.add(reply)
        if time.monotonic() > deadline:
            raise EngineError(f"no reply to {', '.join(answers.outstanding)} after {REPLY_S:.0f} s")
    for (status, reason), count in tally.reasons.items():
        raise EngineError(f"{count} of {answers.expected} deliveries of stock {status}: {reason}")


def orders_present(bootstrap: str, context: str, log: Sequence[Purchase]) -> int:
    """The highest order number of the purchase log that was ever sent to the cluster; 0 where none was."""
    known = {bought.order.encode() for bought in log}
    return max((int(order) for order in _orders(bootstrap, context) if order in known), default=0)


def _orders(bootstrap: str, context: str) -> Iterator[bytes]:
    """Keys of commands that may still wait, and of events, which outlive their commands."""
    yield from (entry.key or b"" for entry in read(bootstrap, commands(context, "order")))
    yield from ((entry.key or b"").partition(b"@")[0] for entry in read(bootstrap, events(context, "order")))
