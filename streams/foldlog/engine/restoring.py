"""Restoring: what a processor must know of its partitions before it may work.

The end of a log is its high watermark, not its last stable offset: a commit that was acknowledged may still wait for
its markers, and a state that ends before it would give out its versions a second time.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from foldlog.core.errors import StateError, TaintError
from foldlog.engine import clients
from foldlog.engine.batch import Place, Received, sorted_out
from foldlog.engine.transactions import fence
from foldlog.settings import Settings

log = structlog.get_logger()

NO_OFFSET = -1001
_LONGEST_WAIT = 120.0  # s without a record; far above any transaction's timeout
_STABLE_WAIT = 1.0  # s: then the previous owner's open transaction is ended for it


@dataclass(frozen=True)
class Group:
    """How to reach one processor's consumer group."""

    bootstrap: str
    name: str
    transactional_id: str  # our own
    settings: Settings

    def committed(self, places: Collection[Place]) -> dict[Place, int]:
        """The committed offsets once no open transaction can still change them; NO_OFFSET where there is none.

        Where a dead owner's transaction blocks them, it is ended by taking its transactional id: at once where the
        owner is no member any more, after a second where it still seems to be one.
        """
        threading.Thread(target=self._end_gone, args=(places,), name=f"gone-{self.name}", daemon=True).start()
        marks = [TopicPartition(topic, partition) for topic, partition in places]
        consumer = Consumer(clients.offsets_reader(self.bootstrap, self.name))
        try:
            try:
                found = consumer.committed(marks, _STABLE_WAIT)
            except KafkaException as error:
                if error.args[0].code() not in _UNSTABLE:
                    raise
                self.end_predecessors(places)
                found = consumer.committed(marks, 30)
        except KafkaException as error:
            raise TaintError(f"offsets of group {self.name}: {error.args[0].str()}") from error
        finally:
            consumer.close()
        return {(mark.topic, mark.partition): mark.offset for mark in found}

    def _end_gone(self, places: Collection[Place]) -> None:
        """Ends what owners have left open who are no members now; beside the restoring, which need not wait for it."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            group = admin.describe_consumer_groups([self.name], request_timeout=10)[self.name].result(10)
            members = {f"{self.name}.{member.group_instance_id}" for member in group.members}
            if self.transactional_id in members:
                self.end_predecessors(places, spared=members)
        except (KafkaException, TimeoutError) as error:
            log.debug("members unknown", group=self.name, because=str(error))

    def end_predecessors(self, places: Collection[Place], spared: Collection[str] = ()) -> None:
        """Ends the open transactions of those who owned these partitions before, but for the spared.

        The metadata of a committed offset names the transactional id that wrote it; our own has been ended already.
        """
        marks = [TopicPartition(topic, partition) for topic, partition in places]
        config = {**clients.offsets_reader(self.bootstrap, self.name), "isolation.level": "read_uncommitted"}
        consumer = Consumer(config)
        try:
            owners = {mark.metadata for mark in consumer.committed(marks, 10) if mark.metadata}
            owners -= {self.transactional_id, *spared}
        finally:
            consumer.close()
        for owner in sorted(owners):
            log.info("ending the open transaction of the previous owner", transactional_id=owner)
            fence(clients.transactional(self.bootstrap, self.settings), owner)


_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED})
_UNSTABLE = frozenset({KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT})


class LogReader:
    """Reads partitions of a log from given offsets to their ends as they were at the start."""

    def __init__(self, bootstrap: str, settings: Settings) -> None:
        self._bootstrap = bootstrap
        self._settings = settings

    def watermarks(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """The low and high watermark of each partition; open transactions count."""
        consumer = self._consumer("read_uncommitted")
        try:
            return {
                place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=30, cached=False)
                for place in places
            }
        except KafkaException as error:
            raise TaintError(f"end of a log: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def read(
        self,
        starts: Mapping[Place, int],
        ends: Mapping[Place, int],
        go_on: Callable[[], bool],
        stalled: Callable[[], None],
    ) -> Iterator[list[Received]]:
        """Committed records from the starts to the ends, in lists; stops early when told to.

        `stalled` is called once, when nothing came for a second: somebody's open transaction is in the way.

        A partition is done when the reader stands at its end: control records and aborted ones are never seen,
        so only the reader's own end-of-partition notice tells.
        """
        open_ = {place: end for place, end in ends.items() if starts[place] < end}
        if not open_:
            return
        consumer = self._consumer("read_committed")
        consumer.assign([TopicPartition(*place, starts[place]) for place in open_])
        waiting_since, told = time.monotonic(), False
        try:
            while open_ and go_on():
                read = cast(list[Received], consumer.consume(5000, 0.1))
                records = _passed(read, open_)
                if records:
                    waiting_since = time.monotonic()
                    yield records
                elif open_ and not told and time.monotonic() - waiting_since > _STABLE_WAIT:
                    told = True
                    stalled()
                elif open_ and time.monotonic() - waiting_since > _LONGEST_WAIT:
                    raise StateError(f"the log does not reach its end: {sorted(open_)}; is a transaction left open?")
        finally:
            consumer.close()

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(clients.reader(self._bootstrap, isolation, self._settings))


def _passed(read: list[Received], open_: dict[Place, int]) -> list[Received]:
    """The records; closes the partitions that they, or the notices of an end, bring to their ends."""
    records, reached, errors = sorted_out(read)
    for message, error in errors:
        place = message.topic(), message.partition()
        if error.code() != KafkaError._PARTITION_EOF:
            raise TaintError(f"log {place[0]}:{place[1]}: {error.str()}")
        reached[place] = max(reached.get(place, 0), message.offset())
    for place, offset in reached.items():
        if offset >= open_.get(place, offset + 1):
            del open_[place]
    return records


def numbers_of(processor: str, inputs: Iterable[str], places: Collection[Place]) -> set[int]:
    """The partition numbers of places; StateError where one of a number is owned without the others of that number."""
    by_topic: dict[str, set[int]] = {topic: set() for topic in inputs}
    for topic, number in places:
        by_topic[topic].add(number)
    numbers = {number for _, number in places}
    for topic, own in by_topic.items():
        if own != numbers:
            raise StateError(f"{processor}: partitions {sorted(own)} of {topic}, but {sorted(numbers)} of others")
    return numbers


def first_offsets(
    group: str,
    committed: Mapping[Place, int],
    inputs: Mapping[Place, tuple[int, int]],
    has_output: Mapping[int, bool],
) -> dict[Place, int]:
    """Where to begin in each input partition; NO_OFFSET is a beginning only where nothing was ever written.

    Brokers drop the offsets of a group that is idle for 7 days. To begin anew beside existing output would write
    everything a second time, so that stops the processor (StateError).
    """
    begin: dict[Place, int] = {}
    known = {partition for (_, partition), offset in committed.items() if offset >= 0}
    for place, (low, high) in inputs.items():
        offset = committed.get(place, NO_OFFSET)
        if offset < 0 and place[1] not in known and has_output.get(place[1]):
            raise StateError(
                f"group {group} has no offset for {place[0]}:{place[1]}, but its output is not empty: the broker has "
                "dropped the group's offsets; set them with kafka-consumer-groups --reset-offsets to where it stopped"
            )
        if offset > high:
            raise StateError(f"group {group} is at {offset} of {place[0]}:{place[1]}, which ends at {high}")
        if 0 <= offset < low:
            log.error(
                "records were removed by retention before they were read", place=place, first=offset, last=low - 1
            )
        begin[place] = max(low, offset)
    return begin


def topic_ids(admin: Any, names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """The id and the number of partitions of each topic; StateError names what is missing."""
    found: dict[str, tuple[str, int]] = {}
    for name, future in admin.describe_topics(TopicCollection(list(names)), request_timeout=10).items():
        try:
            described = future.result(12)
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException) and error.args[0].code() in _NO_TOPIC:
                raise StateError(f"topic {name}: {error.args[0].str()}; run `foldlog topics apply`") from error
            raise TaintError(f"topic {name} cannot be described: {str(error) or 'no answer'}") from error
        found[name] = (str(described.topic_id), len(described.partitions))
    return found
