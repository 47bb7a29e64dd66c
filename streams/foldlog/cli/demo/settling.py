"""Waiting until there is nothing left to do: every saga has ended, and every processor has read all of its inputs."""

import time
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import TopicPartition

from foldlog.cli.flow import flow
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ClusterError, EngineError
from foldlog.core.topology import Topology
from foldlog.kafka.connection import METADATA_S, admin, partition_count, partition_counts, reaching
from foldlog.kafka.marks import GroupOffsets, end_offsets
from foldlog.kafka.reading import BATCH, ends, is_record, open_consumer

STALL_S = 60.0
LOOK = 1000
LAST = 2**63 - 1

Place = tuple[str, int]
Alive = Callable[[], None]
OnEnded = Callable[[int], None]


class Sagas:
    """A saga's compacted topic, followed from its start: which sagas have ended."""

    def __init__(self, bootstrap: str, topic: str, codec: Codec) -> None:
        self.ended: set[str] = set()
        self.open: set[str] = set()
        self._bootstrap, self._codec = bootstrap, codec
        self._consumer = open_consumer(bootstrap)
        self._topic = topic
        self._passed = dict.fromkeys(range(partition_count(bootstrap, topic)), 0)
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in self._passed])

    def catch_up(self) -> None:
        """Takes all that the topic holds now; ClusterError where Kafka does not send it."""
        with reaching(self._bootstrap):
            goal = {partition: end for partition, (_, end) in ends(self._consumer, self._topic, self._passed).items()}
        heard = time.monotonic()
        while any(self._passed[partition] < end for partition, end in goal.items()):
            if self.poll(0.25):
                heard = time.monotonic()
            elif time.monotonic() - heard > STALL_S:
                raise ClusterError(f"{self._topic}: Kafka sent nothing for {STALL_S:.0f} s")

    def poll(self, seconds: float) -> bool:
        """Takes what has come; False where nothing came for that long."""
        latest: dict[bytes, bytes | None] = {}
        with reaching(self._bootstrap):
            for message in self._consumer.consume(BATCH, seconds):
                record = is_record(message)
                if record:
                    latest[message.key() or b""] = message.value()
                # At a partition's end the client tells where it stands: behind transaction markers too.
                self._passed[message.partition() or 0] = (message.offset() or 0) + record
        for key, value in latest.items():
            self._take(key.decode(errors="replace"), value)
        return bool(latest)

    def close(self) -> None:
        """Leaves the cluster."""
        self._consumer.close()

    def _take(self, saga: str, value: bytes | None) -> None:
        if value is None:
            self.open.discard(saga)
            self.ended.discard(saga)
        elif self._codec.decode_with(value)[1].ended:
            self.open.discard(saga)
            self.ended.add(saga)
        else:
            self.open.add(saga)


class Offsets(NamedTuple):
    """Where the groups stand: what each has committed, by group and place, and where each place ends."""

    committed: dict[tuple[str, Place], int]
    ends: dict[Place, int]


