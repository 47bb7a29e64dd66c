"""What a run stands on: three nodes and a registry, with data that end with it."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from foldlog.cluster import Cluster, quiet, registry
from foldlog.cluster.artifacts import Software, software
from foldlog.cluster.model import Progress
from foldlog.cluster.place import Place
from foldlog.cluster.ports import choose
from foldlog.cluster.processes import processes, stop
from foldlog.core.errors import ClusterError
from tests.chaos.nodes import COUNT, Nodes, Ports
from tests.chaos.waiting import eventually


class Schemas:
    """The schema registry as a process that can be away."""

    def __init__(self, directory: Path, programs: Software) -> None:
        self._place = Place.of(directory)
        self._place.run.mkdir(parents=True)
        self._programs = programs
        self._ports = choose({}, {})
        self.url = registry.url(self._ports["registry"])

    def start(self) -> None:
        """Starts it and waits until it answers."""
        registry.REGISTRY.start(self._place, self._programs, self._ports)
        eventually(self.answers, "the registry's answer", 60)

    def answers(self) -> bool:
        """Whether it lists its subjects."""
        return registry.responds(self._ports)

    def stop(self) -> int:
        """SIGKILL; the pid that ended."""
        found = processes(self._place)
        if "registry" not in found:
            raise ClusterError(f"the registry had ended by itself: see {self._place.log('registry')}")
        stop(list(found.values()), grace=0)
        return found["registry"].pid

    def close(self) -> None:
        """Ends it, if it runs."""
        stop(list(processes(self._place).values()), grace=0)


class Ground:
    """A cluster of three nodes behind proxies, a registry, and a directory for everything that a run writes."""

    def __init__(self, directory: Path, nodes: Nodes, schemas: Schemas) -> None:
        self.directory = directory
        self.nodes = nodes
        self.schemas = schemas

    @property
    def proxied(self) -> Cluster:
        """As clients and workers see it."""
        return Cluster(self.nodes.proxied, self.schemas.url, "external")

    @property
    def direct(self) -> Cluster:
        """As those see it who look on."""
        return Cluster(self.nodes.direct, self.schemas.url, "external")


@contextmanager
def ground(progress: Progress = quiet, directory: Path | None = None) -> Iterator[Ground]:
    """A started cluster; its processes end with the block, however it ends, and so do its data.

    SIGTERM ends the block as Ctrl-C does. `directory` is where the nodes' data go, default a new one.
    """
    root = Path(tempfile.mkdtemp(prefix="foldlog-chaos-", dir=directory))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        programs = software(progress)
        schemas = Schemas(root / "registry", programs)
        stack.callback(schemas.close)
        nodes = Nodes(root / "nodes", programs, _ports())
        stack.callback(nodes.close)
        progress("starting three nodes and the registry", 0, 0)
        schemas.start()
        nodes.start()
        yield Ground(root, nodes, schemas)


def _ports() -> list[Ports]:
    """Four free ports a node."""
    names = ("direct", "behind", "proxied", "controller")
    taken: set[int] = set()
    found: list[Ports] = []
    while len(found) < COUNT:
        chosen = tuple(choose({}, {}).values())
        if not taken & set(chosen):
            taken |= set(chosen)
            found.append(dict(zip(names, chosen, strict=True)))
    return found
