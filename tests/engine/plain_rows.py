"""Rows that are plain texts, over a store in a directory that goes with the test."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldlog.core.errors import EncodeError
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store

UNPACKABLE = "!"


def pack(row: str) -> bytes:
    if row == UNPACKABLE:
        raise EncodeError("this row cannot be made bytes")
    return b"packed:" + row.encode()


def unpack(packed: bytes) -> str:
    return packed.removeprefix(b"packed:").decode()


@contextmanager
def fresh(memory: int) -> Iterator[Rows[str]]:
    """Rows over a store in a directory that goes with the test."""
    with tempfile.TemporaryDirectory() as directory:
        rows = Rows(Store(Path(directory) / "0", "log"), pack, unpack, memory)
        try:
            yield rows
        finally:
            rows.store.close()


def look_at(rows: Rows[str], key: bytes, *, together: bool) -> None:
    """What the engine does before it changes a row; the short way asks for it only where it was not fetched."""
    if together:
        rows.fetch([key])
    if key not in rows.fetched:
        rows.get(key)
