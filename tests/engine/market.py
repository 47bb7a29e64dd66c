"""The shop and its loyalty programme, two services under names of their own on the tests' cluster."""

import io
import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Meta, Record, Topology, topics
from foldlog.core.outcome import DeadLetter
from foldlog.core.partitioning import partition_of
from foldlog.core.repair import ParkedKey, Repair
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import Entry, latest
from tests.engine import loyalty as loyalty_of
from tests.engine import shop as shop_of
from tests.engine.processes import Worker
from tests.engine.running import PATIENCE, Headers, eventually
from tests.engine.tail import Tail

MODULES = ("tests.engine.shop", "tests.engine.loyalty")


class Market:
    """What is sent to the two, what they wrote, and their workers."""

    def __init__(self, shop: Topology, loyalty: Topology, cluster: Cluster, registry: Registry, home: Path) -> None:
        self.shop, self.loyalty, self.cluster, self.home = shop, loyalty, cluster, home
        self._counts: dict[str, int] = {}
        for topology in (shop, loyalty):
            apply(cluster.bootstrap, topics.topics(topology), 1)
            push(topology, registry)
            self._counts |= {topic.name: topic.partitions for topic in topics.topics(topology)}
        self.codecs = {topology.name: Codec(topology, registry) for topology in (shop, loyalty)}
        for codec in self.codecs.values():
            codec.prepare()
        self.sales = topics.public(shop.name, "sales")
        self.commands = topics.commands(loyalty.name, "member")
        self._producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, "log_level": 0})
        self._tails: dict[str, Tail] = {}
        self._workers: list[Worker] = []

    def start(self, module: str, *only: str, mended: str = "no", **env: str) -> Worker:
        """Starts the worker of one of the two."""
        name = module.rpartition(".")[2]
        shop, loyalty = self.shop.name, self.loyalty.name
        given = {"MENDED": mended, **env}
        worker = Worker(self, self.home, name, *only, module=module, SHOP=shop, LOYALTY=loyalty, **given)  # type: ignore[arg-type]
        self._workers.append(worker)
        return worker

    @property
    def name(self) -> str:
        """The publisher's name."""
        return self.shop.name

    def sell(self, command: Record, *headers: tuple[str, str]) -> None:
        """Writes a command of the shop."""
        key = str(command.sale).encode()  # type: ignore[attr-defined]
        value = self.codecs[self.shop.name].encode(command)
        self.put(topics.commands(self.shop.name, "sale"), key, value, [(name, text) for name, text in headers])

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """Writes any bytes, to the key's partition unless told otherwise."""
        place = partition_of(key or b"", self._counts[topic]) if partition is None else partition
        self._producer.produce(topic, value, key, place, headers=list(headers or []))
        assert self._producer.flush(PATIENCE) == 0

    def entries(self, topic: str) -> list[Entry]:
        """What committed readers see of a topic."""
        if topic not in self._tails:
            self._tails[topic] = Tail(self.cluster.bootstrap, topic, self._counts[topic])
        return self._tails[topic].entries()

    def awards(self, customer: str) -> list[tuple[Record, Meta]]:
        """The log of a member."""
        entries = self.entries(topics.events(self.loyalty.name, "member"))
        found = [self.codecs[self.loyalty.name].decode_with(entry.value or b"") for entry in entries]
        return [both for both in found if both[1].aggregate_id == customer]

    def awarded(self, customer: str, points: int) -> None:
        """Waits until a customer has this many points, and fails where there are more."""
        eventually(lambda: self.points(customer) >= points, f"{points} points for {customer}")
        assert self.points(customer) == points

    def points(self, customer: str) -> int:
        """What a customer has."""
        return sum(event.points for event, _ in self.awards(customer))  # type: ignore[attr-defined]

    def published(self, sale: str) -> list[tuple[Record, Meta]]:
        """The public events about a sale."""
        codec = self.codecs[self.shop.name]
        return [codec.decode_with(e.value or b"") for e in self.entries(self.sales) if e.key == sale.encode()]

    def retry(self, key: str) -> None:
        """Asks for a parked aggregate of the shop to be published again, as the command line does."""
        asked = Repair("retry", "sales", "tests", datetime.now(UTC), key=key)
        self.put(topics.repairs(self.shop.name), key.encode(), self.codecs[self.shop.name].encode(asked))

    def parked(self) -> dict[str, ParkedKey]:
        """The sales that wait in the loyalty programme."""
        table = latest(self.entries(topics.parked(self.loyalty.name, "purchases")))
        codec = self.codecs[self.loyalty.name]
        heads = [codec.decode(entry.value or b"") for name, entry in table.items() if name.endswith("@0")]
        return {head.key: head for head in heads if isinstance(head, ParkedKey)}

    def letters(self, topology: Topology) -> list[DeadLetter]:
        """The dead letters of a context."""
        found = [self.codecs[topology.name].decode(e.value or b"") for e in self.entries(_letters(topology))]
        return [letter for letter in found if isinstance(letter, DeadLetter)]

    def close(self) -> None:
        """Ends what it holds open."""
        for worker in self._workers:
            worker.close()
        for tail in self._tails.values():
            tail.close()


def _letters(topology: Topology) -> str:
    return topics.dead_letters(topology.name)


@contextmanager
def fresh_market(cluster: Cluster, home: Path, partitions: int = 3) -> Iterator[Market]:
    """Two services with names that were never used; `partitions` are what the subscriber believes of the publisher."""
    token = uuid.uuid4().hex[:8]
    shop = replace(shop_of.shop, name=f"shop_{token}")
    purchases = replace(loyalty_of.purchases, publisher=f"{shop.name}.sales", partitions=partitions)
    loyalty = replace(loyalty_of.loyalty, name=f"loyalty_{token}", consumes=(purchases,))
    with (
        closing(Registry(cluster.registry)) as registry,
        closing(Market(shop, loyalty, cluster, registry, home)) as market,
    ):
        yield market


def names(count: int) -> list[str]:
    """Names that no other test knows."""
    return [uuid.uuid4().hex for _ in range(count)]


def foreign_sale(market: Market, **data: Any) -> bytes:
    """A sale as others write it, by a schema of theirs with these fields."""
    types = {"amount": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}}
    fields = [{"name": name, "type": types.get(name, "string")} for name in data]
    schema = {"type": "record", "name": "SaleMade", "namespace": market.sales, "fields": fields}
    with SchemaRegistryClient({"url": market.cluster.registry}) as registry:
        number = registry.register_schema(f"foreign-{uuid.uuid4().hex}", Schema(json.dumps(schema), "AVRO"))
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, data)
    return bytes([0, *number.to_bytes(4, "big"), *body.getvalue()])
