"""Everything that faults act on: nodes, registry, workers, the small disk, the clock."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core import Topology, topics
from foldlog.kafka.admin import apply
from tests.chaos.bank import bank
from tests.chaos.clocks import Clock
from tests.chaos.disks import Disk, small_disk
from tests.chaos.garbage import Vandal
from tests.chaos.ground import Ground
from tests.chaos.history import History
from tests.chaos.nodes import COUNT
from tests.chaos.schedule import CLOCKED, SMALL, WORKERS
from tests.chaos.workers import RUN_CLOCKED, Fleet, Places

SNAPSHOT_EVENTS = 20  # so few that sweeps go on all the time, and rows go along with batches now and then


@dataclass
class Stage:
    """A context on a ground, with workers, in a directory that holds histories and logs."""

    ground: Ground
    topology: Topology
    codec: Codec
    fleet: Fleet
    history: History
    vandal: Vandal
    disk: Disk
    clock: Clock | None
    directory: Path


@contextmanager
def stage(ground: Ground, directory: Path, name: str, seed: int, without: Collection[str] = ()) -> Iterator[Stage]:
    """A stage with its workers running; they end with the block. ConfigError where libfaketime is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    clock = None if "clock-moved" in without else Clock(directory / "clock")
    topology = replace(bank, name=name)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="state-", dir=ground.directory)))
        registry = Registry(ground.schemas.url)
        stack.callback(registry.close)
        codec = prepared(ground, topology, registry)
        history = History(directory / "history.jsonl")
        stack.callback(history.close)
        disk = small_disk(state / "small")
        stack.callback(disk.close)
        often = {"FOLDLOG_SNAPSHOT_EVENTS": str(SNAPSHOT_EVENTS)}
        fleet = Fleet(ground.proxied, Places(state, directory), name, env=often)
        stack.callback(fleet.close)
        for worker in WORKERS:
            home = disk.path if worker == SMALL else None
            if clock is not None and worker == CLOCKED:
                fleet.worker(worker, home, RUN_CLOCKED, **clock.env).start()
            else:
                fleet.worker(worker, home).start()
        fleet.await_ready()
        vandal = Vandal(topology, ground.proxied, codec, history, seed)
        yield Stage(ground, topology, codec, fleet, history, vandal, disk, clock, directory)


def prepared(ground: Ground, topology: Topology, registry: Registry) -> Codec:
    """The codec of a context whose topics and schemas are there."""
    apply(ground.direct.bootstrap, topics.topics(topology), COUNT)
    push(topology, registry)
    codec = Codec(topology, registry)
    codec.prepare()
    return codec
