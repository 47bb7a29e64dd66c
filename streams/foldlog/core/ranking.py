"""Figures of a row that do not depend on the order of its events: the best few, and how many different ones."""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import astuple

from foldlog.core.record import Record

R = TypeVar("R", bound=Record)

EXACT = 256  # fewer different values than these are counted exactly
_HASHES = 1 << 63


def top(count: int, best: Sequence[R], *entries: R, by: Callable[[R], Any]) -> tuple[R, ...]:
    """The best `count` of what was best so far and of further entries, the best first; equal entries count once.

    Of two that are `by` the same, the one whose fields sort first is the better: so the order of arrival is no matter.
    """
    known = sorted({*best, *entries}, key=astuple)
    return tuple(sorted(known, key=by, reverse=True)[:count])


class Distinct(Record):
    """How many different values were seen: `count` is exact below 256, from there on estimated to about 6 %.

    The 256 smallest of the values' 63-bit hashes are kept; how densely they lie tells how many there are (k minimum
    values, Bar-Yossef et al. 2002). Rows of sessions are merged by `a | b`.
    """

    count: int = 0
    hashes: tuple[int, ...] = ()

    def add(self, value: str) -> "Distinct":
        """With one more value, which may have been seen before."""
        found = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "big") >> 1
        at = bisect_left(self.hashes, found)
        if self.hashes[at : at + 1] == (found,) or at == EXACT:
            return self
        return _distinct((*self.hashes[:at], found, *self.hashes[at:]))

    def __or__(self, other: "Distinct") -> "Distinct":
        """The values of both."""
        return _distinct(tuple(sorted({*self.hashes, *other.hashes})))


def _distinct(hashes: tuple[int, ...]) -> Distinct:
    kept = hashes[:EXACT]
    return Distinct(len(kept) if len(kept) < EXACT else round((EXACT - 1) * _HASHES / kept[-1]), kept)
