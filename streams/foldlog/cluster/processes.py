"""The server processes of a place, found by their command lines.

A pid in a file lies as soon as its process is gone and the number is given to another. So none is kept: each
JVM carries the place, its own name and its ports as arguments, and the process table says what runs.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldlog.cluster.extra import embedded
from foldlog.cluster.place import Place
from foldlog.core.errors import ClusterError

MARK = "-Dfoldlog.server="
PORTS = "-Dfoldlog.ports="

# "$!" is printed by a shell that then ends: the server belongs to init, so it outlives its starter, never
# becomes the starter's zombie, and (as an asynchronous command) ignores the terminal's Ctrl-C.
DETACH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


@dataclass(frozen=True)
class Process:
    """A live server process: its name, ports, and `psutil.Process`, which guards against re-used pids."""

    name: str
    ports: dict[str, int]
    handle: Any

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self.handle.pid)

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        with suppress(embedded("psutil").NoSuchProcess):
            return bool(self.handle.is_running()) and self.handle.status() != "zombie"
        return False

    @property
    def memory_mb(self) -> float | None:
        """Resident memory, None if the process has just ended."""
        with suppress(embedded("psutil").Error):
            return float(round(self.handle.memory_info().rss / 1e6, 1))
        return None


def marks(place: Place, name: str, ports: Mapping[str, int]) -> tuple[str, str]:
    """The arguments by which `processes` finds a server again."""
    listed = ",".join(f"{key}:{port}" for key, port in ports.items())
    return f"{MARK}{name}@{place.root}", f"{PORTS}{listed}"


def processes(place: Place) -> dict[str, Process]:
    """The live servers of a place by name."""
    psutil = embedded("psutil")
    found = {}
    for handle in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            process = _recognised(place, handle, handle.cmdline())
            if process is not None:
                found[process.name] = process
    return found


def _recognised(place: Place, handle: Any, arguments: Sequence[str]) -> Process | None:
    names = [argument.removeprefix(MARK) for argument in arguments if argument.startswith(MARK)]
    listed = [argument.removeprefix(PORTS) for argument in arguments if argument.startswith(PORTS)]
    if not names or not listed or not names[0].endswith(f"@{place.root}"):
        return None
    pairs = (entry.split(":") for entry in listed[0].split(",") if entry)
    return Process(names[0].removesuffix(f"@{place.root}"), {key: int(port) for key, port in pairs}, handle)


def detach(command: Sequence[str], log: Path, directory: Path) -> int:
    """Start a command in a session of its own, output to `log`, in a clean environment; returns its pid."""
    shell = ["/bin/sh", "-c", DETACH, "sh", str(log), *command]
    log.parent.mkdir(parents=True, exist_ok=True)
    # Kafka and Quarkus read settings and JVMs read options from variables meant for others.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TZ") if name in os.environ}
    ended = subprocess.run(
        shell,
        cwd=directory,
        env=kept | {"LC_ALL": "C.UTF-8"},
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ended.stdout)


def stop(stopping: Sequence[Process], grace: float) -> None:
    """SIGTERM to all at once, then SIGKILL to those that still run after `grace` seconds (0: at once)."""
    psutil = embedded("psutil")
    handles = [process.handle for process in stopping]
    if grace > 0:
        _signal(handles, "terminate")
        _, handles = psutil.wait_procs(handles, timeout=grace)
    _signal(handles, "kill")
    psutil.wait_procs(handles, timeout=10)


def _signal(handles: Sequence[Any], method: str) -> None:
    psutil = embedded("psutil")
    for handle in handles:
        try:
            getattr(handle, method)()
        except psutil.AccessDenied as error:
            raise ClusterError(
                f"process {handle.pid} belongs to another user: stop the cluster as that user"
            ) from error
        except psutil.NoSuchProcess:
            continue
