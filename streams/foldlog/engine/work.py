"""One batch in progress: what its transaction will write."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import DecodeError, EncodeError, FoldlogError
from foldlog.core.meta import Meta
from foldlog.core.outcome import TOO_LARGE, DeadLetter, Header, Reply
from foldlog.core.record import replace
from foldlog.core.topics import MAX_MESSAGE_BYTES
from foldlog.engine.batch import Output, Received, Run

if TYPE_CHECKING:
    from foldlog.engine.parking import Parking

log = structlog.get_logger()

# What the broker counts beside key, value and headers: the batch's own fields and those of each record.
_OVERHEAD = 256
LARGEST = MAX_MESSAGE_BYTES - _OVERHEAD  # bytes of a key and a value without headers
LONGEST_KEY = b"\0" * 1024  # room that a row leaves for its key
LONGEST_ID = 200  # characters of a command id
FORWARDED = "forwarded-from"  # the place at which a command was first, which stays its id
TIMER = "timer"  # which timer of a saga has gone off
OWN_HEADERS = frozenset({"command-id", "correlation-id", "actor", "reply-to", FORWARDED, TIMER})
_LONGEST_REASON = 2000  # characters
_LARGEST_LETTER = int(topics.DEAD_LETTERS["max.message.bytes"]) - 4096

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999: what a datetime can say

# What a domain's function may raise for its record's sake; everything else is the engine's own.
FAULTS = (Exception, asyncio.CancelledError, SystemExit, GeneratorExit)


def fitting(output: Output) -> Output:
    """The output, if its topic takes a record of its size; EncodeError otherwise.

    A record that the broker refuses would abort its transaction, be read again and be refused again, for ever.
    """
    size = len(output.key or b"") + len(output.value or b"") + _OVERHEAD
    for name, value in output.headers or ():
        size += len(name) + len(value or b"") + 8
    if size > MAX_MESSAGE_BYTES:
        raise EncodeError(
            f"a record of {size} bytes is too large for {output.topic} ({MAX_MESSAGE_BYTES})", "oversized"
        )
    return output


def key_of(name: str) -> bytes:
    """The name of a row or a saga as its key; EncodeError where it is longer than the room that a row leaves."""
    key = name.encode()
    if len(key) > len(LONGEST_KEY):
        raise EncodeError(f"`{name[:40]}…` has {len(key)} bytes; a key may have {len(LONGEST_KEY)}", "oversized")
    return key


def text_of(error: BaseException) -> str:
    """An error as a line that any consumer can read."""
    name = type(error).__name__
    try:
        text = str(error) if isinstance(error, FoldlogError) else f"{name}: {error}"
    except Exception:  # a domain's own exception may do anything
        text = name
    return _cut(text)


def _cut(text: str) -> str:
    return text[:_LONGEST_REASON].encode("utf-8", "replace").decode()


def headers_in(message: Received) -> list[tuple[str, bytes | None]]:
    """Every header; DecodeError where a name is not UTF-8, which the client reports as SystemError."""
    try:
        return list(message.headers() or ())
    except (SystemError, UnicodeDecodeError) as error:
        raise DecodeError("the name of a header is not UTF-8") from error


Events = list[tuple[bytes, bytes | None]]


class Work:
    """The outputs of a batch, collected until all of it is decided."""

    def __init__(
        self, context: str, processor: str, codec: Codec, log: str = "", parking: "Parking | None" = None
    ) -> None:
        self.outputs: list[Output] = []
        self.events: dict[int, Events] = {}  # by partition, keys and values for the kind's log
        self.replies: list[tuple[int, Reply]] = []  # with the partition of the command
        self.effects: list[Any] = []  # what a reactor does once every record of the batch is read
        self.rang: set[int] = set()  # partitions for which something is written though none of their records is
        self.letters = 0
        self.late: list[str] = []  # the places of events that came too late for a window
        self.codec = codec
        self.parking = parking  # None for a kind that parks nothing
        self.home: bytes | None = None  # the key of the record that is being handled, once it is known to be at home
        self._context = context
        self._processor = processor
        self._log = log

    def runs(self) -> Iterator[Run]:
        """The events, as they are written."""
        return (Run(self._log, partition, events) for partition, events in self.events.items() if events)

    def add(self, partition: int, events: Events) -> None:
        """Adds a command's events."""
        known = self.events.get(partition)
        if known is None:
            self.events[partition] = events
        else:
            known += events

    def waits(self, key: bytes, message: Received) -> bool:
        """True where the key of a record that is at home is parked: the record then waits behind the others."""
        self.home = key
        return self.parking is not None and self.parking.some and self.parking.takes(key, message, self)

    def mark(self) -> tuple[int, int, int, dict[int, int]]:
        """How far the work is, for `undo`."""
        events = {partition: len(events) for partition, events in self.events.items()}
        return len(self.outputs), len(self.replies), self.letters, events

    def undo(self, mark: tuple[int, int, int, dict[int, int]]) -> None:
        """Takes back what was added since a mark."""
        outputs, replies, self.letters, before = mark
        del self.outputs[outputs:], self.replies[replies:]
        for partition, events in self.events.items():
            del events[before.get(partition, 0) :]

    def dead_letter(self, message: Received, cause: str, reason: str) -> None:
        """Puts a record aside, whole, with its cause and place."""
        place = place_of(message)
        log.warning("dead letter", processor=self._processor, place=place, cause=cause, reason=_cut(reason))
        letter = self._letter(message, cause, _cut(reason))
        value = self.codec.encode(letter)
        if len(value) > _LARGEST_LETTER:  # the broker counts compressed bytes, so a source may hold more
            bare = replace(letter, key=None, value=None, headers=(), reason=_cut(f"{TOO_LARGE}: {reason}"))
            value = self.codec.encode(bare)
        self.outputs.append(Output(topics.dead_letters(self._context), 0, place.encode(), value))
        self.letters += 1

    def _letter(self, message: Received, cause: str, reason: str) -> DeadLetter:
        try:
            headers = tuple(Header(name, value) for name, value in headers_in(message))
        except DecodeError:
            headers = ()
        now = datetime.fromtimestamp(int(time.time() * 1000) / 1000, UTC)
        place = message.topic(), message.partition(), message.offset()
        return DeadLetter(*place, self._processor, cause, reason, now, message.key(), message.value(), headers)


