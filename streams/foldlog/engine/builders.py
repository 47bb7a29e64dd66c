"""Worker processes for one task: they run one processor for as long as a command of this process needs them."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from types import TracebackType

from foldlog.core.errors import EngineError

_LONGEST_END = 60.0  # s: a process that was told to end is killed after this


class Builders:
    """Processes of `foldlog run`, one for each instance name; they end with this process, however it ends.

    `command` makes a process's command line, given the descriptor whose other end is held here.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], instances: Sequence[str]) -> None:
        self._command = command
        self._instances = instances
        self._processes: list[subprocess.Popen[bytes]] = []
        self._held: list[socket.socket] = []

    def __enter__(self) -> "Builders":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        """Starts them, if they are not running."""
        for instance in self._instances[len(self._processes) :]:
            ours, theirs = socket.socketpair()
            with theirs:
                # Their port would be that of the worker beside them; a terminal's Ctrl-C is for their parent.
                environment = {name: value for name, value in os.environ.items() if name != "FOLDLOG_HTTP"}
                self._processes.append(
                    subprocess.Popen(
                        self._command(theirs.fileno()),
                        stdin=subprocess.DEVNULL,
                        stdout=2,
                        env={**environment, "FOLDLOG_INSTANCE": instance, "FOLDLOG_LOG_LEVEL": "warning"},
                        pass_fds=(theirs.fileno(),),
                        process_group=0,
                    )
                )
            self._held.append(ours)

    def check(self) -> None:
        """EngineError where one has ended; what it said of that is on stderr."""
        for process, instance in zip(self._processes, self._instances, strict=False):
            code = process.poll()
            if code is not None:
                raise EngineError(f"process {instance} ended with exit code {code}; run the command again to go on")

    def end(self) -> None:
        """Tells them to end, and waits until they have."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(_LONGEST_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for held in self._held:
            held.close()
        self._processes, self._held = [], []
