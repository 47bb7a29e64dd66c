"""The latest command ids of an aggregate, kept as the bytes of an Avro array's items (foldlog.Handled).

Nearly every command is new: to find that out, and to add it, must cost next to nothing. So the items are neither
parsed nor counted one by one; only an id that seems to be there is looked up item by item. An id stands here with its
length before it, as Avro writes it. A UUID, which most ids are, is kept in 21 characters of 32 or 36: an aggregate
with its ids is read, copied, written and snapshotted for its commands, and the ids are most of it.

They stay where they were read, at the end of a row, until it is packed again; what is added meanwhile is kept beside.
"""

import base64

from foldlog.contracts.skipping import zigzag
from foldlog.contracts.varint import text, varint

REMEMBERED = 64  # command ids kept with an aggregate; a repetition further back is a new command
MOST = REMEMBERED + 16  # that many are kept before the oldest are cut off, all above `REMEMBERED` at once

MOST_ADDED = 512  # bytes that are kept beside: each addition copies them
MOST_BEFORE = 512  # bytes of a row before its ids that are kept for their sake

# How many; bytes that end with items, the oldest first, and a zero; where those begin; the items that were added.
Remembered = tuple[int, bytes, int, bytes]

NOTHING: Remembered = (0, b"\0", 0, b"")

FORM = 2  # of the ids; an aggregate whose ids another release kept is folded again

_DIGITS, _HYPHENS, _TEXT = "#~="  # what an id begins with that is not kept as it is
_PARTS = (8, 13, 18, 23)  # where a UUID has hyphens
_HEXADECIMAL = frozenset("0123456789abcdef")


def item_of(id_: str) -> bytes:
    """An id as it stands among the items, without a version; no two ids are the same there.

    A UUID is `#` (32 digits) or `~` (with hyphens) and its 16 bytes in base 85, of which RFC 1924 has the digits;
    another id that begins with one of these has `=` before it.
    """
    digits = id_.replace("-", "") if len(id_) == 36 and all(id_[at] == "-" for at in _PARTS) else id_
    if len(digits) == 32 and set(digits) <= _HEXADECIMAL:
        return text((_DIGITS if digits is id_ else _HYPHENS) + base64.b85encode(bytes.fromhex(digits)).decode())
    return text(_TEXT + id_ if id_.startswith((_DIGITS, _HYPHENS, _TEXT)) else id_)


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
