"""Reading Avro values: the lines that a decoder is made of, and the functions that they call.

Lines read a value from bytes `b` at `i` into `v` and move `i` past it. They do not look whether the bytes end:
a slice past the end is short and moves `i` past the end, an index past it raises, and the last line of a message
compares `i` with the length.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Context, Decimal, Inexact, Rounded
from functools import lru_cache
from struct import Struct
from typing import Any, NoReturn
from uuid import UUID

from foldlog.contracts.schema import EPOCH, EPOCH_DAY, UNKNOWN
from foldlog.contracts.shapes import Symbols
from foldlog.contracts.skipping import Malformed, blocks, size, zigzag
from foldlog.core.record import Scale

Lines = list[str]
Read = Callable[[bytes, int], tuple[Any, int]]

LONGEST_DECIMAL = 64  # bytes; more digits than any scale here
LOGICAL = frozenset({"decimal", "date", "uuid", "timestamp-millis", "timestamp-micros", "time-millis", "time-micros"})


class Unexpected(Exception):  # noqa: N818 — never leaves this package: the codec words it
    """A value of a type that the record does not have."""


class Options(dict[Any, Any]):
    """Values by their wire form; `names` says what a wire form is called."""

    def __init__(self, values: dict[Any, Any], names: dict[Any, str]) -> None:
        super().__init__(values)
        self._names = names

    def __missing__(self, key: Any) -> NoReturn:
        known = ", ".join(self._names[each] for each in self)
        raise Unexpected(f"{self._names.get(key, key)!r} is none of {known}")


# One and two bytes in line, more by a call.
INDEX: Lines = [
    "if (n := b[i]) > 127:",
    "    if (m := b[i + 1]) < 128:",
    "        n += (m << 7) - 128",
    "        i += 2",
    "    else:",
    "        n, i = N(b, i)",
    "        i += 1",
    "else:",
    "    i += 1",
]
SIZED: Lines = ["if (n := b[i]) & 129: n, i = Z(b, i)", "i += 1", "j = i + (n >> 1)"]
STRING: Lines = [*SIZED, "v = b[i:j].decode()", "i = j"]
_BYTES: Lines = [*SIZED, "v = b[i:j]", "i = j"]
_LONG: Lines = [*INDEX, "v = (n >> 1) ^ -(n & 1)"]
_DOUBLE: Lines = ["v, = D(b, i)", "i += 8"]
_FLOAT: Lines = ["v, = F(b, i)", "i += 4"]


def _time(function: str) -> Lines:
    # Eight bytes hold every microsecond from 1978 to 3111; the slice is what a function remembers times by.
    return [f'v, n = {function}(b[i:i + 8] if b[i + 7:i + 8] < b"\\x80" else b[i:i + 10])', "i += n"]


# (Python's type, Avro's type, logical type) → lines
RULES: dict[tuple[type, str, str | None], Lines] = {
    (str, "string", None): STRING,
    (str, "string", "uuid"): STRING,
    (UUID, "string", "uuid"): [*STRING, "v = Y(v)"],
    (bytes, "bytes", None): _BYTES,
    (int, "int", None): _LONG,
    (int, "long", None): _LONG,
    (float, "double", None): _DOUBLE,
    (float, "float", None): _FLOAT,
    (float, "int", None): [*_LONG, "v = float(v)"],
    (float, "long", None): [*_LONG, "v = float(v)"],
    (bool, "boolean", None): ["v = O[b[i]]", "i += 1"],
    (date, "int", "date"): [*_LONG, f"v = A(v + {EPOCH_DAY})"],
    (datetime, "long", "timestamp-micros"): _time("t"),
    (datetime, "long", "timestamp-millis"): _time("m"),
}


def logical(schema: Any) -> str | None:
    """The logical type of a plain schema; None where it has none, or one that Avro does not know."""
    found = schema.get("logicalType")
    return found if found in LOGICAL else None


def _moments(microseconds: int) -> Callable[[bytes], tuple[datetime, int]]:
    @lru_cache(4096)
    def moment(data: bytes) -> tuple[datetime, int]:
        number, last = zigzag(data, 0)
        number = (number >> 1) ^ -(number & 1)
        return EPOCH + timedelta(microseconds=number * microseconds), last + 1

    return moment


def decimal(scale: Scale) -> Callable[[bytes], Decimal]:
    """A function from big-endian two's complement to a decimal; it raises where there are too many digits."""
    multiply = Context(prec=scale.precision, traps=[Inexact, Rounded]).multiply
    unit, integer = Decimal(1).scaleb(-scale.scale), int.from_bytes

    def read(data: bytes) -> Decimal:
        if len(data) > LONGEST_DECIMAL:  # its digits would be counted, which takes the square of their number
            raise Malformed(f"a decimal has {len(data)} bytes")
        return multiply(integer(data, "big", signed=True), unit)

    return read


def words(known: tuple[str, ...]) -> Options:
    """The strings that a Literal allows."""
    same = {word: word for word in known}
    return Options(same, same)


def symbols(schema: Any, shape: Symbols) -> Options:
    """An enum's members by the writer's index (in zigzag); a symbol that it does not have is UNKNOWN."""
    members = shape.enum.__members__
    names = {2 * place: name for place, name in enumerate(schema["symbols"])}
    found = {index: members.get(name, members.get(UNKNOWN)) for index, name in names.items()}
    return Options({index: member for index, member in found.items() if member is not None}, names)


def items(kind: type, item: Read) -> Read:
    """A function that reads an array as a tuple or list."""

    def read(data: bytes, at: int) -> tuple[Any, int]:
        found: list[Any] = []

        def one(data: bytes, at: int) -> int:
            value, at = item(data, at)
            found.append(value)
            return at

        end = blocks(data, at, one)
        return (found if kind is list else tuple(found)), end

    return read


def mapped(item: Read) -> Read:
    """A function that reads a map as a dict."""

    def read(data: bytes, at: int) -> tuple[Any, int]:
        found: dict[str, Any] = {}

        def one(data: bytes, at: int) -> int:
            number, last = size(data, at)
            end = last + 1 + (number >> 1)
            found[data[last + 1 : end].decode()], at = item(data, end)
            return at

        end = blocks(data, at, one)
        return found, end

    return read


def _trailing(data: bytes, at: int) -> NoReturn:
    if at < len(data):
        raise Malformed(f"{len(data) - at} bytes are left after the record")
    raise Malformed("the record ends too early")


def _branch(number: int) -> NoReturn:
    raise Malformed(f"the union has no branch {number >> 1}")


def _unexpected(reason: str) -> NoReturn:
    raise Unexpected(reason)


# What the lines call, by the one letter that they call it.
SCOPE: dict[str, Any] = {
    "N": zigzag,
    "Z": size,
    "D": Struct("<d").unpack_from,
    "F": Struct("<f").unpack_from,
    "A": date.fromordinal,
    "Y": UUID,
    "O": (False, True),
    "B": _branch,
    "T": _trailing,
    "U": _unexpected,
    "t": _moments(1),
    "m": _moments(1000),
}
