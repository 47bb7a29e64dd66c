"""The topic that a sink follows: committed records in batches, the last of each key, with the offsets they lead to."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from foldlog.contracts.codec import Codec
from foldlog.core.decider import Decider
from foldlog.core.errors import AwayError, ContractError, DecodeError, SinkError, TaintError
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.topics import events
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.restoring import topic_ids
from foldlog.kafka.connection import admin, partition_count
from foldlog.kafka.generations import existing, resolve
from foldlog.kafka.reading import available, ends, is_record, open_consumer
from foldlog.sinks.target import Change

Decode = Callable[[bytes], tuple[Record, Meta | None]]

_LONGEST_LOOK = 0.1  # s


class Batch(NamedTuple):
    """Changes, and the next offset of each partition after them; `records` counts what was coalesced too."""

    changes: list[Change]
    offsets: dict[int, int]
    records: int


def source_of(
    bootstrap: str, codec: Codec, topology: Topology, of: View[Any, Any] | Decider[Any, Any, Any]
) -> "Source":
    """The rows of a view, in the generation that its readers must read, or the event log of a decider."""
    match of:
        case View(name=name):
            return Source(
                bootstrap,
                lambda: resolve(bootstrap, topology.name, name),
                lambda value: (codec.decode(value), None),
                lambda topic: bool(existing({topic: 1}, topology.name, name)),
            )
        case Decider(name=name):
            return Source(bootstrap, lambda: events(topology.name, name), codec.decode_with)


class Source:
    """One topic, read from given offsets on; used by one thread.

    `find` names the topic: a view's readers may be pointed to another one. `is_generation` tells of a topic whether it
    has rows of the same view.
    """

    def __init__(
        self,
        bootstrap: str,
        find: Callable[[], str],
        decode: Decode,
        is_generation: Callable[[str], bool] = lambda topic: False,
    ) -> None:
        self.is_generation = is_generation
        self.topic = ""
        self._bootstrap = bootstrap
        self._find = find
        self._decode = decode
        self._consumer: Consumer | None = None
        self._next: dict[int, int] = {}

    def find(self) -> str:
        """Finds the topic, and says which of those that had its name it is; AwayError where Kafka does not answer."""
        self.topic = self._find()
        try:
            return topic_ids(admin(self._bootstrap), [self.topic])[self.topic][0]
        except TaintError as error:
            raise AwayError(str(error)) from error

    def has_moved(self) -> bool:
        """Whether the topic that is to be read is not the one that is read."""
        return self._find() != self.topic

    def start(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Begins at these offsets, a partition without one at its beginning; the end that each partition has now.

        Raises AwayError where Kafka does not answer.
        """
        self.close()
        partitions = range(partition_count(self._bootstrap, self.topic))
        self._next = {partition: offsets.get(partition, 0) for partition in partitions}
        self._consumer = consumer = open_consumer(self._bootstrap)
        try:
            # Asked before the reading begins: later the question would wait behind a fetch that waits for records.
            found = ends(consumer, self.topic, partitions)
        except KafkaException as error:
            raise self._away(error) from error
        consumer.assign([TopicPartition(self.topic, *place) for place in self._next.items()])
        return {partition: end for partition, (_, end) in found.items()}

    def lag(self, to: Mapping[int, int]) -> int:
        """The offsets between what was read and these ends."""
        return sum(max(0, end - self._next.get(partition, 0)) for partition, end in to.items())

    def known_lag(self) -> int:
        """The offsets between what was read and the ends that Kafka told with what it sent."""
        consumer = self._started()
        places = [TopicPartition(self.topic, partition) for partition in self._next]
        known = [consumer.get_watermark_offsets(place, cached=True) for place in places]
        return self.lag({place.partition: high for place, (_, high) in zip(places, known, strict=True)})

    def batch(self, seconds: float, most: int, until: Mapping[int, int] | None = None) -> Batch:
        """What comes within so many seconds of the first record, or until these offsets, at most about `most`.

        Raises ContractError where a record cannot be decoded, AwayError where Kafka does not answer.
        """
        last, count = self._collected(seconds, most, until)
        changes = [self._change(message) for message in last.values()]
        return Batch(changes, dict(self._next), count)

    def close(self) -> None:
        """Ends the consumer; `start` makes another."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _collected(
        self, seconds: float, most: int, until: Mapping[int, int] | None
    ) -> tuple[dict[bytes | None, Message], int]:
        consumer, last, count = self._started(), dict[bytes | None, Message](), 0
        deadline = time.monotonic() + _LONGEST_LOOK
        while count < most and (left := deadline - time.monotonic()) > 0 and not (until and self.lag(until) == 0):
            for message in available(consumer, left):
                if not self._passed(message):
                    continue
                if not count:
                    deadline = time.monotonic() + seconds
                count += 1
                last[message.key()] = message
        return last, count

    def _passed(self, message: Message) -> bool:
        """True for a record; control records are passed at the end of a partition."""
        try:
            record = is_record(message)
        except KafkaException as error:
            raise self._away(error) from error
        self._next[message.partition() or 0] = (message.offset() or 0) + record
        return record

    def _change(self, message: Message) -> Change:
        place = message.partition() or 0, message.offset() or 0
        where = f"{self.topic}:{place[0]}:{place[1]}"
        try:
            key = (message.key() or b"").decode()
            value = message.value()
            record, meta = (None, None) if value is None else self._decode(value)
        except DecodeError as error:
            raise ContractError(f"{where}: {error}") from error
        except UnicodeDecodeError as error:
            raise SinkError(f"{where}: the key {message.key()!r} is not UTF-8") from error
        return Change(key, record, *place, meta)

    def _started(self) -> Consumer:
        assert self._consumer is not None
        return self._consumer

    def _away(self, error: KafkaException) -> AwayError:
        reason: Any = error.args[0]
        return AwayError(f"{self.topic}: {reason.str()}")
