"""The latest command ids of an aggregate, kept as the bytes of an Avro array's items (foldlog.Handled).

Nearly every command is new: to find that out, and to add it, must cost next to nothing. So the items are neither
parsed nor counted one by one; only an id that seems to be there is looked up item by item. An aggregate with its ids is
read, copied, written and snapshotted for its commands, and the ids are most of it: so each is kept as a digest of 64
bits, in 10 characters. That a new id among 64 others is taken for one of them happens once in 10^17 commands.

They stay where they were read, at the end of a row, until it is packed again; what is added meanwhile is kept beside.
"""

import base64

from foldlog.contracts.skipping import zigzag
from foldlog.contracts.varint import text, varint

REMEMBERED = 64  # command ids kept with an aggregate; a repetition further back is a new command
MOST = REMEMBERED + 16  # that many are kept before the oldest are cut off, all above `REMEMBERED` at once

MOST_ADDED = 256  # bytes that are kept beside: each addition copies them
MOST_BEFORE = 512  # bytes of a row before its ids that are kept for their sake

# How many; bytes that end with items, the oldest first, and a zero; where those begin; the items that were added.
Remembered = tuple[int, bytes, int, bytes]

NOTHING: Remembered = (0, b"\0", 0, b"")

FORM = 3  # of the ids; an aggregate whose ids another release kept is folded again

_WORD = 8  # bytes
_ALL = (1 << 64) - 1


def item_of(id_: str) -> bytes:
    """An id as it stands among the items, without a version: its digest in the base 85 of RFC 1924."""
    return text(base64.b85encode(_digest(id_.encode()).to_bytes(_WORD, "big")).decode())


def _digest(data: bytes) -> int:
    """64 bits of some bytes: each word of eight, the last with zeros after it, is added to the length and mixed.

    Ids of one length that differ in a single word never have the same. It is no secret: who chooses a command's id can
    choose one that is taken, with or without it.
    """
    found = len(data)
    for at in range(0, len(data), _WORD):
        found = _mixed(found ^ int.from_bytes(data[at : at + _WORD], "little"))
    return found


def _mixed(number: int) -> int:
    """The next number of SplitMix64 (Steele, Lea and Flood, 2014)."""
    number = number + 0x9E3779B97F4A7C15 & _ALL
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _ALL
    return number ^ number >> 31


def ids_in(row: bytes, count: int, start: int) -> Remembered:
    """The ids at the end of a row; they stay there, unless more memory would be kept with them than is worth it."""
    if not count:
        return NOTHING
    return (count, row, start, b"") if start <= MOST_BEFORE else (count, row[start:], 0, b"")


def items_of(known: Remembered) -> bytes:
    """All items."""
    _, kept, start, added = known
    return kept[start:-1] + added


def version_of(id_: bytes, known: Remembered) -> int | None:
    """The last version that a command of this id wrote; None where it is not known."""
    count, kept, _, added = known
    if id_ not in kept and id_ not in added:
        return None
    items, at, found = items_of(known), 0, None
    for place in range(count):  # what looked like the id may have been the end of another
        end, version = _item(items, at)
        if place >= count - REMEMBERED and items.startswith(id_, at):
            found = version
        at = end
    return found


def remember(id_: bytes, version: int, known: Remembered) -> Remembered:
    """Adds a new command with the last version that it wrote; forgets the oldest where there are too many."""
    count, kept, start, added = known
    added += id_ + varint(version)
    if count < MOST and len(added) <= MOST_ADDED:
        return count + 1, kept, start, added
    items, at = items_of((count, kept, start, added)), 0
    if count < MOST:
        return _whole(count + 1, items)
    for _ in range(count + 1 - REMEMBERED):
        at, _version = _item(items, at)
    return _whole(REMEMBERED, items[at:])


def remember_event(id_: bytes, version: int, known: Remembered) -> Remembered:
    """As `remember`, where a log is replayed: a command of several events is met with each of them."""
    before = version_of(id_, known)
    if before is None or before != version - 1:
        return remember(id_, version, known)
    own = id_ + varint(before)  # the last item, since nobody else wrote in between
    return _whole(known[0], items_of(known).removesuffix(own) + id_ + varint(version))


def _whole(count: int, items: bytes) -> Remembered:
    return count, items + b"\0", 0, b""


def _item(items: bytes, at: int) -> tuple[int, int]:
    """The end of the item at a place, and its version."""
    size, last = zigzag(items, at)
    number, last = zigzag(items, last + 1 + (size >> 1))
    return last + 1, number >> 1
