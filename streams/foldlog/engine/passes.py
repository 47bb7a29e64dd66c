"""Passes over many rows at once, compiled where that could be done: of a busy batch each changes a row of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

try:
    from foldlog.engine import compiled
except ImportError:  # there was no compiler where foldlog was installed
    AVAILABLE = False
else:
    AVAILABLE = True

Packed = dict[bytes, bytes | None]


def weight(rows: Mapping[bytes, bytes | None]) -> int:
    """Bytes of rows."""
    return sum(map(len, filter(None, rows.values())))


def _pack_all(rows: dict[bytes, Any], pack: Callable[[Any], bytes]) -> tuple[Packed, int]:
    """Rows as bytes, and how many bytes; those that are deleted stay None. What `pack` raises goes through."""
    found = {key: None if row is None else pack(row) for key, row in rows.items()}
    return found, weight(found)


def _find_all(keys: Iterable[bytes], first: Packed, then: Packed) -> tuple[Packed, list[bytes]]:
    """The rows that are in one or the other, and the keys of those in neither."""
    found: Packed = {}
    missing = []
    for key in keys:
        if key in first:
            found[key] = first[key]
        elif key in then:
            found[key] = then[key]
        else:
            missing.append(key)
    return found, missing


def _count_new(changed: dict[bytes, Any], cached: dict[bytes, Any], fetched: Packed) -> int:
    """How many changed rows were not there before: neither cached nor fetched."""
    return sum(key not in cached and fetched.get(key) is None for key in changed)


pack_all: Callable[[dict[bytes, Any], Callable[[Any], bytes]], tuple[Packed, int]]
find_all: Callable[[Iterable[bytes], Packed, Packed], tuple[Packed, list[bytes]]]
count_new: Callable[[dict[bytes, Any], dict[bytes, Any], Packed], int]
pack_all, find_all, count_new = (
    (compiled.pack_all, compiled.find_all, compiled.count_new) if AVAILABLE else (_pack_all, _find_all, _count_new)
)
