"""Query services as processes, started, killed and asked as users do."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.engine.running import PATIENCE, Bank, eventually

ROOT = Path(__file__).parents[2]


class Served:
    """A process of `foldlog query serve` over the bank; `http` asks it."""

    def __init__(
        self, bank: Bank, home: Path, instance: str = "r", *options: str, module: str = "tests.engine.bank", **env: str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.directory = home / "replicas" / instance
        self._output = home / f"{instance}.out"
        settings = {
            "BANK": bank.name,
            "FOLDLOG_BOOTSTRAP": bank.cluster.bootstrap,
            "FOLDLOG_REGISTRY": bank.cluster.registry,
            "FOLDLOG_HOME": str(home),
            "FOLDLOG_INSTANCE": instance,
            **env,
        }
        command = [sys.executable, "-m", "foldlog.cli.main", "query", "serve", module]
        self._from = self._output.stat().st_size if self._output.exists() else 0
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--http", "127.0.0.1:0", *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **settings},
            )
        self._http: httpx.Client | None = None

    @property
    def output(self) -> str:
        """What this process has printed so far."""
        return self._output.read_bytes()[self._from :].decode(errors="replace")

    @property
    def url(self) -> str:
        """Where it listens."""

        def found() -> str | None:
            assert self.process.poll() is None, self.output
            match = re.search(r"answering at (http://\S+)", self.output)
            return match and match[1]

        return eventually(found, "the service's start")

    @property
    def http(self) -> httpx.Client:
        """A client of it."""
        if self._http is None:
            self._http = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)
        return self._http

    def ready(self) -> "Served":
        """Waits until it has loaded what there was."""
        eventually(self.is_ready, "the replica's load")
        return self

    def is_ready(self) -> bool:
        """Whether it says so."""
        return self.http.get("/readyz").status_code == 200

    def get(self, path: str, **query: Any) -> httpx.Response:
        """The answer to a question."""
        return self.http.get(path, params=query)

    def sql(self, sql: str, parameters: Any = (), **query: Any) -> httpx.Response:
        """The answer to a statement."""
        return self.http.post("/sql", json={"sql": sql, "parameters": parameters}, params=query)

    def select(self, sql: str, *parameters: Any) -> list[list[Any]]:
        """The rows of a statement."""
        answer = self.sql(sql, list(parameters))
        assert answer.status_code == 200, answer.text
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signals it and waits; its exit code."""
        if self._http is not None:
            self._http.close()
            self._http = None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the service does not end:\n{self.output}") from None

    def close(self) -> None:
        """Ends it at once, if it has not ended."""
        with suppress(AssertionError):
            self.stop(signal.SIGKILL)
