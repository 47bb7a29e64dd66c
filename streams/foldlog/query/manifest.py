"""What a directory of exported rows holds: `manifest.json`, which is written last and as a whole."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from foldlog.core.errors import ConfigError

NAME = "manifest.json"
_FORMAT = 1


class File(msgspec.Struct, frozen=True):
    """One Parquet file: how many rows it has, and how many of them say that a row was deleted."""

    name: Annotated[str, msgspec.Meta(pattern=r"^rows-[0-9]{6,12}\.parquet$")]
    rows: int
    deleted: int = 0

    @property
    def number(self) -> int:
        """How many files came before it, and itself."""
        return int(self.name.removeprefix("rows-").removesuffix(".parquet"))


class Manifest(msgspec.Struct, frozen=True):
    """An export: its files, the oldest first, are the view up to `offsets`, the next of each partition of `topic`.

    A row of a later file takes the place of those with its key before it. The three names of columns are not those of
    any field; `columns` are all columns with their Arrow types.
    """

    view: str
    topic: str
    topic_id: str
    time: datetime
    key: str
    offset: str
    deleted: str
    columns: dict[str, str]
    offsets: dict[int, int] = {}
    files: tuple[File, ...] = ()
    format: int = _FORMAT


@contextmanager
def opened(directory: Path, view: str) -> Iterator[Manifest | None]:
    """The manifest of a directory that is ours alone meanwhile; None where it is new or empty.

    Raises ConfigError where it holds anything else, another view, or is in use by another export.
    """
    with _failing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another export writes to {directory}; wait until it has ended") from error
        yield _read(directory, view)
    finally:
        os.close(handle)


def write(directory: Path, manifest: Manifest) -> None:
    """Makes a manifest the directory's, at once; ConfigError where it cannot be written."""
    place(directory, NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def place(directory: Path, name: str, content: bytes | Path) -> None:
    """Puts a file into the directory, whole and on disk: a reader sees all of it, or what was there before."""
    with _failing(directory):
        part = content if isinstance(content, Path) else directory / f".{name}.part"
        if isinstance(content, bytes):
            part.write_bytes(content)
        _sync(part)
        part.replace(directory / name)
        _sync(directory)


def tidy(directory: Path, manifest: Manifest) -> None:
    """Removes what an earlier export has left behind or replaced."""
    names = {NAME, *(file.name for file in manifest.files)}
    with _failing(directory):
        for file in directory.iterdir():
            if file.name not in names and (file.name.startswith("rows-") or file.name.endswith(".part")):
                file.unlink()


def _read(directory: Path, view: str) -> Manifest | None:
    with _failing(directory):
        found = {file.name for file in directory.iterdir()}
    if found <= {f".{NAME}.part"}:
        return None
    if NAME not in found:
        raise ConfigError(f"{directory} has files, but no {NAME} of an export; choose an empty directory")
    with _failing(directory):
        text = (directory / NAME).read_bytes()
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{directory / NAME} is no manifest of an export: {error}") from error
    if manifest.format != _FORMAT:
        raise ConfigError(f"{directory / NAME} has format {manifest.format}; this foldlog writes format {_FORMAT}")
    if manifest.view != view:
        raise ConfigError(f"{directory} holds the export of {manifest.view}, not of {view}")
    return manifest


@contextmanager
def _failing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename or directory} cannot be used: {error.strerror}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
