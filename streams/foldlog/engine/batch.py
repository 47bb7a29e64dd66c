"""What travels from the poll thread to the process thread."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError

from foldlog.engine.ahead import Ahead

Place = tuple[str, int]  # topic, partition


class Received(Protocol):
    """A record as a consumer gives it (`confluent_kafka.Message`), with the types that hold for received ones."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[tuple[str, bytes | None]] | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def error(self) -> KafkaError | None: ...


@dataclass(frozen=True)
class Assignment:
    """The partitions that this member now owns; everything about them must be restored before it works."""

    epoch: int
    partitions: tuple[Place, ...]
    group: Any  # ConsumerGroupMetadata at the time of the assignment


@dataclass(frozen=True)
class Batch:
    """Records of one poll, with the next offsets and the membership that were true at that moment.

    One without records is a tick: something is due that no record brings about.

    The group metadata is a snapshot: a batch of a member that has since lost its partitions is fenced by it.
    """

    epoch: int
    messages: list[Received]
    offsets: Mapping[Place, int]
    group: Any
    ahead: Mapping[int, Ahead] = field(default_factory=dict)  # rows, by partition


class Output(NamedTuple):
    """A record to be written in the batch's transaction."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None = None
    timestamp: int = 0


class Run(NamedTuple):
    """Keys and values to be written, in their order, to one partition: most of what a batch writes, and no more."""

    topic: str
    partition: int
    records: Collection[tuple[bytes, bytes | None]]


def sorted_out(
    messages: list[Received],
) -> tuple[list[Received], dict[Place, int], list[tuple[Received, KafkaError]]]:
    """The records of a poll, the offset after the last of each partition, and what is an error in place of a record."""
    # Every record passes here, of logs too: comprehensions, and the errors by themselves.
    errors = [(message, error) for message in messages if (error := message.error()) is not None]
    records = [message for message in messages if message.error() is None] if errors else messages
    last = {(message.topic(), message.partition()): message for message in records}
    return records, {place: message.offset() + 1 for place, message in last.items()}, errors
