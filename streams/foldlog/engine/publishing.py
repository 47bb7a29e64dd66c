"""Publications in the engine: a private event in, its public event out, in the same place and order.

An aggregate whose event cannot be translated is parked: others must not hear of what came later before they hear of it.
"""

from typing import Any

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import DecodeError
from foldlog.core.folding import translating
from foldlog.core.meta import Meta
from foldlog.core.publication import Publication
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.engine.batch import Output, Received
from foldlog.engine.kind import Kind
from foldlog.engine.repairing import repaired
from foldlog.engine.work import FAULTS, Work, fitting, place_of


class Publishing(Kind):
    """One publication over the logs of its sources; it has no state, its topic and offsets move together."""

    kind = "publication"

    def __init__(self, topology: Topology, publication: Publication[Any, Any], codec: Codec) -> None:
        self.name = publication.name
        self.repairs = topics.repairs(topology.name)
        self.inputs = (*(topics.events(topology.name, source.name) for source in publication.sources), self.repairs)
        self.output = topics.public(topology.name, publication.name)
        self._codec = codec
        self._translate = translating(publication.translate)
        self._accepts = frozenset(publication.events)

    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Translates one event."""
        found = self.read(message, work)
        if found is None:
            return
        event, meta = found
        if event.__class__ not in self._accepts:
            repaired(self, message, event, rows, work)
            return
        work.home = None
        try:
            self._publish(message, event, meta, work)
        except FAULTS as error:
            self.blame(message, work, error, "fold-failed")

    def _publish(self, message: Received, event: Record, meta: Meta | None, work: Work) -> None:
        """The public event keeps the Meta and time of the private one, and its aggregate's partition."""
        if meta is None:
            raise DecodeError(f"{type(event).__name__} has no meta")
        key = meta.aggregate_id.encode()
        if work.waits(key, message):
            return
        public = self._translate(event, replace(meta, position=place_of(message)))
        if public is not None:
            value = self._codec.encode(public, meta)
            output = Output(self.output, message.partition(), key, value, None, message.timestamp()[1])
            work.outputs.append(fitting(output))
