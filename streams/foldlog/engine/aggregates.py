"""Aggregates in the engine: their log folded, their rows as bytes, their snapshots."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from foldlog.contracts.codec import Codec
from foldlog.contracts.envelopes import read_snapshot, snapshot
from foldlog.contracts.schema import schema_of
from foldlog.core import topics
from foldlog.core.decider import Decider
from foldlog.core.errors import RegistryError, StateError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.signatures import wants_meta
from foldlog.core.topology import Topology
from foldlog.engine.batch import Output, Received
from foldlog.engine.kind import Folding
from foldlog.engine.remembered import FORM, NOTHING, Remembered, ids_in, item_of, items_of, remember_event
from foldlog.engine.rows import Rows
from foldlog.engine.store import Store
from foldlog.engine.work import LARGEST, LONGEST_KEY, fitting, place_of, text_of


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """An aggregate in memory: its version, its latest commands (see `remembered`), its state."""

    version: int
    known: Remembered
    state: Any


class Cause(Record):
    """What a replay needs of an event's Meta."""

    aggregate_id: str
    version: int
    causation: str


class Aggregates(Folding[Aggregate]):
    """The state side of a decider; the events topic is its log."""

    forgets = False

    def __init__(self, topology: Topology, decider: Decider[Any, Any, Any], codec: Codec) -> None:
        context = topology.name
        self.name = decider.name
        self.log = topics.events(context, decider.name)
        self.snapshots = topics.snapshots(context, decider.name)
        self.count = topology.partitions
        self.places = f"{topics.commands(context, decider.name)}:"
        self._decider = decider
        self._codec = codec
        # Time is spent on Meta only where a function asks for it.
        self._told = wants_meta(decider.decide) or wants_meta(decider.evolve)
        self._evolve: Callable[..., Any] = with_meta(decider.evolve) if self._told else decider.evolve
        self._read = codec.decoding_with(Meta if self._told else Cause)
        self.blank = Aggregate(0, NOTHING, decider.initial)

    def fingerprint(self) -> str:
        """Of the state's schema and the form of ids: what has another is folded again from the log, never guessed."""
        schema = schema_of(self._codec.contract(self._decider.state))
        return f"{zlib.crc32(msgspec.json.encode(schema, order='deterministic'), FORM):08x}"

    def rows(self, store: Store, memory: int) -> Rows[Aggregate]:
        """The aggregates of one partition."""
        return Rows(store, self._pack, self._unpack, memory, marks=True)

    def take(self, messages: Sequence[Received], rows: Rows[Aggregate], position: int) -> None:
        """Folds events of the log; an event that the state already has passes by."""
        if not rows.whole:
            rows.fetch(key.rpartition(b"@")[0] for message in messages if (key := message.key()) is not None)
        self.replay_all(messages, rows)
        if not rows.pack():
            raise StateError(f"{self.name}: a state folded from its log does not fit its schema")
        rows.apply(position)

    def replay_all(self, messages: Iterable[Received], rows: Rows[Aggregate]) -> None:
        """Folds events in their order."""
        for message in messages:
            self.replay(message, rows)

    def replay(self, message: Received, rows: Rows[Aggregate]) -> None:
        """Folds one event; StateError where it cannot be."""
        try:
            self._replay(message, rows)
        except (RegistryError, StateError):
            raise
        except Exception as error:
            raise StateError(f"{place_of(message)} cannot be folded: {text_of(error)}") from error

    def _replay(self, message: Received, rows: Rows[Aggregate]) -> None:
        key, value = message.key(), message.value()
        if key is None or value is None:
            return
        event, cause = self._read(value)
        id_ = cause.aggregate_id.encode()
        aggregate = rows.get(id_) or self.blank
        if cause.version <= aggregate.version:
            return
        if cause.version != aggregate.version + 1:
            raise StateError(
                f"{place_of(message)}: {cause.aggregate_id} goes from version {aggregate.version} to {cause.version}; "
                "events between are missing from the log"
            )
        evolve = self._evolve
        state = evolve(aggregate.state, event, cause) if self._told else evolve(aggregate.state, event)
        known = aggregate.known
        if not cause.causation.startswith(self.places):
            known = remember_event(item_of(cause.causation), cause.version, known)
        rows.set(id_, Aggregate(cause.version, known, state))

    def _pack(self, aggregate: Aggregate) -> bytes:
        """The state as a record of the snapshots topic, which must take it too."""
        envelope = snapshot(aggregate.version, aggregate.known[0], items_of(aggregate.known))
        packed = self._codec.encode_before(aggregate.state, envelope)
        return (
            packed
            if len(packed) <= LARGEST - len(LONGEST_KEY)
            else fitting(Output(self.snapshots, 0, LONGEST_KEY, packed)).value or b""
        )

    def _unpack(self, packed: bytes) -> Aggregate:
        state, at = self._codec.decode_until(packed)
        version, count, start = read_snapshot(packed, at)
        return Aggregate(version, ids_in(packed, count, start), state)
