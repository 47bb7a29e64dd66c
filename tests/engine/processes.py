"""Worker processes, started and stopped as users do."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from foldlog.cluster import Cluster
from tests.engine.running import PATIENCE, eventually

ROOT = Path(__file__).parents[2]


class Context(Protocol):
    """A context under a name of its own, on a cluster."""

    @property
    def name(self) -> str: ...

    cluster: Cluster


def foldlog(bank: Context, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command of an operator."""
    command = [sys.executable, "-m", "foldlog.cli.main", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **reaching(bank)}, capture_output=True, text=True, check=False
    )


def reaching(bank: Context) -> dict[str, str]:
    """The environment in which the bank is found."""
    return {
        "BANK": bank.name,
        "FOLDLOG_BOOTSTRAP": bank.cluster.bootstrap,
        "FOLDLOG_REGISTRY": bank.cluster.registry,
    }


class Worker:
    """A process of `foldlog run`."""

    def __init__(
        self,
        bank: Context,
        home: Path,
        instance: str,
        *only: str,
        options: tuple[str, ...] = (),
        module: str = "tests.engine.bank",
        **env: str,
    ) -> None:
        self.directory = home / "workers" / instance
        (self.directory / "ready").unlink(missing_ok=True)  # one that was killed has left its own
        self._output = home / f"{instance}.out"
        home.mkdir(parents=True, exist_ok=True)
        settings = {
            **reaching(bank),
            "FOLDLOG_HOME": str(home),
            "FOLDLOG_INSTANCE": instance,
            "FOLDLOG_SESSION_TIMEOUT_MS": "6000",
            **env,
        }
        names = [word for name in only for word in ("--only", name)]
        command = [sys.executable, "-m", "foldlog.cli.main", "run", module, *names, *options]
        self._from = self._output.stat().st_size if self._output.exists() else 0
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **settings},
            )

    @property
    def output(self) -> str:
        """What this process has printed so far."""
        return self._output.read_bytes()[self._from :].decode(errors="replace")

    @property
    def errors(self) -> list[str]:
        """Its lines that say what is wrong; none is a traceback."""
        assert "Traceback" not in self.output, self.output
        return [line for line in self.output.splitlines() if line.startswith("error: ")]

    def is_ready(self) -> bool:
        """True once every processor runs."""
        assert self.process.poll() is None, self.output
        return (self.directory / "ready").exists()

    def ready(self) -> "Worker":
        """Waits until every processor runs."""
        eventually(self.is_ready, "the worker's start")
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signals it and waits; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Waits for its end; its exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the worker does not end:\n{self.output}") from None

    def close(self) -> None:
        """Ends it at once, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
