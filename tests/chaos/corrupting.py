"""Damage to the files of a store, of the kinds that disks and crashes do."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

DAMAGED = 5  # files


def corrupt(directory: Path, random: Random) -> list[str]:
    """Damages some files below a directory; the names of those whose bytes are others now."""
    files = sorted(
        path for path in directory.rglob("*") if path.is_file() and path.stat().st_size and path.name != "LOCK"
    )
    data = [path for path in files if path.name != "LOG" and not path.name.startswith("OPTIONS")]
    return list(_damaged(random.sample(data, min(DAMAGED, len(data))), random))


def _damaged(paths: list[Path], random: Random) -> Iterator[str]:
    for path in paths:
        size = path.stat().st_size
        with path.open("r+b") as file:
            match random.choice(("flip", "cut", "zero")):
                case "flip":
                    _overwrite(file, random.randrange(size), lambda found: bytes(byte ^ 0x5A for byte in found))
                case "cut":
                    file.truncate(size // 2)
                case _:
                    _overwrite(file, 0, lambda found: b"\xff" * len(found))
        yield path.name


def _overwrite(file, at, change) -> None:  # type: ignore[no-untyped-def]
    file.seek(at)
    found = file.read(64)
    file.seek(at)
    file.write(change(found))
