"""An edge as a process, started and stopped as users do."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.client.conftest import LONG
from tests.engine.processes import ROOT, Context, reaching
from tests.engine.running import eventually


class Edge:
    """A process of `foldlog edge KIND` for a bank or another context; what it says goes to a file."""

    def __init__(
        self, bank: Context, home: Path, *arguments: str, module: str = "tests.engine.bank", **env: str
    ) -> None:
        self._output = home / f"{arguments[0]}-{len(list(home.iterdir()))}.out"
        kind, *options = arguments
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "foldlog.cli.main", "edge", kind, module, *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **reaching(bank), "FOLDLOG_HOME": str(home / "home"), **env},
            )

    @property
    def output(self) -> str:
        """What it has said."""
        return self._output.read_text(errors="replace")

    def said(self, pattern: str) -> re.Match[str]:
        """Waits until it says this."""

        def look() -> re.Match[str] | None:
            assert self.process.poll() is None, self.output
            return re.search(pattern, self.output)

        return eventually(look, f"the edge's saying {pattern}", LONG)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signals it and waits; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(LONG)
        finally:
            self.close()

    def close(self) -> None:
        """Ends it at once, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
