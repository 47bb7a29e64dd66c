"""A view kept by each kind of sink: how the sink is made, and what its target holds."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import redis
from confluent_kafka import Producer
from psycopg.rows import dict_row
from pyiceberg.catalog import load_catalog

from foldlog.cluster import Cluster
from foldlog.contracts.exact_json import to_json
from foldlog.contracts.subjects import push
from foldlog.core.topics import topics
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import latest
from foldlog.sinks.iceberg_view import IcebergView
from foldlog.sinks.parquet_view import ParquetView, read_rows
from foldlog.sinks.postgres_view import PostgresView
from foldlog.sinks.redis_view import RedisView
from foldlog.sinks.running import Sink
from foldlog.sinks.source import Source, source_of
from foldlog.sinks.target import Consistency, Target
from tests.adapters.servers import POSTGRES, REDIS, Product
from tests.cli.bank import Balance
from tests.cli.conftest import Context, of_fresh_name
from tests.engine.tail import Tail

Rows = dict[str, dict[str, Any]]
QUICK = Consistency(sync_ms=20, backoff_s=0.05, longest_backoff_s=0.5)


@dataclass(frozen=True)
class Place:
    """Where one test's sink writes: a server's URL or a directory, and a name that nobody else has."""

    url: str
    name: str

    @classmethod
    def at(cls, url: str) -> "Place":
        return cls(url, f"t_{uuid.uuid4().hex[:8]}")


@dataclass(frozen=True)
class Kind:
    """A kind of sink; `arguments` make the same one on the command line, after the view."""

    name: str
    product: Product | None
    target: Callable[[Place, str], Target]
    rows: Callable[[Place], Rows]
    arguments: Callable[[Place], list[str]]


def _postgres_rows(place: Place) -> Rows:
    with psycopg.connect(place.url, row_factory=dict_row) as connection:
        found = connection.execute(f"SELECT * FROM {place.name}.balances").fetchall()
    return {row.pop("key"): _plain(row) for row in found if row.pop("_offset") >= 0}


def _redis_rows(place: Place) -> Rows:
    prefix = f"{place.name}:"
    with redis.Redis.from_url(place.url) as client:
        keys = list(client.scan_iter(f"{prefix}*", count=1000))
        values = client.mget(keys) if keys else []
    there = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]  # gone meanwhile
    return {key.decode().removeprefix(prefix): json.loads(value) for key, value in there}


def _parquet_rows(place: Place) -> Rows:
    while True:
        with suppress(FileNotFoundError):  # replaced twice while it was read
            return {row.pop("key"): _plain(row) for row in read_rows(Path(place.url)).to_pylist()}


def _lake(place: Place) -> dict[str, str]:
    Path(place.url).mkdir(exist_ok=True)
    return {"uri": f"sqlite:///{place.url}/catalog.db", "warehouse": f"file://{place.url}/warehouse"}


def _iceberg_rows(place: Place) -> Rows:
    with closing(load_catalog("tests", **_lake(place))) as catalog:
        found = catalog.load_table(f"{place.name}.balances").scan().to_arrow().to_pylist()
    rows = {row.pop("key"): _plain(row) for row in found}
    assert len(rows) == len(found)
    return rows


def _iceberg_options(place: Place) -> list[str]:
    lake = _lake(place)
    return [
        "--catalog",
        "tests",
        "--uri",
        lake["uri"],
        "--warehouse",
        lake["warehouse"],
        "--table",
        f"{place.name}.balances",
    ]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case _:
            return value


def _redis(place: Place, sink: str) -> Target:
    return RedisView(place.url, f"{sink} {place.name}:", f"{place.name}:")


KINDS = (
    Kind(
        "postgres",
        POSTGRES,
        lambda place, _: PostgresView(place.url, place.name, "balances", Balance, ("postings",)),
        _postgres_rows,
        lambda place: ["--url", place.url, "--schema", place.name],
    ),
    Kind("redis", REDIS, _redis, _redis_rows, lambda place: ["--url", place.url, "--prefix", f"{place.name}:"]),
    Kind(
        "parquet",
        None,
        lambda place, sink: ParquetView(Path(place.url), sink, Balance, file_rows=200),
        _parquet_rows,
        lambda place: [place.url],
    ),
    Kind(
        "iceberg",
        None,
        lambda place, sink: IcebergView("tests", _lake(place), f"{place.name}.balances", sink, Balance),
        _iceberg_rows,
        _iceberg_options,
    ),
)


class Bank(Context):
    """The bank under a name of its own, with one producer for all that a test writes."""

    @cached_property
    def _producer(self) -> Producer:
        return super()._transactional()

    def _transactional(self) -> Producer:
        return self._producer

    @property
    def view(self) -> str:
        """The topic of the view."""
        return f"{self.name}.balances"

    def change(self, *rows: tuple[str, Balance | None]) -> None:
        """Writes rows of the view in one transaction; None deletes one."""
        self.put(self.view, *rows)

    def put(self, topic: str, *rows: tuple[str, Balance | None]) -> None:
        """Writes rows to a generation's topic in one transaction."""
        self.write(topic, *((key, None if row is None else self.codec.encode(row)) for key, row in rows))

    def source(self) -> Source:
        """The view as a sink reads it."""
        return source_of(self.cluster.bootstrap, self.codec, self.topology, self.topology.views[0])

    @cached_property
    def tail(self) -> Tail:
        """The view's topic, read by one consumer that stays."""
        return Tail(self.cluster.bootstrap, self.view, self.topology.partitions)

    def rows(self) -> Rows:
        """The view itself: the last row of each key in its topic."""
        entries = latest(self.tail.entries())
        return {key: to_json(self.codec.decode(entry.value or b"")) for key, entry in entries.items()}


@contextmanager
def fresh_bank(cluster: Cluster, home: Path) -> Iterator[Bank]:
    """A bank with its topics, which are empty, and its schemas."""
    with of_fresh_name(cluster, home) as context:
        apply(cluster.bootstrap, topics(context.topology), 1)
        push(context.topology, context.registry)
        bank = Bank(context.topology, context.module, cluster, context.registry)
        try:
            yield bank
        finally:
            bank.tail.close()


def sink_of(kind: Kind, bank: Bank, place: Place, consistency: Consistency = QUICK) -> Sink:
    """A sink in this process."""
    return Sink(bank.source(), kind.target(place, bank.view), consistency)


@contextmanager
def following(sink: Sink) -> Iterator[list[BaseException]]:
    """The sink in a thread; gives what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            sink.run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="sink")
    thread.start()
    try:
        yield raised
    finally:
        sink.stop.set()
        thread.join(60)
        assert not thread.is_alive()
