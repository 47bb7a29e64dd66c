"""The run itself, phase by phase; each leaves nothing behind that a later start could stumble over."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from foldlog import cluster
from foldlog.cli import loading, output
from foldlog.cli.demo import cdnow
from foldlog.cli.demo.cdnow import Purchase
from foldlog.cli.demo.checks import Actual, Comparison, compare
from foldlog.cli.demo.expected import expected
from foldlog.cli.demo.interrupts import Interrupts
from foldlog.cli.demo.load import Load, orders_present
from foldlog.cli.demo.readback import Log, Readback, compare_logs
from foldlog.cli.demo.report import Run
from foldlog.cli.demo.settling import Groups, Place, Sagas, Settling
from foldlog.cli.demo.worker import Worker
from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.errors import ClusterError
from foldlog.core.topics import dead_letters, events, table, topics
from foldlog.core.topology import Topology
from foldlog.kafka import admin
from foldlog.kafka.reading import ends, open_consumer
from foldlog.settings import Settings, load

MODULE = "topologies.orders"
SAGA = "fulfilment"
FILE = "data/CDNOW_master.txt.gz"


@dataclass
class Phases:
    """How long each phase took, in seconds and in order; a line on stderr says so as each ends."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times one phase that is not cut short."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        output.note(f"{name}: {self.seconds[name]:.1f} s")


@dataclass(frozen=True)
class Stage:
    """What every phase needs."""

    topology: Topology
    cluster: Cluster
    codec: Codec
    log: Sequence[Purchase]
    settings: Settings
    phases: Phases


def run(orders: int | None, keep: bool, interrupts: Interrupts) -> Run:
    """The whole demo; `orders` is how many of the log's purchases, all where it is None.

    Stops the worker however it ends, and the cluster if it was started here and is not to be kept.
    """
    topology, settings, phases = loading.topology(MODULE), load(), Phases()
    log = cdnow.read(_file())
    with ExitStack() as stack:
        with phases.phase("cluster"):
            found = stack.enter_context(_cluster(settings, keep, interrupts))
        registry = stack.enter_context(closing(Registry(found.registry)))
        stage = Stage(topology, found, Codec(topology, registry), log, settings, phases)
        with phases.phase("topics and schemas"):
            admin.apply(found.bootstrap, topics(topology), settings.replication_factor)
            push(topology, registry)
            stage.codec.prepare()
        return _run(stage, log[: _count(stage, orders)], interrupts)


def _run(stage: Stage, purchases: Sequence[Purchase], interrupts: Interrupts) -> Run:
    wanted = expected(purchases, stage.log)
    before = _log_ends(stage)
    bootstrap, phases = stage.cluster.bootstrap, stage.phases
    with closing(Sagas(bootstrap, table(stage.topology.name, SAGA), stage.codec)) as sagas:
        with _worker(stage, sagas, interrupts) as worker:
            sent, busy = _process(stage, purchases, sagas, worker)
        with phases.phase("checking"):
            actual, logs, (letters, new) = _read_back(stage, sagas, before)
            complete = sum(log.events - log.written for log in logs.values()) >= sum(wanted.events.values())
            comparison = _joined(compare(actual, wanted), compare_logs(logs, new, complete))
    return Run(actual, logs, letters, comparison, phases.seconds, sent, busy)


def _file() -> Path:
    return Path(sys.modules[MODULE].__file__ or "").parent / FILE


@contextmanager
def _cluster(settings: Settings, keep: bool, interrupts: Interrupts) -> Iterator[Cluster]:
    """The configured cluster, else the running one, else the embedded one: started, and stopped at the end."""
    running = _running(settings)
    own = running is None
    try:
        with output.steps() as progress:
            found = running if running and running.kind == "docker" else _up(settings, progress)
        yield found
    finally:
        if own and not keep:
            with interrupts.held():
                cluster.down(settings.home)
                output.note("cluster stopped, its data are kept; `foldlog up` starts it again")


def _running(settings: Settings) -> Cluster | None:
    try:
        return cluster.find(settings.bootstrap, settings.registry, settings.home)
    except ClusterError:
        return None


def _up(settings: Settings, progress: cluster.Progress) -> Cluster:
    return cluster.up(settings.home, progress=progress, bootstrap=settings.bootstrap, registry=settings.registry)


def _count(stage: Stage, orders: int | None) -> int:
    """How many purchases this run covers: what was sent before can only be added to."""
    if orders is None or orders >= len(stage.log):
        return len(stage.log)
    present = orders_present(stage.cluster.bootstrap, stage.topology.name, stage.log)
    if present > orders:
        output.note(f"order {present:,} was sent to this cluster before: this run covers the first {present:,} orders")
    return max(orders, present)


def _log_ends(stage: Stage) -> dict[Place, int]:
    """Where the event logs and the dead letters end now."""
    context = stage.topology.name
    names = [dead_letters(context), *(events(context, decider.name) for decider in stage.topology.deciders)]
    counts = {topic.name: topic.partitions for topic in topics(stage.topology)}
    with closing(open_consumer(stage.cluster.bootstrap)) as consumer:
        found = {name: ends(consumer, name, range(counts[name])) for name in names}
    return {(name, partition): end for name, bounds in found.items() for partition, (_, end) in bounds.items()}


@contextmanager
def _worker(stage: Stage, sagas: Sagas, interrupts: Interrupts) -> Iterator[Worker]:
    with ExitStack() as stack:
        with stage.phases.phase("worker"):
            with interrupts.held():
                worker = Worker(MODULE, stage.settings.home.resolve(), stage.cluster)
                stack.callback(_stop, worker, interrupts)
            with output.bar("starting the worker, restoring its state"):
                sagas.catch_up()
                worker.await_ready()
        yield worker


def _stop(worker: Worker, interrupts: Interrupts) -> None:
    with interrupts.held():
        worker.stop()


def _process(stage: Stage, purchases: Sequence[Purchase], sagas: Sagas, worker: Worker) -> tuple[int, float]:
    """Sends everything and waits until it is done; gives commands sent and seconds until the last saga ended."""
    load_ = Load(stage.topology, stage.codec, stage.cluster.bootstrap, stage.settings.compression)
    groups = Groups(stage.cluster.bootstrap, stage.topology)
    with stage.phases.phase("stock"):
        sent = load_.deliver(stage.log, worker.check)
    started = time.monotonic()
    with stage.phases.phase("sending"):
        sent += load_.order(purchases, worker.check)
    with stage.phases.phase("processing"), output.bar("fulfilments ended") as report:
        settling = Settling(sagas, groups, worker.check, str(worker.log))
        settling.wait(len(purchases), lambda ended: report(ended, len(purchases)))
    return sent, (settling.ended_at or time.monotonic()) - started


def _read_back(
    stage: Stage, sagas: Sagas, before: Mapping[Place, int]
) -> tuple[Actual, dict[str, Log], tuple[int, list[str]]]:
    readback = Readback(stage.cluster.bootstrap, stage.topology.name, stage.codec)
    logs = {decider.name: readback.log(decider.name, before) for decider in stage.topology.deciders}
    actual = Actual(
        orders=readback.rows("order_status"),
        customers=readback.rows("customers"),
        stock=readback.rows("stock_levels"),
        events={name: log.events for name, log in logs.items()},
        sagas_ended=len(sagas.ended),
        sagas_open=len(sagas.open),
    )
    return actual, logs, readback.dead_letters(before)


def _joined(*comparisons: Comparison) -> Comparison:
    checks = {name: right for comparison in comparisons for name, right in comparison.checks.items()}
    return Comparison(checks, tuple(line for comparison in comparisons for line in comparison.differences))
