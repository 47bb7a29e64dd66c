"""A disk of its own for one worker, small enough to be filled."""

import resource
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

SIZE = "768m"  # RocksDB reserves a journal's whole length when it opens a store


class Disk(ABC):
    """A directory whose disk can be full."""

    described: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def fill(self, pid: int) -> None:
        """Leaves no room; `pid` is the process that writes there."""

    @abstractmethod
    def free(self, pid: int) -> None:
        """Gives the room back."""

    @abstractmethod
    def close(self) -> None:
        """Ends it."""


class Tmpfs(Disk):
    """A file system in memory; filled by a file that takes all that is left."""

    described = f"a tmpfs of {SIZE}"

    def fill(self, pid: int) -> None:
        """Leaves no room."""
        with (self.path / "ballast").open("ab", 0) as ballast:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def free(self, pid: int) -> None:
        """Gives the room back."""
        (self.path / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it; a process that still holds a file open does not hinder that."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


class FileLimit(Disk):
    """Where nothing may be mounted: the process may not make any file longer (RLIMIT_FSIZE); writes fail with EFBIG."""

    described = "NO TMPFS (mounting is not permitted): a limit on the length of files (RLIMIT_FSIZE) stands in"

    def fill(self, pid: int) -> None:
        """No file may grow beyond 4 KiB."""
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))

    def free(self, pid: int) -> None:
        """Files may grow again."""
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    def close(self) -> None:
        """Nothing to end."""


def small_disk(path: Path) -> Disk:
    """A tmpfs at a path where mounting is permitted, else the next best thing; `described` says which."""
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    return Tmpfs(path) if mounted else FileLimit(path)
