"""Where a running view stands: which events are in its rows, and the rows.

A view's transaction commits the offsets of its inputs and its rows together, but a reader sees the one a moment before
or after the other. So a cut is taken on both sides: the rows that are read between two looks at the offsets have all
events below the first look, and none that is not below the second.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from foldlog.client.connection import Connection
from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import ClusterError, ConfigError, TaintError
from foldlog.core.repair import ParkedKey
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine import clients
from foldlog.engine.batch import Place, Received
from foldlog.engine.restoring import LogReader
from foldlog.kafka.connection import METADATA_S, partition_counts
from foldlog.kafka.reading import latest, read

_STABLE_S = 60.0  # longer than any transaction stays open
_TRIES = 5

Offsets = Mapping[Place, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cut:
    """The next offset of each input; `moved` are the records of `rekeyed` that are on their way, not below it."""

    next: Offsets
    moved: tuple[Received, ...] = ()


class Position:
    """The topics of one view, and where its group stands in them.

    Raises ConfigError where a topic is missing, ClusterError where Kafka does not answer.
    """

    def __init__(self, connection: Connection, topology: Topology, view: View[Any, Any]) -> None:
        self.table = topics.table(topology.name, view.generation)
        self.partitions = topology.partitions
        self._rekeyed = topics.rekeyed(topology.name, view.generation)
        self._parked = topics.parked(topology.name, view.generation)
        self._logs = tuple(topics.events(topology.name, source.name) for source in view.sources)
        self._group = f"{topology.name}.{view.generation}"
        self._bootstrap = connection.bootstrap
        self._reader = LogReader(connection.bootstrap, connection.settings)
        _check(partition_counts(self._bootstrap), (self.table, self._rekeyed, self._parked, *self._logs), topology)
        self.starts = {place: low for place, (low, _) in self._bounds(*self._logs).items()}

    def cut(self) -> Cut:
        """Where the group stands now."""
        for _ in range(_TRIES):
            now = self.committed()
            try:
                return Cut(now, tuple(self._moved(now)))
            except TaintError:  # what was on its way arrived meanwhile, and was trimmed
                continue
        raise ClusterError(f"{self._rekeyed} is trimmed faster than it can be read; try again")

    def begun(self) -> Cut:
        """The first cut; ConfigError where the logs end before it, since they were made anew."""
        cut = self.cut()
        for place, (_, high) in self._bounds(*self._logs).items():
            if cut.next[place] > high:
                where = f"{cut.next[place]} of {place[0]}:{place[1]}, which ends at {high}"
                raise ConfigError(f"{self._group} stands at {where}: the log was made anew")
        return cut

    def committed(self) -> dict[Place, int]:
        """The group's offsets, once no open transaction can still change them; the log's start where there is none."""
        names = (*self._logs, self._rekeyed)
        marks = [TopicPartition(name, number) for name in names for number in range(self.partitions)]
        consumer = Consumer(clients.offsets_reader(self._bootstrap, self._group))
        try:
            found = {(mark.topic, mark.partition): mark.offset for mark in consumer.committed(marks, _STABLE_S)}
        except KafkaException as error:
            raise ClusterError(f"offsets of group {self._group}: {error.args[0].str()}") from error
        finally:
            consumer.close()
        if all(offset < 0 for offset in found.values()):
            raise ConfigError(f"{self._group} has committed no offset yet, so there is nothing to verify")
        return {place: max(offset, self.starts.get(place, 0)) for place, offset in found.items()}

    def between(self, starts: Offsets, ends: Offsets, progress: Progress) -> Iterator[list[Received]]:
        """The events of the logs from the starts to the ends."""
        total = sum(max(0, ends[place] - start) for place, start in starts.items())
        done = dict(starts)
        for messages in self._read(starts, {place: ends[place] for place in starts}):
            found = [m for m in messages if m.offset() < ends[m.topic(), m.partition()]]
            done |= {(m.topic(), m.partition()): m.offset() + 1 for m in found}
            progress(sum(done.values()) - sum(starts.values()), total)
            yield found

    def rows(self, starts: dict[Place, int], progress: Progress) -> Iterator[list[Received]]:
        """The records of the view from the starts to its end as it is now, open transactions included; moves `starts`.

        The end is the high watermark: a commit that was acknowledged may still wait for its markers.
        """
        marks = self._bounds(self.table)
        begin = {place: max(low, starts.get(place, 0)) for place, (low, _) in marks.items()}
        ends = {place: high for place, (_, high) in marks.items()}
        total, done = sum(ends.values()) - sum(begin.values()), 0
        for messages in self._read(begin, ends):
            for message in messages:
                starts[message.topic(), message.partition()] = message.offset() + 1
            done += len(messages)
            progress(done, total)
            yield messages

    def parked(self, codec: Codec) -> dict[bytes, str]:
        """The keys of the view that wait for a repair, and why; their rows are old until then."""
        entries = latest(read(self._bootstrap, self._parked))
        heads = [codec.decode(entry.value or b"") for key, entry in entries.items() if key.endswith("@0")]
        return {head.key.encode(): f"parked: {head.reason}" for head in heads if isinstance(head, ParkedKey)}

    def _moved(self, now: Offsets) -> Iterator[Received]:
        marks = self._bounds(self._rekeyed)
        starts = {place: now[place] for place in marks}
        if any(start < marks[place][0] for place, start in starts.items() if marks[place][1] > start):
            raise TaintError(f"{self._rekeyed} was trimmed")
        for messages in self._read(starts, {place: high for place, (_, high) in marks.items()}):
            yield from messages

    def _bounds(self, *names: str) -> dict[Place, tuple[int, int]]:
        """Asked again while a partition that was just made, or whose broker was just lost, gets its leader."""
        places = [(name, number) for name in names for number in range(self.partitions)]
        until = time.monotonic() + METADATA_S
        while True:
            try:
                return self._reader.watermarks(places)
            except TaintError as error:
                if time.monotonic() > until:
                    raise ClusterError(f"Kafka at {self._bootstrap}: {error}") from error
                time.sleep(0.1)

    def _read(self, starts: Offsets, ends: Offsets) -> Iterator[list[Received]]:
        return self._reader.read(starts, ends, lambda: True, lambda: None)


def _check(counts: Mapping[str, int], names: Iterable[str], topology: Topology) -> None:
    for name in names:
        if name not in counts:
            raise ConfigError(f"there is no topic {name}: run `foldlog topics apply topologies.{topology.name}`")
        if counts[name] != topology.partitions:
            raise ConfigError(f"{name} has {counts[name]} partitions, {topology.name} declares {topology.partitions}")
