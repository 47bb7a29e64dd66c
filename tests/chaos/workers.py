"""Workers as operators run them: processes of `foldlog run`, started again when they end."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from foldlog.cluster import Cluster
from foldlog.core.errors import EngineError
from tests.chaos.waiting import eventually

ROOT = Path(__file__).parents[2]
SESSION_MS, TRANSACTION_MS, SOCKET_MS = 4000, 8000, 2500
RESTART_S = 0.7  # s between an end and the next start

SETTINGS = {
    "FOLDLOG_SESSION_TIMEOUT_MS": str(SESSION_MS),
    "FOLDLOG_TRANSACTION_TIMEOUT_MS": str(TRANSACTION_MS),
    "FOLDLOG_SOCKET_TIMEOUT_MS": str(SOCKET_MS),
    "FOLDLOG_REPLICATION_FACTOR": "3",
    "FOLDLOG_LOG_LEVEL": "info",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "streams"), str(ROOT)]),
    "PYTHONUNBUFFERED": "1",
}
RUN = ("foldlog.cli.main", "run")
RUN_CLOCKED = ("tests.chaos.clocked", "run")


@dataclass
class Worker:
    """One instance name: its directory, its log, and the process that has the name now.

    `module` and its arguments are what is run in place of `foldlog run`.
    """

    name: str
    home: Path
    log: Path
    env: Mapping[str, str]
    module: Sequence[str] = RUN
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = False  # ended processes are replaced
    exits: list[int] = field(default_factory=list)  # codes of those that ended by themselves

    @property
    def directory(self) -> Path:
        """What the worker keeps."""
        return self.home / "workers" / self.name

    @property
    def running(self) -> bool:
        """Whether a process has the name."""
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether every processor of the process runs."""
        return self.running and (self.directory / "ready").exists()

    def start(self) -> None:
        """Starts a process."""
        (self.directory / "ready").unlink(missing_ok=True)
        command = [sys.executable, "-m", *self.module, "tests.chaos.bank"]
        env = {**os.environ, **SETTINGS, "FOLDLOG_HOME": str(self.home), "FOLDLOG_INSTANCE": self.name, **self.env}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
                start_new_session=True,
            )  # fmt: skip
        self.wanted = True

    def signal(self, number: signal.Signals) -> int:
        """Signals the process, if need be the one that is about to be started; its pid."""
        eventually(lambda: self.running, f"a process of worker {self.name} (see {self.log})", 20)
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.pid

    def kill(self) -> int:
        """SIGKILL, without another start; the pid that ended by it."""
        eventually(lambda: self.running, f"a process of worker {self.name} (see {self.log})", 20)
        self.wanted = False
        pid = self.signal(signal.SIGKILL)
        assert self.process is not None
        if self.process.wait(30) != -signal.SIGKILL:
            raise EngineError(f"worker {self.name} had ended by itself: see {self.log}")
        return pid

    def tell(self) -> None:
        """SIGTERM, once, without another start."""
        self.wanted = False
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def ended(self, seconds: float = 60) -> int:
        """Waits for the end of one that was told; the exit code. One that does not end is killed."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(30)

    def forget(self) -> None:
        """Deletes all that it keeps."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def lines(self, since: int = 0) -> list[str]:
        """What it has printed, from that byte on."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace").splitlines()

    @property
    def printed(self) -> int:
        """How much it has printed, in bytes."""
        return self.log.stat().st_size if self.log.exists() else 0


class Places(NamedTuple):
    """Where workers keep their state, and where their logs are."""

    state: Path
    logs: Path


class Fleet:
    """Several workers and the one who starts them again."""

    def __init__(
        self,
        cluster: Cluster,
        places: Places,
        context: str,
        module: Sequence[str] = RUN,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._env = {
            "FOLDLOG_BOOTSTRAP": cluster.bootstrap,
            "FOLDLOG_REGISTRY": cluster.registry,
            "CHAOS_BANK": context,
            **env,
        }
        self._places, self._module = places, module
        self.all: dict[str, Worker] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._thread.start()

    def worker(self, name: str, home: Path | None = None, module: Sequence[str] | None = None, **env: str) -> Worker:
        """The worker of that name; the first time it is made, with these settings and its state below `home`."""
        if name not in self.all:
            own = home or self._places.state / f"worker-{name}"
            own.mkdir(parents=True, exist_ok=True)
            log = self._places.logs / f"worker-{name}.log"
            self.all[name] = Worker(name, own, log, {**self._env, **env}, module or self._module)
        return self.all[name]

    def await_ready(self, *names: str, seconds: float = 90) -> None:
        """Waits until every processor of these workers runs; of all that are wanted where none is named."""
        for worker in [self.all[name] for name in names] or [each for each in self.all.values() if each.wanted]:
            eventually(lambda worker=worker: worker.ready, f"worker {worker.name} (see {worker.log})", seconds)  # type: ignore[misc]

    def stop(self) -> None:
        """Ends all workers in order; EngineError names one that did not end well."""
        running = {name: worker for name, worker in self.all.items() if worker.ready}
        for worker in self.all.values():
            worker.tell()
        codes = {name: worker.ended() for name, worker in self.all.items()}
        bad = {name: codes[name] for name in running if codes[name] != 0}
        if bad:
            raise EngineError(f"workers ended with {bad} when they were told to stop: see {self._places.logs}")

    def close(self) -> None:
        """Ends everything at once."""
        self._ended.set()
        self._thread.join(10)
        for worker in self.all.values():
            worker.wanted = False
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait(30)

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            for worker in list(self.all.values()):
                process = worker.process
                code = None if process is None or not worker.wanted else process.poll()
                if code is None:
                    continue
                worker.exits.append(code)
                time.sleep(RESTART_S)
                if worker.wanted and worker.process is process:
                    worker.start()
