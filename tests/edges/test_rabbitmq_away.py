"""RabbitMQ stopped for a minute while commands come in by it and events go out: none is lost, no command counts twice.

FOLDLOG_RABBITMQ_AWAY_S sets for how many seconds.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from aio_pika.abc import AbstractIncomingMessage

from foldlog import Client
from foldlog.client.commands import Command
from foldlog.core import Meta, Record, topics
from tests.adapters.servers import Server
from tests.edges.conftest import Start
from tests.edges.rabbit import bound, command, hear, heard, publish, taken
from tests.engine.bank import Open, Post, Posted
from tests.engine.running import Bank

pytestmark = [pytest.mark.adapters, pytest.mark.timeout(900)]

AWAY_S = float(os.environ.get("FOLDLOG_RABBITMQ_AWAY_S", "60"))
RATE = 50  # commands/s on each of the two ways, one by RabbitMQ and one straight to Kafka
ACCOUNTS = 40  # on each way
PATIENCE = 600.0  # s
AGAIN = 400  # commands that are sent twice in the end: ten of each account, which remembers 64

Numbered = list[tuple[str, str]]  # ids of commands, and their accounts


@dataclass
class Way:
    """One way of commands: to which accounts, and the ids of those sent so far."""

    name: str
    id: str
    ids: list[str] = field(default_factory=list)

    @property
    def accounts(self) -> list[str]:
        return [f"{self.id}-{self.name}-{number}" for number in range(ACCOUNTS)]

    def more(self, count: int) -> Numbered:
        """The next commands."""
        first = len(self.ids)
        self.ids += [f"{self.name}-{number}-{self.id}" for number in range(first, first + count)]
        return self.sent(count)

    def sent(self, count: int) -> Numbered:
        """The latest commands."""
        numbers = range(max(0, len(self.ids) - count), len(self.ids))
        return [(self.ids[number], self.accounts[number % ACCOUNTS]) for number in numbers]

    async def go_on(self, send: Callable[[Numbered], Awaitable[None]], end: asyncio.Event) -> None:
        """Sends at a rate until the end; what could not be sent when it was due follows at once."""
        began, ended = time.monotonic(), False
        while not ended:
            ended = end.is_set()
            await send(self.more(int((time.monotonic() - began) * RATE) - len(self.ids)))
            await asyncio.sleep(0.1)


@dataclass
class Load:
    """Commands on both ways, and whoever hears of the events."""

    bank: Bank
    server: Server
    client: Client
    id: str

    def __post_init__(self) -> None:
        self.by_rabbitmq, self.straight = Way("in", self.id), Way("straight", self.id)
        self.into, self.exchange, self.out = f"in-{self.id}", f"x-{self.id}", f"out-{self.id}"
        self.found: list[AbstractIncomingMessage] = []
        self.log: list[tuple[Record, Meta]] = []
        self._read = 0

    async def run(self) -> None:
        """Goes on before, while and after RabbitMQ is away, and ends when all events were heard."""
        sent, told = asyncio.Event(), asyncio.Event()
        hearing = asyncio.ensure_future(hear(self.server.url, self.out, self.found, told))
        sending = asyncio.gather(self.by_rabbitmq.go_on(self.publish, sent), self.straight.go_on(self.send, sent))
        await self.flows()
        await asyncio.to_thread(self.server.stop)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self.server.start)
        await self.flows()
        sent.set()
        await sending
        await self.publish(self.by_rabbitmq.sent(AGAIN))  # as a sender does that does not know
        await self.publish(self.by_rabbitmq.more(ACCOUNTS))  # each account hears of it after what came again
        await self.until(self.all_is_told)
        told.set()
        await hearing

    async def publish(self, commands: Numbered) -> None:
        """Sends commands by RabbitMQ, each until it is confirmed."""
        messages = [command("Post", id_, account=account, amount="1.00") for id_, account in commands]
        await publish(self.server.url, self.into, messages)

    async def send(self, commands: Numbered) -> None:
        """Sends commands to Kafka, until it has them."""
        sent = [self.client.publish(Command(Post(account, Decimal(1)), id_)) for id_, account in commands]
        await asyncio.gather(*(asyncio.wrap_future(each) for each in sent))

    async def flows(self) -> None:
        """Returns when more commands have come in by RabbitMQ, and more events were heard."""
        done, found = self.done(), len(self.found)
        await self.until(lambda: self.done() > done and len(self.found) > found)

    async def until(self, look: Callable[[], bool]) -> None:
        """Waits until it holds."""
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, f"it did not happen in {PATIENCE:.0f} s"
            await asyncio.sleep(0.2)

    def done(self) -> int:
        """The number of commands that came by RabbitMQ and had their effect."""
        self._follow()
        return sum(meta.causation.startswith(f"{self.by_rabbitmq.name}-") for _, meta in self.log)

    def all_is_told(self) -> bool:
        """Whether every command had its effect, and every event was heard."""
        self._follow()
        caused = {meta.causation for _, meta in self.log}
        told = {message.message_id for message in self.found}
        return caused.issuperset(self.ids) and all(meta.event_id in told for _, meta in self.log)

    @property
    def ids(self) -> list[str]:
        """Every command of both ways."""
        return [*self.by_rabbitmq.ids, *self.straight.ids]

    def _follow(self) -> None:
        """Reads on in the log: to decode it again for every look would take the time of those who are looked at."""
        entries = self.bank.tail(topics.events(self.bank.name, "account")).entries()
        for entry in entries[self._read :]:
            event, meta = self.bank.codec.decode_with(entry.value or b"")
            if meta.aggregate_id.startswith(self.id):
                self.log.append((event, meta))
        self._read = len(entries)


def test_a_minute_without_rabbitmq_under_load_both_ways(bank: Bank, server: Server, start: Start, id: str) -> None:
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        load = Load(bank, server, client, id)
        accounts = [*load.by_rabbitmq.accounts, *load.straight.accounts]
        asyncio.run(bound(server.url, load.exchange, load.out, f"{bank.name}.account.*"))
        into = start("rabbitmq-in", "--queue", load.into)
        out = start("rabbitmq-out", "--exchange", load.exchange, "--name", f"out_{id}")
        client.send_all([Open(account) for account in accounts])
        asyncio.run(load.run())
    assert len(load.by_rabbitmq.ids) > RATE * AWAY_S < len(load.straight.ids)
    caused = Counter(meta.causation for event, meta in load.log if isinstance(event, Posted))
    assert caused == dict.fromkeys(load.ids, 1)
    assert sum(event.amount for event, _ in load.log if isinstance(event, Posted)) == len(load.ids)
    assert_in_order(load)
    assert asyncio.run(taken(server.url, f"{load.into}.dead-letters", 0)) == []
    for edge, word in ((into, "no commands are taken"), (out, "waiting for another system")):
        assert edge.stop() == 0, edge.output
        assert word in edge.output
        assert "Traceback" not in edge.output


def assert_in_order(load: Load) -> None:
    """Of each account every event was heard, the first times in order."""
    order: defaultdict[str, list[int]] = defaultdict(list)
    for event in {event["id"]: event for event in heard(load.found, load.id)}.values():
        order[event["subject"]].append(int(event["sequence"]))
    assert sum(map(len, order.values())) == len(load.log)
    assert all(versions == list(range(1, len(versions) + 1)) for versions in order.values())