def place_of(message: Received) -> str:
    """`topic:partition:offset` of a record."""
    return f"{message.topic()}:{message.partition()}:{message.offset()}"


def time_of(message: Received) -> datetime:
    """A record's timestamp, in UTC, to the millisecond."""
    return datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)


_NO_HEADERS: Mapping[str, str] = {}


def headers_of(message: Received) -> Mapping[str, str]:
    """The headers that are the engine's own, as text; others may hold anything.

    Raises DecodeError where one is not UTF-8: a command whose id cannot be read could not be known again.
    """
    name = ""
    try:
        headers = message.headers()
        if headers is None:
            return _NO_HEADERS
        found: dict[str, str] = {}
        for name, value in headers:
            if name in OWN_HEADERS:
                found[name] = value.decode() if value is not None else ""
    except SystemError as error:
        raise DecodeError("the name of a header is not UTF-8") from error
    except UnicodeDecodeError as error:
        raise DecodeError(f"header {name} is not UTF-8") from error
    return found


def meta_of_command(message: Received, aggregate_id: str, version: int, headers: Mapping[str, str], id_: str) -> Meta:
    """What a handler of commands may know beside the command."""
    return Meta(
        event_id="",
        aggregate_id=aggregate_id,
        version=version,
        time=time_of(message),
        causation=id_,
        correlation=headers.get("correlation-id") or id_,
        actor=headers.get("actor"),
        position=place_of(message),
    )
