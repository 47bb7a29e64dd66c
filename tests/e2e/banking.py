"""Bank and risk under names of their own, their workers as processes, and what is to be read once they are done."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from foldlog.cli.demo.settling import Sagas
from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Meta, Record, Topology, topics
from foldlog.core.contract import Process
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from foldlog.kafka.sending import CommandProducer
from foldlog.testing import fold
from tests.e2e.running import Worker
from tests.e2e.services import bank_of, risk_of
from topologies.banking.account import Deposit, OpenAccount
from topologies.banking.transfer import RequestTransfer
from topologies.risk.profile import OpenCase

MONDAY = date(2026, 1, 5)
SAVINGS = Decimal("2000.00")
LIMIT = Decimal("900.00")


@dataclass
class Market:
    """Bank and risk on a cluster."""

    cluster: Cluster
    registry: Registry
    home: Path
    name: str
    workers: dict[str, Worker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bank, self.risk = bank_of(self.name), risk_of(self.name)
        self._codecs: dict[str, Codec] = {}
        for topology in (self.bank, self.risk):
            apply(self.cluster.bootstrap, topics.topics(topology), 1)
            push(topology, self.registry)
            self._codecs[topology.name] = Codec(topology, self.registry)
            self._codecs[topology.name].prepare()
        self._producer = CommandProducer(self.cluster.bootstrap, "lz4")
        self._sagas = Sagas(self.cluster.bootstrap, f"{self.bank.name}.settlement", self._codecs[self.bank.name])

    def start(self, context: str) -> Worker:
        """Starts the worker of `banking` or `risk`; one that was there before has its state directory."""
        module = f"tests.e2e.renamed_{context}"
        self.workers[context] = Worker(self.name, self.cluster, self.home, context, module)
        return self.workers[context]

    def send(self, topology: Topology, command: Record, id_: str) -> None:
        """Sends a command with an id."""
        decider = topology.deciders_by_command[type(command)]
        value = self._codecs[topology.name].encode(command)
        topic = topics.commands(topology.name, decider.name)
        self._producer.send(topic, decider.key(command), value, [("command-id", id_.encode())])

    def open(self, accounts: Iterable[str]) -> None:
        """Opens the accounts, with savings."""
        for name in accounts:
            self.send(self.bank, OpenAccount(name, name, LIMIT), f"open-{name}")
            self.send(self.bank, Deposit(name, SAVINGS, MONDAY), f"deposit-{name}")
        self._producer.flush()

    def suspect(self, account: str) -> None:
        """Has a fraud case opened."""
        self.send(self.risk, OpenCase(account, "c1", "a hint"), f"case-{account}")
        self._producer.flush()

    def transfer(self, request: RequestTransfer, again: bool = False) -> None:
        """Asks for a transfer, twice under one id if so wanted."""
        for _ in range(1 + again):
            self.send(self.bank, request, request.transfer)

    def flush(self) -> None:
        """Returns when Kafka has what was sent."""
        self._producer.flush()

    def follow(self, seconds: float) -> None:
        """Hears how far the settlements are, for at most so long."""
        self._sagas.poll(seconds)

    def ended(self) -> int:
        """The number of settlements that have ended, as far as was heard."""
        return len(self._sagas.ended)

    def settle(self, total: int, stall_s: float = 120) -> None:
        """Waits until so many settlements have ended; fails where for a while none more does."""
        ended, moved = self.ended(), time.monotonic()
        while self.ended() < total:
            self.follow(0.5)
            if self.ended() > ended:
                ended, moved = self.ended(), time.monotonic()
            for worker in self.workers.values():
                worker.check()
            still = sorted(self._sagas.open)[:20]
            assert time.monotonic() - moved < stall_s, f"{ended} of {total} ended; open: {still}"

    def settlements(self) -> dict[str, Process]:
        """What the row of each settlement says about its steps and timers."""
        table = reading.latest(reading.read(self.cluster.bootstrap, topics.table(self.bank.name, "settlement")))
        codec = self._codecs[self.bank.name]
        return {key: codec.decode_with(entry.value or b"")[1] for key, entry in table.items()}

    def states(self, topology: Topology, log: str) -> dict[str, Any]:
        """What each aggregate is, as the fold of its log; fails where a version is missing or there twice."""
        decider = next(each for each in topology.deciders if each.name == log)
        events: defaultdict[str, list[tuple[int, Record]]] = defaultdict(list)
        for event, meta in self.events(topology, log):
            events[meta.aggregate_id].append((meta.version, event))
        for id_, found in events.items():
            found.sort(key=lambda pair: pair[0])
            assert [version for version, _ in found] == list(range(1, len(found) + 1)), id_
        return {id_: fold(decider, *(event for _, event in found)) for id_, found in events.items()}

    def events(self, topology: Topology, log: str) -> Iterator[tuple[Record, Meta]]:
        """A log, as committed readers see it."""
        for entry in reading.read(self.cluster.bootstrap, topics.events(topology.name, log)):
            if entry.value is not None:
                yield self._codecs[topology.name].decode_with(entry.value)

    def rows(self, topology: Topology, view: str) -> dict[str, Any]:
        """The rows of a view."""
        table = reading.latest(reading.read(self.cluster.bootstrap, topics.table(topology.name, view)))
        return {key: self._codecs[topology.name].decode(entry.value or b"") for key, entry in table.items()}

    def published(self, topology: Topology, publication: str) -> Counter[str]:
        """How often each event was published, by its id."""
        entries = reading.read(self.cluster.bootstrap, topics.public(topology.name, publication))
        return Counter(self._codecs[topology.name].decode_with(entry.value or b"")[1].event_id for entry in entries)

    def answers(self) -> list[bytes | None]:
        """The transfers for which the bank's subscription has sent a command."""
        entries = reading.read(self.cluster.bootstrap, topics.commands(self.bank.name, "transfer"))
        ids = (entry.key for entry in entries if (dict(entry.headers)["command-id"] or b"").startswith(b"clearances:"))
        return list(ids)

    def close(self) -> None:
        """Leaves no process behind."""
        for worker in self.workers.values():
            worker.clean_up()
        self._sagas.close()
