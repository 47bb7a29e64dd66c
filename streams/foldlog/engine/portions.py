"""How many records make one transaction: as many as came, or as many as memory has room for.

A batch is bounded by the number of its records, but what it holds in memory are rows: read, decoded, changed, packed,
snapshotted. Thirty thousand small records that change rows of 20 kB each would be gigabytes. So a batch whose rows
are that large becomes several transactions, each with the offsets that it reaches.
"""

from collections.abc import Iterator
from dataclasses import replace

from foldlog.engine.batch import Batch, sorted_out

HEAVIEST = 48 << 20  # bytes of the rows that one transaction changes
_LEAST = 20  # records
_FIRST = 1_000  # records, while nothing is known of the rows
_GROWTH = 8  # times what the last had: rows of another size may come


class Portions:
    """Learns from each portion how large the rows are that a record changes."""

    def __init__(self) -> None:
        self._most = _FIRST

    def of(self, batch: Batch) -> Iterator[Batch]:
        """A batch in portions, each measured when the one before has been taken."""
        messages, start = batch.messages, 0
        while len(messages) - start > self._most:
            portion = messages[start : start + self._most]
            start += len(portion)
            yield replace(batch, messages=portion, offsets=sorted_out(portion)[1])
        yield replace(batch, messages=messages[start:]) if start else batch

    def taken(self, records: int, size: int) -> None:
        """So many records changed rows of so many bytes; what rang without a record says nothing about records."""
        if not records:
            return
        room = HEAVIEST * records // size if size else HEAVIEST
        self._most = max(_LEAST, min(room, max(_FIRST, _GROWTH * records)))
