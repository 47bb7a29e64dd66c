"""foldlog as a measured system: `foldlog run` over a context made for one round."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from foldlog.bench.kafka import STALL_S, Kafka, loading
from foldlog.bench.latency import Watched
from foldlog.bench.process import Launch
from foldlog.bench.verify import Seen
from foldlog.bench.workload import PARTITIONS, Deposit, Order, Withdraw, topology
from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import names, push
from foldlog.core import topics
from foldlog.core.errors import ClusterError
from foldlog.core.partitioning import partition_of
from foldlog.core.topology import Topology
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import latest, read
from foldlog.kafka.sending import Outgoing, queue

MODULE = "foldlog.bench.measured"


@dataclass
class Own:
    """A context of the workload: its topics and schemas, what is sent to it, and how its worker is started.

    `settings` are environment variables of the worker; `ids` gives each command an explicit id, `replies` asks for a
    reply to each.
    """

    kafka: Kafka
    cluster: Cluster
    registry: Registry
    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    view: bool = False
    ids: bool = True
    replies: bool = False

    def __post_init__(self) -> None:
        self.context = self.kafka.name("foldlog")
        apply(self.kafka.bootstrap, topics.topics(self.topology), 1)
        push(self.topology, self.registry)
        self.codec.prepare()

    @cached_property
    def topology(self) -> Topology:
        """The workload under this round's name."""
        return topology(self.context, self.view)

    @cached_property
    def codec(self) -> Codec:
        """Of its records."""
        return Codec(self.topology, self.registry)

    @property
    def home(self) -> Path:
        """Where its workers keep their state and their log."""
        return self.directory / self.context

    @property
    def events(self) -> str:
        """The topic of its events."""
        return topics.events(self.context, "account")

    @property
    def rows(self) -> str:
        """The topic of its view."""
        return topics.table(self.context, "balances")

    def load(self, orders: Iterable[Order]) -> None:
        """Sends the commands, as any producer does: key, value, and the id in a header."""
        with loading(self.kafka.bootstrap) as producer:
            for order in orders:
                self.send(producer, order, 0)

    @contextmanager
    def held(self, orders: Iterable[Order]) -> Iterator[Callable[[], None]]:
        """Sends commands that nobody sees before the function that this gives is called: in one open transaction."""
        with loading(self.kafka.bootstrap, transactional_id=self.context) as producer:
            producer.init_transactions(STALL_S)
            producer.begin_transaction()
            for order in orders:
                self.send(producer, order, 0)
            if producer.flush(STALL_S):
                raise ClusterError(f"Kafka at {self.kafka.bootstrap} takes no commands")
            yield lambda: producer.commit_transaction(STALL_S)

    def send(self, producer: Any, order: Order, sent: int) -> None:
        """Sends one command to the partition of its account."""
        id_, account, withdraw, amount = order
        value = self.codec.encode((Withdraw if withdraw else Deposit)(account, amount, sent))
        key = account.encode()
        headers = [("command-id", id_.encode())] if self.ids else []
        if self.replies:
            headers.append(("reply-to", b""))
        queue(producer, Outgoing(self._commands, partition_of(key, PARTITIONS), key, value, headers))

    def seen(self) -> Iterator[Seen]:
        """Its events as committed readers see them."""
        decode: Callable[[bytes], tuple[Any, Any]] = self.codec.decode_with
        for value in self.kafka.values(self.events, PARTITIONS):
            event, meta = decode(value)
            kind = type(event).__name__
            command = meta.causation if self.ids else ""
            yield Seen(meta.event_id, event.account, meta.version, kind, event.amount, event.balance, command)

    def balances(self) -> dict[str, int]:
        """The view's rows."""
        rows = latest(read(self.kafka.bootstrap, self.rows))
        decode: Callable[[bytes], Any] = self.codec.decode
        return {key: decode(entry.value or b"").balance for key, entry in rows.items()}

    def watched(self) -> tuple[Watched, ...]:
        """Its events, and the rows of its view, with the time at which the command behind each was sent."""
        decode: Callable[[bytes], Any] = self.codec.decode
        chosen = (self.events, self.rows) if self.view else (self.events,)
        return tuple(Watched(topic, lambda value: int(decode(value).sent)) for topic in chosen)

    def ready(self, instance: str) -> bool:
        """True while every processor of a worker runs."""
        return (self.home / "workers" / instance / "ready").exists()

    def told(self) -> float | None:
        """Nothing: what a start from an empty disk takes is seen from outside."""
        return None

    def forget(self) -> None:
        """Empties the disk of its workers."""
        shutil.rmtree(self.home / "workers", ignore_errors=True)

    def launch(self, instance: str = "bench", *only: str) -> Launch:
        """How a worker of it is started; its state lies below `directory` and stays there."""
        home = self.home
        env = {
            "FOLDLOG_BENCH_CONTEXT": self.context,
            "FOLDLOG_BENCH_VIEW": "1" if self.view else "",
            "FOLDLOG_BENCH_STAMPS": str(home / "stamps"),
            "FOLDLOG_BOOTSTRAP": self.cluster.bootstrap,
            "FOLDLOG_REGISTRY": self.cluster.registry,
            "FOLDLOG_HOME": str(home),
            "FOLDLOG_INSTANCE": instance,
            "FOLDLOG_LOG_LEVEL": "warning",
            **self.settings,
        }
        named = [word for name in only for word in ("--only", name)]
        command = [sys.executable, "-m", "foldlog.cli.main", "run", MODULE, *named]
        return Launch("foldlog", command, env, home)

    @cached_property
    def _commands(self) -> str:
        return topics.commands(self.context, "account")

    def close(self) -> None:
        """Removes its topics, its groups, its schemas and the state of its workers; their log stays."""
        self.kafka.remove(self.context)
        with SchemaRegistryClient({"url": self.registry.url}) as client:
            for subject in names(self.topology):
                with suppress(SchemaRegistryError):  # what a registry keeps for good does no harm
                    client.delete_subject(subject)
                    client.delete_subject(subject, permanent=True)
        self.forget()
