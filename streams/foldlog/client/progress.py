"""How far a view has come: what whoever sent a command waits for before reading its own writes."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from foldlog.client.positions import Position, parse
from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError, DeadlineError
from foldlog.core.partitioning import partition_of
from foldlog.core.topics import events, rekeyed
from foldlog.core.topology import Topology
from foldlog.kafka.connection import METADATA_S, admin, reaching
from foldlog.kafka.gaps import gaps
from foldlog.kafka.marks import GroupOffsets, Place, end_offsets
from foldlog.kafka.reading import open_consumer

LOOK_EVERY = 0.02  # s


class Progress:
    """Waits until a generation of a view has taken an event in, by the offsets committed with its rows."""

    def __init__(
        self, bootstrap: str, topology: Topology, sources: Iterable[Decider[Any, Any, Any]], generation: str
    ) -> None:
        self._bootstrap, self._admin, self._offsets = bootstrap, admin(bootstrap), GroupOffsets(bootstrap)
        self._partitions = topology.partitions
        self._group = f"{topology.name}.{generation}"
        self._moved = rekeyed(topology.name, generation)
        self._sources = {events(topology.name, source.name) for source in sources}

    def wait(self, position: str, key: str, deadline: float) -> None:
        """Returns once the row of `key` has every event up to a position of one of the view's logs.

        `deadline` is of time.monotonic(). Raises DeadlineError there, ConfigError where the view has no such log.
        """
        at = parse(position)
        if at.topic not in self._sources:
            raise ConfigError(f"{self._group} does not read {at.topic}, so it never comes to {position}")
        home = partition_of(key.encode(), self._partitions)
        self._until(lambda: self._committed(at.place) > at.offset, at, deadline)
        if home != at.partition:  # the event was moved to the row's partition, and is folded from there
            moved = (self._moved, home)
            with reaching(self._bootstrap):
                end = end_offsets(self._admin, [moved], committed=False)[moved]
            self._until(lambda: self._emptied(moved, end), at, deadline)

    def _until(self, done: Callable[[], bool], at: Position, deadline: float) -> None:
        while True:
            with reaching(self._bootstrap):
                if done():
                    return
            if time.monotonic() > deadline:
                raise DeadlineError(f"{self._group} has not come to {at} in time: is `foldlog run` running?")
            time.sleep(LOOK_EVERY)

    def _committed(self, place: Place) -> int:
        return self._offsets.of(self._group, [place])[place]

    def _emptied(self, place: Place, end: int) -> bool:
        """Whether nothing but the marks of transactions lies between what the group has read and an end."""
        start = max(0, self._committed(place))
        if start >= end:
            return True
        consumer = open_consumer(self._bootstrap)
        try:
            found = gaps(consumer, {place: start}, METADATA_S)
            return place in found and found[place].end >= end
        finally:
            consumer.close()
