"""The engine's envelopes as bytes, made from parts that are bytes already.

An event's Meta is written for every command, and most of it (the key, the id in a header) is at hand as bytes: to make
a record of it first would cost more than all the rest. Each function gives what the codec makes of the same record.
"""

from functools import lru_cache

from foldlog.contracts.skipping import zigzag
from foldlog.contracts.varint import SMALL, sized, text, varint

_NONE = b"\0"
_SOME = b"\2"
_INLINE = len(SMALL)

# The commands of one batch share few milliseconds.
_time = lru_cache(4096)(lambda milliseconds: varint(milliseconds * 1000))


def origin(milliseconds: int, cause: bytes, correlation: str | None, actor: str | None) -> bytes:
    """What the Metas of a command's events share: the fields from `time` on.

    `cause` is the command's id with its length; an absent or empty correlation is the same.
    """
    if not correlation and actor is None:
        return b"".join((_time(milliseconds), cause, cause, b"\0\0"))
    same = text(correlation) if correlation else cause
    by = _NONE if actor is None else _SOME + text(actor)
    return b"".join((_time(milliseconds), cause, same, by, _NONE))


def meta(prefix: bytes, aggregate: bytes, version: int, origin: bytes) -> tuple[bytes, bytes]:
    """The key of an event, `aggregate@version`, and its Meta, whose event id is `prefix` and that key."""
    key = b"%b@%d" % (aggregate, version)
    size, own = len(prefix) + len(key), len(aggregate)
    if size >= _INLINE:
        return key, b"".join((sized(prefix + key), sized(aggregate), varint(version), origin))
    return key, b"".join((SMALL[size], prefix, key, SMALL[own], aggregate, varint(version), origin))


def snapshot(version: int, count: int, handled: bytes) -> bytes:
    """A Snapshot: the aggregate's version and the `count` items of its array `handled`."""
    return b"".join((varint(version), varint(count), handled, b"\0")) if count else varint(version) + b"\0"


def read_snapshot(data: bytes, at: int) -> tuple[int, int, int]:
    """Version, count and the first item's place of the Snapshot that begins at a place, as `snapshot` wrote it.

    It ends the bytes, so that the items end one byte before where there are any.
    """
    version, at = zigzag(data, at)
    count, at = zigzag(data, at + 1)
    return version >> 1, count >> 1, at + 1
