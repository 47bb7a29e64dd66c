"""A view's rows in memory: its compacted topic, followed as far as it goes whenever somebody asks."""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from confluent_kafka import Message, TopicPartition

from foldlog.client.progress import Progress
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ConfigError, ContractError, DeadlineError, DecodeError
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record
from foldlog.core.topics import table
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.kafka.connection import admin, partition_count, reaching
from foldlog.kafka.generations import current
from foldlog.kafka.marks import end_offsets
from foldlog.kafka.reading import available, is_record, open_consumer

Row = TypeVar("Row", bound=Record)
_TURN = 0.05  # s
LOOK_AGAIN_S = 5.0  # a reader follows a view to another generation after so long


class Table(Generic[Row]):
    """The rows of one generation of a view, kept as bytes; one reader at a time brings them up to date."""

    def __init__(
        self,
        bootstrap: str,
        topology: Topology,
        codec: Codec,
        progress: Progress,
        generation: str,
        *,
        home: Callable[[str], str],
    ) -> None:
        self.generation = generation
        self.topic = table(topology.name, generation)
        self._bootstrap, self._admin, self._codec = bootstrap, admin(bootstrap), codec
        self._progress, self._home = progress, home
        self._places = [(self.topic, partition) for partition in range(partition_count(bootstrap, self.topic))]
        self._rows: dict[bytes, bytes] = {}
        self._reached = dict.fromkeys(self._places, 0)
        self._lock = threading.Lock()
        self._consumer = open_consumer(bootstrap)
        self._consumer.assign([TopicPartition(*place, 0) for place in self._places])

    def row(self, key: str, after: str | None, timeout: float) -> Row | None:
        """The row of a key, None where there is none; with `after`, once the view has come to that position.

        Raises DeadlineError where it does not come there within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        if after is not None:
            self._progress.wait(after, self._home(key), deadline)
        home = partition_of(self._home(key).encode(), len(self._places))
        with self._lock:
            self._catch_up([self._places[home]], after is None, deadline)
            value = self._rows.get(key.encode())
        return None if value is None else self._decoded(key.encode(), value)

    def rows(self, timeout: float) -> dict[str, Row]:
        """Every row by its key, as of now."""
        with self._lock:
            self._catch_up(self._places, True, time.monotonic() + timeout)
            found = dict(self._rows)
        return {key.decode(errors="backslashreplace"): self._decoded(key, value) for key, value in found.items()}

    def close(self) -> None:
        """Leaves the cluster."""
        with self._lock:
            self._consumer.close()

    def _catch_up(self, places: list[tuple[str, int]], committed: bool, deadline: float) -> None:
        with reaching(self._bootstrap):
            ends = end_offsets(self._admin, places, committed=committed)
            while any(self._reached[place] < end for place, end in ends.items()):
                if time.monotonic() > deadline:
                    raise DeadlineError(f"{self.topic} could not be read to its end in time")
                for message in available(self._consumer, _TURN):
                    self._take(message)

    def _take(self, message: Message) -> None:
        place, offset = (self.topic, message.partition() or 0), message.offset() or 0
        if not is_record(message):
            self._reached[place] = max(self._reached[place], offset)  # the notice of an end counts transaction marks
            return
        self._reached[place] = offset + 1
        key, value = message.key() or b"", message.value()
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = value

    def _decoded(self, key: bytes, value: bytes) -> Row:
        try:
            return cast(Row, self._codec.decode(value))
        except DecodeError as error:
            raise ContractError(f"{self.topic}, row {key!r}: {error}") from error


class Tables:
    """The tables of a context's views, each made when it is first read; they follow a view to its live generation."""

    def __init__(self, bootstrap: str, topology: Topology, codec: Codec) -> None:
        self._bootstrap, self._topology, self._codec = bootstrap, topology, codec
        self._tables: dict[str, Table[Any]] = {}
        self._looked: dict[str, float] = {}
        self._lock = threading.Lock()

    def of(self, view: View[Any, Row]) -> Table[Row]:
        """The table of a view; ConfigError where the context or the cluster has no such view."""
        if view not in self._topology.views:
            raise ConfigError(f"{view.name} is no view of {self._topology.name}")
        with self._lock:
            if time.monotonic() - self._looked.get(view.name, float("-inf")) > LOOK_AGAIN_S:
                self._follow(view)
                self._looked[view.name] = time.monotonic()
            return self._tables[view.name]

    def close(self) -> None:
        """Leaves the cluster."""
        for made in self._tables.values():
            made.close()

    def _follow(self, view: View[Any, Any]) -> None:
        live = current(self._bootstrap, self._topology.name, view.name).live
        before = self._tables.get(view.name)
        if before is None or before.generation != live:
            progress = Progress(self._bootstrap, self._topology, view.sources, live)
            self._tables[view.name] = Table(
                self._bootstrap, self._topology, self._codec, progress, live, home=view.home
            )
            if before is not None:
                before.close()
