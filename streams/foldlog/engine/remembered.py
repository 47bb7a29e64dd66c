"""The latest command ids of an aggregate, kept as the bytes of an Avro array's items (foldlog.Handled).

Nearly every command is new: to find that out, and to add it, must not cost more than a look through a few kilobytes.
So they are neither parsed nor counted one by one; an id that seems to be there is looked up item by item.
"""

from foldlog.contracts.skipping import zigzag
from foldlog.contracts.varint import sized, varint

REMEMBERED = 64  # command ids kept with an aggregate; a repetition further back is a new command

Remembered = tuple[int, bytes]  # how many, and their items, the oldest first

NOTHING: Remembered = (0, b"")


def version_of(id_: bytes, handled: bytes) -> int | None:
    """The last version that a command of this id wrote; None where it is not known."""
    wanted = sized(id_)
    if wanted not in handled:
        return None
    at, found = 0, None
    while at < len(handled):  # what looked like the id may have been the end of another
        end, version = _item(handled, at)
        if handled.startswith(wanted, at):
            found = version
        at = end
    return found


def remember(id_: bytes, version: int, count: int, handled: bytes) -> Remembered:
    """Adds a new command with the last version that it wrote; forgets the oldest where there are too many."""
    handled += sized(id_) + varint(version)
    if count < REMEMBERED:
        return count + 1, handled
    return count, handled[_item(handled, 0)[0] :]


def remember_event(id_: bytes, version: int, count: int, handled: bytes) -> Remembered:
    """As `remember`, where a log is replayed: a command of several events is met with each of them."""
    known = version_of(id_, handled)
    if known is None or known != version - 1:
        return remember(id_, version, count, handled)
    own = sized(id_) + varint(known)  # the last item, since nobody else wrote in between
    return count, handled.removesuffix(own) + sized(id_) + varint(version)


def _item(handled: bytes, at: int) -> tuple[int, int]:
    """The end of the item at a place, and its version."""
    size, last = zigzag(handled, at)
    number, last = zigzag(handled, last + 1 + (size >> 1))
    return last + 1, number >> 1
