"""The orders context under a name of its own, its workers as processes, and what is to be read once they are done."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka.admin import AdminClient

from foldlog.cli.demo.cdnow import Purchase
from foldlog.cli.demo.load import Load
from foldlog.cli.demo.settling import Groups, Sagas, Settling
from foldlog.cluster import Cluster
from foldlog.contracts.codec import FRAME, Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Meta, topics
from foldlog.core.contract import Process
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from tests.e2e import checkers
from topologies.orders import orders
from topologies.orders.order_status import OrderStatus
from topologies.orders.stock_levels import StockLevel

ROOT = Path(__file__).parents[2]
SESSION_MS = 6000  # the least that a broker allows by default (group.min.session.timeout.ms)
BATCH = 250  # records: a worker is disturbed between and within batches, not after the one that holds everything
VIEWS = ("customers", "order_status", "stock_levels")
LOGS = ("order", "stock", "payment")

Table = dict[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """What a run came to: each view's rows without their schema ids, every event, every fulfilment."""

    tables: dict[str, Table]
    orders: dict[str, OrderStatus]
    levels: dict[str, StockLevel]
    sagas: dict[str, Process]
    events: tuple[checkers.Event, ...]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """The number of events of each aggregate."""
        return Counter((event.log, event.aggregate) for event in self.events)


def faults(outcome: Outcome, sent: Sequence[Purchase]) -> list[str]:
    """Every fault that the checkers find."""
    ids = [bought.order for bought in sent]
    return [
        *checkers.wrong_versions(outcome.events),
        *checkers.repeated_ids(outcome.events),
        *checkers.lost_orders(ids, outcome.orders),
        *checkers.unconserved_stock(outcome.levels),
        *checkers.open_sagas(ids, outcome.sagas),
    ]


class Worker:
    """A process of `foldlog run` for a shop."""

    def __init__(
        self, context: str, cluster: Cluster, home: Path, instance: str, module: str = "tests.e2e.renamed"
    ) -> None:
        self.instance = instance
        self.log = home / f"{instance}.log"
        self._ready = home / "workers" / instance / "ready"
        self._ready.unlink(missing_ok=True)
        settings = {
            "FOLDLOG_TEST_CONTEXT": context,
            "FOLDLOG_BOOTSTRAP": cluster.bootstrap,
            "FOLDLOG_REGISTRY": cluster.registry,
            "FOLDLOG_HOME": str(home),
            "FOLDLOG_INSTANCE": instance,
            "FOLDLOG_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "FOLDLOG_BATCH_RECORDS": str(BATCH),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "streams"), str(ROOT)]),
        }
        command = [sys.executable, "-m", "foldlog.cli.main", "run", module]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | settings
            )

    def check(self) -> None:
        """Fails where the process has ended."""
        assert self._process.poll() is None, self.log.read_text()[-4000:]

    def ready(self) -> "Worker":
        """Waits until every processor runs."""
        eventually(self.is_ready, f"{self.instance} is ready")
        return self

    def is_ready(self) -> bool:
        """True while every processor runs."""
        self.check()
        return self._ready.exists()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to this very process."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self.check()
        self.signal(signal.SIGKILL)
        assert self._process.wait(30) == -signal.SIGKILL

    def stop(self) -> None:
        """Ends it in order."""
        self.check()
        self.signal(signal.SIGTERM)
        assert self._process.wait(60) == 0, self.log.read_text()[-4000:]

    def clean_up(self) -> None:
        """Leaves no process behind, whatever state it is in."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait(30)


class Shop:
    """The orders context under one name: load, workers, outcome."""

    def __init__(self, cluster: Cluster, registry: Registry, home: Path, name: str) -> None:
        self.name, self.home = name, home
        self._cluster = cluster
        self._topology = replace(orders, name=name)
        apply(cluster.bootstrap, topics.topics(self._topology), 1)
        push(self._topology, registry)
        self._codec = Codec(self._topology, registry)
        self._codec.prepare()
        self._load = Load(self._topology, self._codec, cluster.bootstrap, "lz4")
        self._admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
        self._watcher = reading.open_consumer(cluster.bootstrap)
        self.workers: list[Worker] = []

    def start(self, instance: str) -> Worker:
        """Starts a worker; one of a name that was used before has its state directory."""
        worker = Worker(self.name, self._cluster, self.home, instance)
        self.workers.append(worker)
        return worker

    def forget(self, instance: str) -> None:
        """Deletes all that a worker keeps on its disk."""
        shutil.rmtree(self.home / "workers" / instance)

    def stock(self, purchases: Sequence[Purchase]) -> None:
        """Fills the shelves; returns when every delivery is accepted."""
        self._load.deliver(purchases, lambda: None)

    def order(self, purchases: Sequence[Purchase]) -> None:
        """Sends the orders; returns when Kafka has them."""
        self._load.order(purchases, lambda: None)

    def written(self) -> int:
        """The length of the orders' log, the markers of transactions included; an order comes to three events."""
        ends = reading.ends(self._watcher, f"{self.name}.order.events", range(self._topology.partitions))
        return sum(end for _, end in ends.values())

    def owners(self) -> dict[str, int]:
        """The number of partitions of the order decider that each worker has, by instance."""
        group = f"{self.name}.order"
        described = self._admin.describe_consumer_groups([group])[group].result(20)
        return {m.group_instance_id: len(m.assignment.topic_partitions) for m in described.members if m.assignment}

    def settle(self, total: int) -> None:
        """Waits until nothing is left to do."""
        bootstrap, alive = self._cluster.bootstrap, lambda: None
        with closing(Sagas(bootstrap, f"{self.name}.fulfilment", self._codec)) as sagas:
            groups = Groups(bootstrap, self._topology)
            Settling(sagas, groups, alive, str(self.home)).wait(total, lambda _: None)

    def outcome(self) -> Outcome:
        """What committed readers see."""
        tables = {view: self._table(view) for view in VIEWS}
        return Outcome(
            tables={view: {key: value[FRAME:] for key, value in rows.items()} for view, rows in tables.items()},
            orders={k: self._codec.decode(row) for k, row in tables["order_status"].items()},  # type: ignore[misc]
            levels={k: self._codec.decode(row) for k, row in tables["stock_levels"].items()},  # type: ignore[misc]
            sagas={key: self._codec.decode_with(row)[1] for key, row in self._table("fulfilment").items()},
            events=tuple(event for log in LOGS for event in self._events(log)),
        )

    def close(self) -> None:
        """Ends what it holds open."""
        for worker in self.workers:
            worker.clean_up()
        self._watcher.close()

    def _table(self, name: str) -> Table:
        table = reading.latest(reading.read(self._cluster.bootstrap, topics.table(self.name, name)))
        return {key: entry.value for key, entry in table.items() if entry.value is not None}

    def _events(self, log: str) -> Iterator[checkers.Event]:
        entries = reading.read(self._cluster.bootstrap, topics.events(self.name, log))
        for entry in sorted(entries, key=lambda entry: entry[:2]):  # partitions arrive in any order
            if entry.value is not None:
                meta: Meta = self._codec.decode_with(entry.value)[1]
                yield checkers.Event(log, meta.aggregate_id, meta.version, meta.event_id)


def eventually(look: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Waits until it holds; fails where it never does."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
