"""A measured process: started in a session of its own, its use of the machine counted, ended with its children."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foldlog.cluster.extra import embedded
from foldlog.core.errors import EngineError

STOP_S = 20.0
SHOWN = 5


@dataclass(frozen=True)
class Launch:
    """How a system is started; `stamps` is where its processes write the moment of their first record."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    directory: Path

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.directory / f"{self.name}.log"

    @property
    def stamps(self) -> Path:
        """A file a process: the epoch's seconds and its CPU seconds at the first record."""
        return self.directory / "stamps"


@dataclass
class Running:
    """A started process and its children."""

    launch: Launch
    handle: Any  # psutil.Popen
    _base: dict[int, float] = field(default_factory=dict)
    rss: float = 0.0  # MB, the most seen

    def check(self) -> None:
        """Raises EngineError with the log's last lines where it has ended."""
        code = self.handle.poll()
        if code is not None:
            lines = [line for line in self.launch.log.read_text("utf-8", "replace").splitlines() if line.strip()]
            said = " | ".join(lines[-SHOWN:])
            raise EngineError(f"{self.launch.name} ended with exit code {code}: {said}; its log is {self.launch.log}")

    def first(self) -> float | None:
        """When it got its first record, in seconds of the epoch; None before that."""
        stamps = [stamp.read_text().split() for stamp in self.launch.stamps.iterdir()]
        return min((float(stamp[0]) for stamp in stamps if len(stamp) == 2), default=None)

    def cpu(self) -> float:
        """CPU seconds that its processes have used since each one's first record; memory is noted along the way."""
        used, rss = 0.0, 0.0
        for process in self._processes():
            with suppress(embedded("psutil").Error):
                times, pid = process.cpu_times(), process.pid
                rss += process.memory_info().rss / 1e6
                spent = times.user + times.system
                used += spent - self._base.setdefault(pid, self._stamped(pid, spent))
        self.rss = max(self.rss, rss)
        return used

    def _stamped(self, pid: int, otherwise: float) -> float:
        for stamp in self.launch.stamps.glob(f"*-{pid}"):
            parts = stamp.read_text().split()
            return float(parts[1]) if len(parts) == 2 else otherwise
        return otherwise

    def _processes(self) -> list[Any]:
        with suppress(embedded("psutil").Error):
            return [self.handle, *self.handle.children(recursive=True)]
        return []


@contextmanager
def started(launch: Launch) -> Iterator[Running]:
    """Starts it and ends it with its session: SIGTERM, so that batches in flight end, then SIGKILL."""
    launch.stamps.mkdir(parents=True, exist_ok=True)
    for stamp in launch.stamps.iterdir():
        stamp.unlink()
    with launch.log.open("ab") as log:
        handle = embedded("psutil").Popen(
            list(launch.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **launch.env},
            start_new_session=True,
        )
    try:
        yield Running(launch, handle)
    finally:
        stop(handle)


def stop(handle: Any) -> None:
    """Ends the session that a process leads."""
    deadline = time.monotonic() + STOP_S
    with suppress(ProcessLookupError):
        os.kill(handle.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired, embedded("psutil").TimeoutExpired):
        handle.wait(max(0.1, deadline - time.monotonic()))
    with suppress(ProcessLookupError):
        os.killpg(handle.pid, signal.SIGKILL)
    handle.wait()