class Groups:
    """The consumer groups of a context's processors, seen from outside."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self._bootstrap = bootstrap
        counts = partition_counts(bootstrap)
        inputs = {
            f"{topology.name}.{step.name}": [*step.reads, *([step.via] if step.via else [])] for step in flow(topology)
        }
        self._places = {
            group: [(topic, partition) for topic in topics for partition in range(counts[topic])]
            for group, topics in inputs.items()
        }
        self._admin, self._offsets = admin(bootstrap), GroupOffsets(bootstrap)

    def offsets(self) -> Offsets:
        """The offsets of now; an open transaction is past the end."""
        with reaching(self._bootstrap):
            return Offsets(self._committed(), self._ends())

    def unread(self, offsets: Offsets) -> dict[tuple[str, Place], int]:
        """How far behind a group is, where a committed record follows its offset.

        Near the end only looking tells, since there may be transaction markers alone; far from it there is one.
        """
        behind = {mark: offsets.ends[mark[1]] - offset for mark, offset in offsets.committed.items()}
        near: dict[Place, int] = {}
        for (_, place), lag in behind.items():
            if 0 < lag <= LOOK:
                near[place] = min(offsets.ends[place] - lag, near.get(place, offsets.ends[place]))
        with reaching(self._bootstrap):
            last = _last_records(self._bootstrap, near) if near else {}
        return {
            (group, place): lag
            for (group, place), lag in behind.items()
            if lag > LOOK or last.get(place, -1) >= offsets.ends[place] - lag
        }

    def _committed(self) -> dict[tuple[str, Place], int]:
        return {
            (group, place): max(offset, 0)
            for group, places in self._places.items()
            for place, offset in self._offsets.of(group, places).items()
        }

    def _ends(self) -> dict[Place, int]:
        places = {place for places in self._places.values() for place in places}
        return end_offsets(self._admin, places, committed=True)


def _last_records(bootstrap: str, first: dict[Place, int]) -> dict[Place, int]:
    """The offset of the last committed record of each place, looking from `first` on; a place may have none."""
    found: dict[Place, int] = {}
    waiting, deadline = set(first), time.monotonic() + METADATA_S
    consumer = open_consumer(bootstrap)
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in first.items()])
        while waiting and time.monotonic() < deadline:
            for message in consumer.consume(BATCH, 0.05):
                place = (message.topic() or "", message.partition() or 0)
                if is_record(message):
                    found[place] = message.offset() or 0
                else:
                    waiting.discard(place)
    finally:
        consumer.close()
    return found | dict.fromkeys(waiting, LAST)


class Settling:
    """Watches sagas and groups until nothing is left to do.

    `ended_at` is when the last saga was seen to end (monotonic seconds), None where none ended while watched.
    """

    def __init__(self, sagas: Sagas, groups: Groups, alive: Alive, place: str, stall_s: float = STALL_S) -> None:
        self.ended_at: float | None = None
        self._sagas, self._groups = sagas, groups
        self._alive, self._place, self._stall_s = alive, place, stall_s
        self._offsets: Offsets | None = None
        self._moved_at = time.monotonic()

    def wait(self, total: int, on_ended: OnEnded) -> None:
        """Returns once every saga has ended and every processor has read all of its inputs.

        It returns too where sagas stay open though everything is read: they will never end, and the checks say
        which. Raises EngineError where for `stall_s` seconds nothing moves, and whatever `alive` raises.
        """
        self._total = total
        on_ended(len(self._sagas.ended))
        while True:
            self._alive()
            if self._follow():
                on_ended(len(self._sagas.ended))
            elif self._settled():
                self._sagas.catch_up()
                return

    def _follow(self) -> bool:
        """Longer than a look-up and shorter than a person's patience; a full batch comes at once."""
        before = len(self._sagas.ended)
        moved = self._sagas.poll(0.25)
        if len(self._sagas.ended) > before:
            self.ended_at = time.monotonic()
        return moved

    def _settled(self) -> bool:
        """All was read, and offsets and ends are those of the look before: then no processor holds a batch either."""
        before, self._offsets = self._offsets, self._groups.offsets()
        if self._offsets != before:
            self._moved_at = time.monotonic()
            return False
        unread = self._groups.unread(self._offsets)
        if unread and time.monotonic() - self._moved_at > self._stall_s:
            raise EngineError(self._stalled(unread))
        return not unread

    def _stalled(self, unread: dict[tuple[str, Place], int]) -> str:
        lags = (f"{group} has {lag:,} to read in {topic}:{number}" for (group, (topic, number)), lag in unread.items())
        ended = f"{len(self._sagas.ended):,} of {self._total:,} sagas have ended"
        return f"nothing moved for {self._stall_s:.0f} s: {ended}, {', '.join(lags)}; see {self._place}"
