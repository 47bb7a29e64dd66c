"""Who a worker process is: a stable name, and a directory that no other process shares."""

import fcntl
import os
import re
import socket
from contextlib import suppress

from foldlog.core.errors import ConfigError
from foldlog.settings import Settings


class Identity:
    """A locked slot: `instance` names the process to Kafka, `directory` holds its state.

    The instance is `FOLDLOG_INSTANCE` (a pod's name), else the first slot of this machine that nobody has locked.
    The lock goes with the process, however it ends. Raises ConfigError where the named instance is in use.
    """

    def __init__(self, settings: Settings, folder: str = "workers") -> None:
        self._root = settings.home / folder
        self._lock = -1
        self.instance = self._named(settings.instance) if settings.instance else self._first_free()
        self.directory = self._root / self.instance

    def release(self) -> None:
        """Gives the slot back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _named(self, name: str) -> str:
        if name in (".", ".."):
            raise ConfigError(f"FOLDLOG_INSTANCE={name!r} is no name for a directory; choose another")
        if not self._take(name):
            raise ConfigError(
                f"instance {name} is in use by another process on {self._root}; choose another FOLDLOG_INSTANCE"
            )
        return name

    def _first_free(self) -> str:
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
        number = 0
        while not self._take(f"{host}-{number}"):
            number += 1
        return f"{host}-{number}"

    def _take(self, name: str) -> bool:
        directory = self._root / name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"the state directory {directory} cannot be used: {error.strerror}") from error
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
            return True
        os.close(lock)
        return False
