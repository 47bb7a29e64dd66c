"""Views in the engine: events in, rows out; one row a key and batch, the last."""

from typing import Any

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.enriching import Look, evolution, nothing
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.signatures import wants_meta
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.batch import Received
from foldlog.engine.beside import Beside
from foldlog.engine.kind import Table
from foldlog.engine.repairing import repaired
from foldlog.engine.routing import moved
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import FAULTS, Work, key_of, place_of


class Viewing(Table[Record]):
    """One view over the logs of its sources; its compacted topic is its log."""

    kind = "view"

    def __init__(self, topology: Topology, view: View[Any, Any], codec: Codec, beside: Beside | None = None) -> None:
        self.name = view.generation
        self.log = topics.table(topology.name, view.generation)
        self._rekeyed = topics.rekeyed(topology.name, view.generation)
        self.repairs = topics.repairs(topology.name)
        sources = (topics.events(topology.name, source.name) for source in view.sources)
        self.inputs = (*sources, self._rekeyed, self.repairs)
        self.trims = (self._rekeyed,)
        self._view = view
        self._codec = codec
        self._beside = beside
        self._look: Look = nothing if beside is None else beside.get
        self._evolve = evolution(view, self._look)
        self._accepts = frozenset(view.events)
        self.envelopes = wants_meta(view.evolve)
        self.count = topology.partitions

    def rows(self, store: Store, memory: int) -> Rows[Record]:
        """The rows of one partition."""
        return Rows(store, self._pack, self._codec.decode, memory)

    def handle(self, message: Received, rows: Rows[Record], work: Work) -> None:
        """Folds one event into its row."""
        found = self.read(message, work)
        if found is None:
            return
        if found[0].__class__ not in self._accepts:
            repaired(self, message, found[0], rows, work)
            return
        work.home = None
        try:
            self._fold(message, *found, rows, work)
        except FAULTS as error:
            self.blame(message, work, error, "fold-failed")

    def close(self) -> None:
        """Ends the following of another view."""
        if self._beside is not None:
            self._beside.close()

    def _fold(self, message: Received, event: Record, meta: Meta | None, rows: Rows[Record], work: Work) -> None:
        name = self._view.key(event)
        if name is None:
            return
        key = key_of(name)
        before = rows.get(key)  # a row that is here is at home
        if before is None and moved(message, key, self._rekeyed, self.count, work):
            return
        if work.waits(key, message):
            return
        row = self._view.initial if before is None else before
        after = self._evolve(row, event, meta and replace(meta, position=place_of(message)))
        if after is not before:
            rows.set(key, after)

    def _pack(self, row: Record) -> bytes:
        return self.fitted(self._codec.encode(row))
