"""Views in the engine: events in, rows out; one row a key and batch, the last."""

from collections.abc import Iterator, Mapping
from typing import Any

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import DecodeError, EncodeError, RegistryError, StateError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.batch import Output, Received
from foldlog.engine.kind import Folding
from foldlog.engine.routing import moved
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import FAULTS, LONGEST_KEY, Work, fitting, key_of, place_of


class Viewing(Folding[Record]):
    """One view over the logs of its sources; its compacted topic is its log."""

    kind = "view"

    def __init__(self, topology: Topology, view: View[Any, Any], codec: Codec) -> None:
        self.name = view.name
        self.log = topics.table(topology.name, view.name)
        self._rekeyed = topics.rekeyed(topology.name, view.name)
        self.inputs = (*(topics.events(topology.name, source.name) for source in view.sources), self._rekeyed)
        self.trims = (self._rekeyed,)
        self._view = view
        self._codec = codec
        self._evolve = with_meta(view.evolve)
        self._accepts = frozenset(view.events)
        self.count = self._partitions = topology.partitions

    def rows(self, store: Store, cached: int) -> Rows[Record]:
        """The rows of one partition."""
        return Rows(store, self._pack, self._codec.decode, cached)

    def handle(self, message: Received, rows: Rows[Record], work: Work) -> None:
        """Folds one event into its row."""
        value = message.value()
        if value is None:  # a deleted aggregate
            return
        try:
            event, meta = self._codec.decode_with(value)
        except DecodeError as error:
            work.dead_letter(message, error.cause, str(error))
            return
        if type(event) not in self._accepts:
            return
        try:
            self._fold(message, event, meta, rows, work)
        except (RegistryError, StateError):
            raise
        except (DecodeError, EncodeError) as error:
            self.fail(message, work, error.cause, error)
        except FAULTS as error:
            self.fail(message, work, "fold-failed", error)

    def outputs(self, packed: Mapping[bytes, bytes | None], partition: int) -> Iterator[Output]:
        """The changed rows, as records of the view's topic."""
        return (Output(self.log, partition, key, row) for key, row in packed.items())

    def replay(self, message: Received, rows: Rows[Record]) -> None:
        """Takes one row from the view's topic."""
        key, value = message.key(), message.value()
        if key is not None:
            rows.set(key, None if value is None else self._codec.decode(value))

    def _fold(self, message: Received, event: Record, meta: Meta, rows: Rows[Record], work: Work) -> None:
        name = self._view.key(event)
        if name is None or moved(message, name, self._rekeyed, self._partitions, work):
            return
        key = key_of(name)
        before = rows.get(key)
        row = self._view.initial if before is None else before
        after = self._evolve(row, event, replace(meta, position=place_of(message)))
        if after is not before:
            rows.set(key, after)

    def _pack(self, row: Record) -> bytes:
        packed = self._codec.encode(row)
        fitting(Output(self.log, 0, LONGEST_KEY, packed))
        return packed
