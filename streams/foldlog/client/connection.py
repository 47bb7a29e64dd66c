"""From settings to a cluster, and to the codec of a context."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cluster import Cluster
    from foldlog.contracts.codec import Codec
    from foldlog.contracts.registry import Registry
    from foldlog.settings import Settings


@dataclass(frozen=True)
class Connection:
    """The settings of this process and the cluster they lead to."""

    settings: "Settings"
    cluster: "Cluster"
    registry: "Registry"

    @property
    def bootstrap(self) -> str:
        """Kafka's address."""
        return self.cluster.bootstrap

    def codec(self, of: Topology) -> "Codec":
        """Encodes and decodes the records of a context."""
        from foldlog.contracts.codec import Codec

        return Codec(of, self.registry)


@contextmanager
def connect(bootstrap: str | None = None, registry: str | None = None) -> Iterator[Connection]:
    """The cluster of the arguments, else of the settings, else the running embedded one.

    Raises ConfigError where only one of the two is given, ClusterError, which says how to start one, where there is
    no cluster.
    """
    from foldlog import cluster
    from foldlog.contracts.registry import Registry
    from foldlog.settings import load

    settings = load()
    found = cluster.find(bootstrap or settings.bootstrap, registry or settings.registry, settings.home)
    with closing(Registry(found.registry)) as known:
        yield Connection(settings, found, known)
