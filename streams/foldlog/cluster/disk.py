"""Files the cluster shares between processes: locks, whole-file writes, and room to write."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldlog.cluster.model import Progress
from foldlog.core.errors import ClusterError

NEEDED = 1 << 30  # bytes: software 210 MB, Kafka's preallocated indexes, and some data
PATIENCE = 300.0  # seconds to wait for another process that holds a lock


@contextmanager
def locked(path: Path, holder: str, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock between processes; the kernel drops it when the holder dies.

    Raises ClusterError if `holder`, the words for who else may hold it, keeps it for `PATIENCE` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + PATIENCE
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                raise ClusterError(f"{holder} has held {path} for {PATIENCE:.0f} s: stop it, then try again")
            progress(f"waiting for {holder}", 0, 0)
            time.sleep(0.1)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an error of the file system into a ClusterError: `what` and the system's own words."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise ClusterError(f"{what}: {error.strerror or error}{place}") from error


def ensure_space(directory: Path, needed: int = NEEDED) -> None:
    """ClusterError if fewer than `needed` bytes are free where `directory` is."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise ClusterError(
            f"{directory} has {free >> 20} MB free and the cluster needs {needed >> 20} MB: make room there first"
        )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def size_mb(directory: Path) -> float:
    """What the files below `directory` take on the disk, in MB (Kafka's indexes are sparse files)."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:  # Kafka deletes segments while we look
            continue
    return round(total / 1e6, 1)
