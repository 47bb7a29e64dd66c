"""Waiting for the replies to commands that were sent."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.kafka.connection import partition_count, reaching
from foldlog.kafka.reading import available, ends, open_consumer

Decode = Callable[[bytes], Record]


class Answered(NamedTuple):
    """A reply and the line whose command it answers."""

    line: int
    reply: Reply


@dataclass
class Tally:
    """What came of the commands: how many of each status, how many were duplicates, and why some were refused."""

    statuses: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        """Counts one reply."""
        self.statuses[reply.status] += 1
        self.duplicates += reply.duplicate
        if reply.status != "accepted":
            self.reasons[reply.status, reply.reason or "no reason given"] += 1

    @property
    def all_accepted(self) -> bool:
        """True where no command was rejected and none failed."""
        return self.statuses.total() == self.statuses["accepted"]


class Replies:
    """The replies topic from where it ended when this was made: make it *before* sending the first command."""

    def __init__(self, bootstrap: str, topic: str, decode: Decode) -> None:
        self.topic, self.expected = topic, 0
        self._bootstrap, self._decode = bootstrap, decode
        self._waiting: dict[str, deque[int]] = defaultdict(deque)
        count = partition_count(bootstrap, topic)
        self._consumer = open_consumer(bootstrap)
        with reaching(bootstrap):
            found = ends(self._consumer, topic, range(count))
            self._consumer.assign([TopicPartition(topic, p, end) for p, (_, end) in found.items()])

    @property
    def outstanding(self) -> dict[str, int]:
        """The command ids without a reply, with the first line of each."""
        return {command_id: lines[0] for command_id, lines in self._waiting.items()}

    def expect(self, command_id: str, line: int) -> None:
        """A command with this id is about to be sent; one sent twice has two replies."""
        self._waiting[command_id].append(line)
        self.expected += 1

    def collect(self, timeout: float) -> Iterator[Answered]:
        """Each reply as it comes; ends when all have come, or after `timeout` seconds without a new one."""
        last = time.monotonic()
        while self._waiting and time.monotonic() - last < timeout:
            with reaching(self._bootstrap):
                found = list(self._answers())
            if found:
                last = time.monotonic()
                yield from found

    def close(self) -> None:
        """Leaves the cluster."""
        self._consumer.close()

    def _answers(self) -> Iterator[Answered]:
        for message in available(self._consumer, 0.2):
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                continue
            # The key tells whether the reply is ours; those of others are not even decoded.
            command_id = (message.key() or b"").decode(errors="replace")
            lines, value = self._waiting.get(command_id), message.value()
            if lines and value is not None:
                reply = self._decode(value)
                if isinstance(reply, Reply):
                    yield Answered(lines.popleft(), reply)
                    if not lines:
                        del self._waiting[command_id]
