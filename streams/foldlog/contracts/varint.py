"""Avro's variable-length integers, written: zigzag, base 128, the low bits first.

https://avro.apache.org/docs/1.12.0/specification/#primitive-types-1
"""

_PAIR = 1 << 14  # two groups of seven bits

# Every number of up to two groups as it ends a varint, and every pair of groups that others follow.
_LAST = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(_PAIR))
_MORE = tuple(bytes((n & 127 | 128, n >> 7 | 128)) for n in range(_PAIR))

# The integers from 0 on that are at most two bytes long, by themselves.
SMALL = _LAST[::2]


def varint(number: int) -> bytes:
    """An integer of any size."""
    number = number * 2 if number >= 0 else ~number * 2 + 1
    if number < _PAIR:
        return _LAST[number]
    if number < 1 << 28:
        return _MORE[number & 16383] + _LAST[number >> 14]
    parts = []
    while number >= _PAIR:
        parts.append(_MORE[number & 16383])
        number >>= 14
    parts.append(_LAST[number])
    return b"".join(parts)


def text(value: str) -> bytes:
    """A string: the length of its UTF-8 in bytes, then the bytes."""
    return sized(value.encode())


def sized(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return varint(len(data)) + data
