"""What the rest of foldlog knows of a cluster: two addresses, and what runs behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["external", "docker", "embedded"]

Progress = Callable[[str, int, int], None]
"""Called with (step, bytes done, bytes in all); a step without bytes, such as a boot, passes 0 and 0."""


def quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Cluster:
    """Where Kafka and the schema registry answer.

    `bootstrap` is `host:port[,host:port…]`; `registry` the base URL of a Confluent-compatible registry.
    """

    bootstrap: str
    registry: str
    kind: Kind


@dataclass(frozen=True)
class Server:
    """One server: `alive` means its process exists, `responding` that it answers its protocol; sizes in MB."""

    name: str
    address: str | None
    pid: int | None
    alive: bool
    responding: bool
    memory_mb: float | None = None
    data_mb: float | None = None
    log: str | None = None


@dataclass(frozen=True)
class Status:
    """The state of a cluster; `running` is true only if both servers respond."""

    kind: Kind
    running: bool
    bootstrap: str | None
    registry: str | None
    home: str
    servers: tuple[Server, ...]
