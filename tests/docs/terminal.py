"""A reader's terminal: a shell that is told one command after the other, and a second one for what keeps running."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.programs import free_port

_END = "=== end of command"
READY_S = 90.0
# A reader's settings: none, but for where this machine keeps and finds downloads.
_KEPT = (
    *("HOME", "TMPDIR", "FOLDLOG_CACHE", "FOLDLOG_MAVEN"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)


@dataclass(frozen=True)
class Command:
    """A command of a page and the output that the page shows; no lines where it shows none."""

    line: str
    shown: tuple[str, ...] = ()


def commands(language: str, text: str) -> tuple[Command, ...]:
    """The commands of a block: each line of `bash` or `sh`, each `$ ` line of `console` with the output below it."""
    found: list[Command] = []
    for line in text.replace("\\\n", " ").splitlines():
        if language != "console":
            if line and not line.startswith("#"):
                found.append(Command(line))
        elif line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        elif found:
            found[-1] = Command(found[-1].line, (*found[-1].shown, line))
        else:
            raise ValueError(f"output before the first command: {line}")
    return tuple(found)


@dataclass
class Terminal:
    """One shell for a whole walk-through; `workers` are the `foldlog run` of the other terminals.

    `port` is one that nobody uses, for a page that names a fixed one. `given` are variables whose values the page only
    has as examples.
    """

    directory: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    given: Mapping[str, str] = field(default_factory=dict)
    code: int = 0

    def __post_init__(self) -> None:
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment = {**kept, "PATH": paths, "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "COLUMNS": "100"}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    @property
    def cwd(self) -> Path:
        """Where the shell is."""
        return Path(self.run("pwd").strip())

    def run(self, line: str) -> str:
        """The output of one command, stderr included; `code` is its exit code afterwards."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        # `$?` is put back, so that the page's own `echo $?` sees it.
        self._shell.stdin.write(f"(exit {self.code})\n{{ {line}\n}} </dev/null\nprintf '\\n%s %d\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for text in self._shell.stdout:
            if text.startswith(_END):
                self.code = int(text.rpartition(" ")[2])
                return "".join(lines).removesuffix("\n")
            lines.append(text)
        raise AssertionError(f"the shell ended in: {line}\n{''.join(lines)}")

    def start_worker(self, line: str, home: str = ".foldlog") -> None:
        """Runs a `foldlog run` or an edge in a terminal of its own until every worker so far of that home is ready."""
        ready = self.cwd / home / "workers"
        wanted = len(list(ready.glob("*/ready"))) + 1
        self._start(line, lambda _: len(list(ready.glob("*/ready"))) == wanted)

    def start_service(self, line: str) -> None:
        """Runs a `foldlog query serve` or `foldlog edge http` in a terminal of its own until it can answer."""
        signs = ("the replica is loaded", "taking commands of")
        self._start(line, lambda log: any(sign in log.read_text() for sign in signs))

    def _start(self, line: str, is_ready: Callable[[Path], bool]) -> None:
        cwd = self.cwd
        log = cwd / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            self.workers.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec env {line}"], cwd=cwd, env=self._environment, stdout=output, stderr=output
                )
            )
        deadline = time.monotonic() + READY_S
        while not is_ready(log):
            assert self.workers[-1].poll() is None, f"{line} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{line} is not ready:\n{log.read_text()}"
            time.sleep(0.1)

    def stop_workers(self) -> list[int]:
        """Ctrl-C in the other terminals; the exit codes."""
        for worker in self.workers:
            worker.send_signal(signal.SIGINT)
        codes = [worker.wait(60) for worker in self.workers]
        self.workers.clear()
        return codes

    def close(self) -> None:
        """Leaves nothing running."""
        self.stop_workers()
        if self._shell.poll() is None:
            self.run("foldlog down --wipe")
        with self._shell:  # closes its pipes, and it ends
            pass


# What differs from run to run, and is as wide in one run as in another.
_VARIABLE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "0000-00-00 00:00:00"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:0"),
    (re.compile(r"in \d+\.\d+ ?s\b"), "in 0.0 s"),
)


def steady(line: str) -> str:
    """A line of output without what differs from run to run, and without trailing blanks."""
    for pattern, instead in _VARIABLE:
        line = pattern.sub(instead, line)
    return line.rstrip()


def shows(shown: tuple[str, ...], output: str) -> bool:
    """Whether the page's lines are the output's; `…` on a line of its own stands for any number of lines."""
    pattern = "\n".join("<any>" if line == "…" else re.escape(steady(line)) for line in shown)
    pattern = pattern.replace("<any>\n", "(?:.*\n)*").replace("\n<any>", "(?:\n.*)*").replace("<any>", "(?s:.*)")
    return re.fullmatch(pattern, "\n".join(map(steady, output.splitlines()))) is not None
