"""The demo's worker: `foldlog run` as a process of its own, as it runs anywhere else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from foldlog.cli import output
from foldlog.cluster import Cluster
from foldlog.core.errors import ConfigError, EngineError

INSTANCE = "demo"
READY_S, STOP_S, SHOWN = 300.0, 90.0, 10


class Worker:
    """A running worker; its output goes to `<home>/demo/worker.log`."""

    def __init__(self, module: str, home: Path, cluster: Cluster) -> None:
        """Starts it. It has a session of its own: a Ctrl-C is meant for the demo, which then stops it in order."""
        self.log = home / "demo" / "worker.log"
        self._ready = home / "workers" / INSTANCE / "ready"
        self._started = time.time()
        command = [sys.executable, "-m", "foldlog.cli.main", "run", module]
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=_environment(home, cluster),
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigError(f"{self.log.parent} cannot be used: {error.strerror}; set FOLDLOG_HOME") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raises EngineError, after the last lines of its log, where the worker has ended."""
        code = self._process.poll()
        if code is None:
            return
        lines = self._last_lines()
        for line in lines[:-1]:
            output.note(f"  {line}")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = f": {lines[-1].removeprefix('error: ')}" if lines else ""
        raise EngineError(f"the worker {how}{said}; its log is {self.log}; run the demo again to go on from here")

    def await_ready(self, seconds: float = READY_S) -> None:
        """Returns once every processor runs: its state is restored and its partitions are assigned."""
        deadline = time.monotonic() + seconds
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise EngineError(f"the worker is not ready after {seconds:.0f} s; its log is {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM, so that the batch in flight ends; SIGKILL where it does not end in 90 s, which loses nothing."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            output.note(f"the worker did not stop in {STOP_S:.0f} s and was killed; its log is {self.log}")
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        """The file may be one that a killed worker left behind: then it is older than this one."""
        try:
            return self._ready.stat().st_mtime >= self._started
        except FileNotFoundError:
            return False

    def _last_lines(self) -> list[str]:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return [line.strip() for line in lines if line.strip()][-SHOWN:]


def _environment(home: Path, cluster: Cluster) -> Mapping[str, str]:
    """A name of its own, so that it finds its state again and never meets another worker's."""
    own = {"HOME": str(home), "INSTANCE": INSTANCE, "BOOTSTRAP": cluster.bootstrap, "REGISTRY": cluster.registry}
    return {**os.environ, **{f"FOLDLOG_{name}": value for name, value in own.items()}}
