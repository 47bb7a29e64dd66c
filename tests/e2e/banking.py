"""Bank and risk under names of their own, their workers as processes, and what is to be read once they are done."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from foldlog.cli.demo.settling import Sagas
from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Meta, Record, Topology, topics
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from foldlog.kafka.sending import CommandProducer
from foldlog.testing import fold
from tests.e2e.running import Worker
from topologies.banking import banking
from topologies.banking.account import Deposit, OpenAccount
from topologies.banking.transfer import ExpireTransfer, RequestTransfer, Terms
from topologies.risk import risk
from topologies.risk.profile import OpenCase

MONDAY = date(2026, 1, 5)
SAVINGS = Decimal("2000.00")
LIMIT = Decimal("900.00")
BUSY = 20  # transfers a day and account, well below what makes risk open a case


def bank_of(name: str) -> Topology:
    """The bank of a market."""
    subscriptions = tuple(replace(each, publisher=f"{name}_risk.assessments") for each in banking.consumes)
    return replace(banking, name=f"{name}_bank", consumes=subscriptions)


def risk_of(name: str) -> Topology:
    """The risk context of a market."""
    subscriptions = tuple(replace(each, publisher=f"{name}_bank.transfers") for each in risk.consumes)
    return replace(risk, name=f"{name}_risk", consumes=subscriptions)


@dataclass(frozen=True)
class Load:
    """Transfers among accounts: of a hundred, two go nowhere, two are above a limit, two run out of time by hand."""

    accounts: int
    transfers: int
    seed: int

    def names(self) -> list[str]:
        """The accounts."""
        return [f"a{number:04}" for number in range(self.accounts)]

    def requests(self) -> Iterator[tuple[RequestTransfer, ExpireTransfer | None]]:
        """The transfers in order, some with somebody who gives up on them at once."""
        chance, names = random.Random(self.seed), self.names()
        for number in range(self.transfers):
            source, target = chance.sample(names, 2)
            lot, id_ = chance.random(), f"t{number:06}"
            amount = Decimal(chance.randint(1, 5000)) / 100 if not 0.02 <= lot < 0.04 else LIMIT + 1
            day = MONDAY + timedelta(days=number // (self.accounts * BUSY))
            terms = Terms(source, f"nobody-{target}" if lot < 0.02 else target, amount, day)
            yield RequestTransfer(id_, terms), ExpireTransfer(id_) if 0.04 <= lot < 0.06 else None


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

    def open(self, load: Load) -> None:
        """Opens the accounts, with savings."""
        for name in load.names():
            self.send(self.bank, OpenAccount(name, name, LIMIT), f"open-{name}")
            self.send(self.bank, Deposit(name, SAVINGS, MONDAY), f"deposit-{name}")
        self._producer.flush()

    def suspect(self, account: str) -> None:
        """Has a fraud case opened."""
        self.send(self.risk, OpenCase(account, "c1", "a hint"), f"case-{account}")
        self._producer.flush()

    def transfer(self, request: RequestTransfer, expiry: ExpireTransfer | None, again: bool) -> None:
        """Asks for a transfer, some twice under one id and some given up at once."""
        for _ in range(1 + again):
            self.send(self.bank, request, request.transfer)
        if expiry is not None:
            self.send(self.bank, expiry, f"expire-{expiry.transfer}")

    def flush(self) -> None:
        """Returns when Kafka has what was sent."""
        self._producer.flush()

    def settle(self, total: int, stall_s: float = 120) -> None:
        """Waits until so many settlements have ended; fails where for a while none more does."""
        with closing(
            Sagas(self.cluster.bootstrap, f"{self.bank.name}.settlement", self._codecs[self.bank.name])
        ) as sagas:
            ended, moved = 0, time.monotonic()
            while len(sagas.ended) < total:
                sagas.poll(0.5)
                if len(sagas.ended) > ended:
                    ended, moved = len(sagas.ended), time.monotonic()
                for worker in self.workers.values():
                    worker.check()
                assert time.monotonic() - moved < stall_s, f"{ended} of {total} ended; open: {sorted(sagas.open)[:20]}"
            assert not sagas.open

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

    def written(self) -> int:
        """The length of the transfers' log, the markers of transactions included."""
        count = range(self.bank.partitions)
        with closing(reading.open_consumer(self.cluster.bootstrap)) as consumer:
            ends = reading.ends(consumer, topics.events(self.bank.name, "transfer"), count)
        return sum(end for _, end in ends.values())

    def close(self) -> None:
        """Leaves no process behind."""
        for worker in self.workers.values():
            worker.clean_up()
