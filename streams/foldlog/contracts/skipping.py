"""Reading past Avro values: variable-length integers, and fields of a writer that the reader does not have."""

from collections.abc import Callable
from typing import Any

Skip = Callable[[bytes, int], int]
Named = dict[str, Any]

_FIXED = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class Malformed(Exception):  # noqa: N818 — never leaves this package: the codec words it
    """Bytes that no writer of the schema makes."""


def zigzag(data: bytes, at: int) -> tuple[int, int]:
    """The integer that starts at a place, still in zigzag, and the place of its *last* byte."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >= 1 << 64:
                raise Malformed("an integer is longer than 64 bits")
            return number, at
        at += 1
        shift += 7
        if shift > 63:
            raise Malformed("an integer is longer than 64 bits")


def size(data: bytes, at: int) -> tuple[int, int]:
    """As `zigzag`, for a length, which is not negative."""
    number, last = zigzag(data, at)
    if number & 1:
        raise Malformed("a length is negative")
    return number, last


def blocks(data: bytes, at: int, item: Skip) -> int:
    """Run `item` over the items of an array or map; returns the place after its end.

    No more items are believed than there are bytes: a corrupt count ends here, not in an endless loop.
    """
    total = 0
    while True:
        number, last = zigzag(data, at)
        at = last + 1
        if number == 0:
            return at
        if number & 1:
            at = zigzag(data, at)[1] + 1
        count = (number + 1) >> 1
        total += count
        if total > len(data):
            raise Malformed("a sequence claims more items than there are bytes")
        for _ in range(count):
            at = item(data, at)


def plain(writer: Any, named: Named) -> Any:
    """A schema without its spellings: a list for a union, else a dict whose `type` is no reference."""
    while not isinstance(writer, list):
        if isinstance(writer, str):
            if writer not in named:
                return {"type": writer}
            writer = named[writer]
        elif isinstance(writer["type"], str) and writer["type"] not in named:
            return writer
        else:
            writer = writer["type"]
    return writer


def skipper(writer: Any, named: Named) -> Skip:
    """A function that gives the place after a value of a schema (parsed: full names)."""
    return _skipper(writer, named, {})


def _skipper(writer: Any, named: Named, known: dict[str, Skip]) -> Skip:  # noqa: PLR0911 — one return a type
    schema = plain(writer, named)
    if isinstance(schema, list):
        return _union([_skipper(branch, named, known) for branch in schema])
    match schema["type"]:
        case "record":
            return _record(schema, named, known)
        case "int" | "long" | "enum":
            return lambda data, at: zigzag(data, at)[1] + 1
        case "string" | "bytes":
            return _sized
        case "array":
            item = _skipper(schema["items"], named, known)
            return lambda data, at: blocks(data, at, item)
        case "map":
            value = _skipper(schema["values"], named, known)
            return lambda data, at: blocks(data, at, lambda inner, place: value(inner, _sized(inner, place)))
        case kind:
            width = int(schema["size"]) if kind == "fixed" else _FIXED[kind]
            return lambda data, at: at + width


def _sized(data: bytes, at: int) -> int:
    number, last = size(data, at)
    return last + 1 + (number >> 1)


def _union(branches: list[Skip]) -> Skip:
    def skip(data: bytes, at: int) -> int:
        number, last = size(data, at)
        return branches[number >> 1](data, last + 1)

    return skip


def _record(schema: Any, named: Named, known: dict[str, Skip]) -> Skip:
    name = schema["name"]
    if name in known:
        return known[name]
    fields: list[Skip] = []

    def skip(data: bytes, at: int) -> int:
        for field in fields:
            at = field(data, at)
        return at

    known[name] = skip
    fields += [_skipper(field["type"], named, known) for field in schema["fields"]]
    return skip
