"""Waiting for the replies to commands that were sent."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from confluent_kafka import Message, TopicPartition

from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.kafka.connection import partition_count, reaching
from foldlog.kafka.reading import available, ends, is_record, open_consumer, read

T = TypeVar("T")
Decode = Callable[[bytes], Record]


def find(bootstrap: str, topic: str, decode: Decode, command_id: str, since: datetime | None) -> Reply | None:
    """The last reply to a command that has been written since a time, None where there is none."""
    key, found = command_id.encode(), None
    for entry in read(bootstrap, topic, key=command_id, since=since):
        if entry.key == key and entry.value is not None:
            found = decode(entry.value)
    return found if isinstance(found, Reply) else None


class Answered(NamedTuple, Generic[T]):
    """A reply, and what was noted with the command that it answers."""

    note: T
    reply: Reply


class Replies(Generic[T]):
    """The replies topic from where it ended when this was made: make it *before* sending the first command.

    One thread may expect replies while another takes them.
    """

    def __init__(self, bootstrap: str, topic: str, decode: Decode) -> None:
        self.topic, self.expected = topic, 0
        self._bootstrap, self._decode = bootstrap, decode
        self._waiting: dict[str, deque[T]] = defaultdict(deque)
        self._lock = threading.Lock()
        count = partition_count(bootstrap, topic)
        self._consumer = open_consumer(bootstrap)
        with reaching(bootstrap):
            found = ends(self._consumer, topic, range(count))
            self._consumer.assign([TopicPartition(topic, p, end) for p, (_, end) in found.items()])

    @property
    def outstanding(self) -> dict[str, T]:
        """The command ids without a reply, with the first note of each."""
        with self._lock:
            return {command_id: notes[0] for command_id, notes in self._waiting.items()}

    def expect(self, command_id: str, note: T) -> None:
        """A command with this id is about to be sent; one sent twice has two replies."""
        with self._lock:
            self._waiting[command_id].append(note)
            self.expected += 1

    def forget(self, command_id: str, note: T) -> None:
        """Nobody waits for this reply any more."""
        with self._lock, suppress(ValueError):
            self._waiting[command_id].remove(note)
            self._drop(command_id)

    def abandon(self) -> list[T]:
        """What was noted with every command that has no reply; none is waited for any more."""
        with self._lock:
            left = [note for notes in self._waiting.values() for note in notes]
            self._waiting.clear()
        return left

    def collect(self, timeout: float) -> Iterator[Answered[T]]:
        """Each reply as it comes; ends when all have come, or after `timeout` seconds without a new one."""
        last = time.monotonic()
        while self._waiting and time.monotonic() - last < timeout:
            with reaching(self._bootstrap):
                found = [self.answer(message) for message in available(self._consumer, 0.2) if is_record(message)]
            if any(found):
                last = time.monotonic()
                yield from (answered for answered in found if answered)

    def arrived(self, timeout: float) -> Iterator[Answered[T]]:
        """The replies that come within `timeout` seconds; a broker that is away is waited for."""
        for message in available(self._consumer, timeout):
            if message.error() is None and (answered := self.answer(message)):
                yield answered

    def answer(self, message: Message) -> Answered[T] | None:
        """The reply that a record is; None where nobody waits for it: those of others are not even decoded."""
        command_id, value = (message.key() or b"").decode(errors="replace"), message.value()
        if command_id not in self._waiting or value is None:
            return None
        reply = self._decode(value)
        with self._lock:
            notes = self._waiting.get(command_id)
            if not notes or not isinstance(reply, Reply):
                return None
            note = notes.popleft()
            self._drop(command_id)
        return Answered(note, reply)

    def close(self) -> None:
        """Leaves the cluster."""
        self._consumer.close()

    def _drop(self, command_id: str) -> None:
        if not self._waiting[command_id]:
            del self._waiting[command_id]
