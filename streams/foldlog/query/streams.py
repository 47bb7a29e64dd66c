"""Live changes of a view as server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import TopicPartition
from sse_starlette import EventSourceResponse, ServerSentEvent

from foldlog.core.errors import QueryError
from foldlog.core.record import Record
from foldlog.core.view import View
from foldlog.kafka.reading import available, is_record, open_consumer
from foldlog.query.arrow import arrow_batch
from foldlog.query.changes import Change
from foldlog.query.formats import plain
from foldlog.query.service import Service
from foldlog.web.listening import LAST_ANSWERS

MOST_LISTENERS = 256
PING_S = 15
_FAREWELL_S = LAST_ANSWERS - 2  # how long an answer may take to end with its service: before the server cuts it
_LOOK = 0.25  # s

Reached = dict[int, int]
"""The next offset of each partition of one topic."""


def stream(service: Service, view: View[Any, Any], key: str | None, last: str) -> EventSourceResponse:
    """An endless answer; QueryError 429 where too many listen, 400 where `last` is no event's id."""
    service.require_loaded()
    if service.replica.changes.listeners >= MOST_LISTENERS:
        raise QueryError("too many listen to changes: come again", 429)
    begin = _parsed(last, service.topology.partitions) if last else None
    return EventSourceResponse(_events(service, view, key, begin), ping=PING_S, shutdown_grace_period=_FAREWELL_S)


async def _events(
    service: Service, view: View[Any, Any], key: str | None, begin: tuple[str, Reached] | None
) -> AsyncIterator[ServerSentEvent]:
    """What was missed since `begin`, then every change as it is applied; `at` is what the listener knows of."""
    topic = service.replica.topic(view.name)
    listener = service.replica.changes.listen(topic)
    try:
        now = {number: offset for (_, number), offset in service.replica.positions.at([topic]).items()}
        at = dict(begin[1] if begin and begin[0] == topic else now)
        yield ServerSentEvent(comment="listening", id=_id(topic, at))
        if begin and begin[0] != topic:
            yield ServerSentEvent("{}", event="rebuilt", id=_id(topic, at))
        with contextlib.closing(_missed(service, topic, at, now)) as missed:
            while (found := await asyncio.to_thread(next, missed, None)) is not None:
                for event in _told(view.row, topic, key, found, at):
                    yield event
        while (found := await listener.next()) is not None:
            for event in _told(view.row, topic, key, found, at):
                yield event
        yield ServerSentEvent(comment="over: come again with the last id")
    finally:
        service.replica.changes.leave(topic, listener)


def _told(
    row: type[Record], topic: str, key: str | None, found: Sequence[Change], at: Reached
) -> Iterator[ServerSentEvent]:
    """The changes that the listener does not know of, each with an id to go on from."""
    new = [change for change in found if change.offset >= at[change.partition]]
    rows = arrow_batch(row, [(change.key, change.row) for change in new]).to_pylist(maps_as_pydicts="lossy")
    for change, columns in zip(new, rows, strict=True):
        at[change.partition] = change.offset + 1
        if key is None or change.key == key:
            data: dict[str, Any] = {"key": change.key, "row": None if change.row is None else plain(columns)}
            yield ServerSentEvent(msgspec.json.encode(data).decode(), event="change", id=_id(topic, at))


def _missed(service: Service, topic: str, begin: Reached, until: Reached) -> Generator[Sequence[Change]]:
    """The changes between two places, from Kafka: the replica has rows, and no history of them."""
    behind = {number: offset for number, offset in begin.items() if offset < until[number]}
    if not behind:
        return
    consumer = open_consumer(service.bootstrap)
    try:
        consumer.assign([TopicPartition(topic, *place) for place in behind.items()])
        while behind:
            messages = available(consumer, _LOOK)
            records = [m for m in messages if is_record(m) and (m.offset() or 0) < until[m.partition() or 0]]
            yield service.replica.changed(records).get(topic, [])
            for message in messages:
                number, passed = message.partition() or 0, (message.offset() or 0) + (message.error() is None)
                if passed >= until[number]:
                    behind.pop(number, None)
    finally:
        consumer.close()


def _id(topic: str, at: Mapping[int, int]) -> str:
    return f"{topic}@" + ",".join(f"{number}:{offset}" for number, offset in sorted(at.items()))


def _parsed(text: str, partitions: int) -> tuple[str, Reached]:
    """The topic and the offsets of an event's id."""
    topic, _, offsets = text.partition("@")
    pairs = [part.partition(":") for part in offsets.split(",")]
    if not topic or not all(_is_number(number) and _is_number(offset) for number, _, offset in pairs):
        raise QueryError("Last-Event-ID: is none that an event had")
    found = {int(number): int(offset) for number, _, offset in pairs}
    if found.keys() != set(range(partitions)):
        raise QueryError(f"Last-Event-ID: an event's id has the partitions 0 to {partitions - 1}")
    return topic, found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19
