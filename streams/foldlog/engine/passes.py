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

_ABSENT = b"absent"  # known by its identity


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


def _renew(rows: Packed, keys: Iterable[bytes], first: Packed, then: Packed, room: int) -> int:
    """Takes rows anew, of some keys that are there, and drops those that are in neither place or have no room; gives
    how many bytes are left of it."""
    for key in keys:
        if key not in rows:
            continue
        row = first[key] if key in first else then.get(key, _ABSENT)
        size = 0 if row is None else len(row)
        if row is _ABSENT or size > room:
            del rows[key]
        else:
            rows[key] = row
            room -= size
    return room


def _count_new(changed: dict[bytes, Any], cached: dict[bytes, Any], fetched: Packed) -> int:
    """How many changed rows were not there before: neither cached nor fetched."""
    return sum(key not in cached and fetched.get(key) is None for key in changed)


pack_all: Callable[[dict[bytes, Any], Callable[[Any], bytes]], tuple[Packed, int]]
find_all: Callable[[Iterable[bytes], Packed, Packed], tuple[Packed, list[bytes]]]
renew: Callable[[Packed, Iterable[bytes], Packed, Packed, int], int]
count_new: Callable[[dict[bytes, Any], dict[bytes, Any], Packed], int]
if AVAILABLE:
    pack_all, find_all, renew, count_new = (
        compiled.pack_all,
        compiled.find_all,
        compiled.renew,
        compiled.count_new,
    )
else:
    pack_all, find_all, renew, count_new = _pack_all, _find_all, _renew, _count_new
