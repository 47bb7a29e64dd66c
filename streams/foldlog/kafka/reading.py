"""Reading a topic from its start to the end it has now, committed records only."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from foldlog.core.errors import ClusterError
from foldlog.core.partitioning import partition_of
from foldlog.kafka.connection import METADATA_S, client_config, partition_count, reaching

BATCH = 10_000
STALL_S = 30.0

Progress = Callable[[int, int], None]
"""Called with (offsets passed, offsets in all)."""


class Entry(NamedTuple):
    """One record of a topic; `time_ms` is its timestamp in milliseconds UTC, -1 where it has none."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    time_ms: int


def _no_progress(_done: int, _total: int) -> None:
    """Shows nothing."""


def open_consumer(bootstrap: str) -> Consumer:
    """A consumer of committed records that joins no group: its partitions are assigned."""
    return Consumer(committed_reader(bootstrap))


def committed_reader(bootstrap: str) -> dict[str, str | int | float | bool]:
    """The configuration of such a consumer."""
    return {
        **client_config(bootstrap),
        "group.id": "foldlog-reader",  # librdkafka wants one; nothing is ever committed under it
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        # The default of 1000 ms leaves the fetcher idle between two full queues.
        "fetch.queue.backoff.ms": 5,
        "queued.max.messages.kbytes": 131_072,
    }


_LEADERLESS = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})


def ends(consumer: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """The first and the next stable offset of each partition; an open transaction is past the end."""
    return {partition: _watermarks(consumer, TopicPartition(topic, partition)) for partition in partitions}


def _watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Asked again while a partition that was just made, or whose broker was just lost, gets its leader."""
    until = time.monotonic() + METADATA_S
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=METADATA_S)
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() > until:
                raise
            time.sleep(0.1)


def read(
    bootstrap: str,
    topic: str,
    *,
    key: str | None = None,
    since: datetime | None = None,
    progress: Progress = _no_progress,
) -> Iterator[Entry]:
    """The records of a topic up to the end it had when the reading began.

    With `key`, only the partition where that key lives (murmur2, as the engine writes); with `since`, only from the
    first record of that time on. Raises ConfigError where the topic does not exist and ClusterError where Kafka does
    not answer or stalls for 30 s.
    """
    count = partition_count(bootstrap, topic)
    wanted = range(count) if key is None else [partition_of(key.encode(), count)]
    consumer = open_consumer(bootstrap)
    try:
        with reaching(bootstrap):
            bounds = ends(consumer, topic, wanted)
            yield from _read(
                consumer, topic, bounds if since is None else _from(consumer, topic, bounds, since), progress
            )
    finally:
        consumer.close()


def _from(
    consumer: Consumer, topic: str, bounds: dict[int, tuple[int, int]], since: datetime
) -> dict[int, tuple[int, int]]:
    """The bounds without what is older."""
    asked = [TopicPartition(topic, partition, int(since.timestamp() * 1000)) for partition in bounds]
    found = {place.partition: place.offset for place in consumer.offsets_for_times(asked, timeout=METADATA_S)}
    return {p: (found[p] if found[p] >= 0 else end, end) for p, (_, end) in bounds.items()}  # negative: nothing since


def bounds(bootstrap: str, topic: str) -> dict[int, tuple[int, int]]:
    """The first and the next stable offset of each partition of a topic; errors as in `read`."""
    count = partition_count(bootstrap, topic)
    consumer = open_consumer(bootstrap)
    try:
        with reaching(bootstrap):
            return ends(consumer, topic, range(count))
    finally:
        consumer.close()


def between(
    bootstrap: str, topic: str, bounds: dict[int, tuple[int, int]], *, progress: Progress = _no_progress
) -> Iterator[Entry]:
    """The records of a topic from a first offset of each partition up to a next one; errors as in `read`."""
    consumer = open_consumer(bootstrap)
    try:
        with reaching(bootstrap):
            yield from _read(consumer, topic, bounds, progress)
    finally:
        consumer.close()


def available(consumer: Consumer, timeout: float) -> list[Message]:
    """What has been fetched, after at most `timeout` seconds; `consume` alone would wait for a full batch."""
    first = consumer.poll(timeout)
    return [] if first is None else [first, *consumer.consume(BATCH, timeout=0)]


def is_record(message: Message) -> bool:
    """False for the notice of a partition's end; KafkaException where reading fails."""
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return error is None


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The last record of each key, without the deleted ones: a compacted topic as the table that it is."""
    table: dict[str, Entry] = {}
    for entry in entries:
        key = (entry.key or b"").decode(errors="backslashreplace")
        if entry.value is None:
            table.pop(key, None)
        else:
            table[key] = entry
    return table


def _read(consumer: Consumer, topic: str, bounds: dict[int, tuple[int, int]], progress: Progress) -> Iterator[Entry]:
    open_ends = {partition: end for partition, (start, end) in bounds.items() if end > start}
    passed = {partition: bounds[partition][0] for partition in open_ends}
    first, total = sum(passed.values()), sum(open_ends.values()) - sum(passed.values())
    consumer.assign([TopicPartition(topic, partition, passed[partition]) for partition in open_ends])
    last_heard = time.monotonic()
    while open_ends:
        messages = available(consumer, 0.25)
        if messages:
            last_heard = time.monotonic()
        elif time.monotonic() - last_heard > STALL_S:
            raise ClusterError(f"{topic}: Kafka sent nothing for {STALL_S:.0f} s")
        for message in messages:
            yield from _take(message, open_ends, passed)
        progress(sum(passed.values()) - first, total)


def _take(message: Message, open_ends: dict[int, int], passed: dict[int, int]) -> Iterator[Entry]:
    """Yields the message if it lies before its partition's end; a partition that is at its end is closed."""
    partition, record = message.partition(), is_record(message)
    end = open_ends.get(partition if partition is not None else -1)
    if partition is None or end is None:
        return
    offset = message.offset() or 0
    if record and offset < end:
        yield entry_of(message)
    if not record or offset + 1 >= end:
        del open_ends[partition]
        passed[partition] = end
    else:
        passed[partition] = offset + 1


def entry_of(message: Message) -> Entry:
    """A client's message as a plain value."""
    headers = [(str(header[0]), _bytes(header[1])) for header in message.headers() or []]
    place = message.partition() or 0, message.offset() or 0
    return Entry(*place, message.key(), message.value(), headers, message.timestamp()[1])


def _bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None
