"""Where an embedded cluster keeps its things below the project's data directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """`<home>/cluster/{kafka,registry,logs,run}`, as absolute paths.

    Kafka's log and the registry's database belong together, since the records hold schema ids: they are wiped
    together or kept together. `complete` is written last, once both have served: without it the data are the
    remains of a first start that was cut short, and nobody's.
    """

    root: Path

    @staticmethod
    def of(home: Path) -> "Place":
        """The place below a data directory; nothing is created."""
        return Place(home.resolve() / "cluster")

    @property
    def kafka(self) -> Path:
        """Kafka's log directory."""
        return self.root / "kafka"

    @property
    def registry(self) -> Path:
        """The registry's database and scratch directories."""
        return self.root / "registry"

    @property
    def run(self) -> Path:
        """Generated configuration, remembered ports, the lock."""
        return self.root / "run"

    @property
    def ports(self) -> Path:
        """The ports of the last run."""
        return self.run / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`."""
        return self.run / "lock"

    @property
    def docker(self) -> Path:
        """The compose file of a cluster that Docker runs instead."""
        return self.run / "docker"

    @property
    def complete(self) -> Path:
        """Present if both servers have served from these data."""
        return self.root / "complete"

    def log(self, server: str) -> Path:
        """Where a server writes its log."""
        return self.root / "logs" / f"{server}.log"
