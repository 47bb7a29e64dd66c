"""A view's rows, folded from its logs anew by the view's own functions."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from foldlog.contracts.codec import FRAME, Codec
from foldlog.contracts.encoder import encoder
from foldlog.core.errors import DecodeError
from foldlog.core.folding import with_meta
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.view import View
from foldlog.engine.batch import Output, Place, Received
from foldlog.engine.work import FAULTS, LONGEST_KEY, fitting, key_of, place_of, text_of


class Step(NamedTuple):
    """An event that belongs to a row: the row's key, and where the event stands."""

    key: bytes
    event: Record
    meta: Meta
    place: Place
    offset: int


class Folded(NamedTuple):
    """A row, None where it was deleted, and the place and version of the last event in it."""

    row: Record | None
    last: str
    version: int


class Refold:
    """Rows by key; a key whose event cannot be folded is in `failures`, with the reason, and goes no further."""

    def __init__(self, view: View[Any, Any], codec: Codec) -> None:
        self.rows: dict[bytes, Folded] = {}
        self.failures: dict[bytes, str] = {}
        self.events = 0
        self._view = view
        self._codec = codec
        self._pack = encoder(view.row)
        self._evolve = with_meta(view.evolve)
        self._accepts = frozenset(view.events)

    def steps(self, messages: Iterable[Received]) -> Iterator[Step]:
        """Those of the records that the view wants; the engine puts aside what cannot be read or has no key."""
        for message in messages:
            value = message.value()
            try:
                event, meta = (None, None) if value is None else self._codec.decode_with(value)
            except DecodeError:
                continue
            if event.__class__ not in self._accepts or meta is None or event is None:
                continue
            try:
                name = self._view.key(event)
                key = None if name is None else key_of(name)
            except FAULTS:
                continue
            if key is not None:
                meta = replace(meta, position=place_of(message))
                yield Step(key, event, meta, (message.topic(), message.partition()), message.offset())

    def take(self, step: Step) -> None:
        """Folds one event into its row."""
        self.events += 1
        if step.key in self.failures:
            return
        try:
            row = self.after(step, self.row(step.key))
            if row is not None:
                self.packed(row)
        except FAULTS as error:
            self.failures[step.key] = f"{step.meta.position}: {text_of(error)}"
        else:
            self.rows[step.key] = Folded(row, step.meta.position, step.meta.version)

    def after(self, step: Step, row: Record | None) -> Record | None:
        """The row after an event; raises what the view raises."""
        found: Record | None = self._evolve(self._view.initial if row is None else row, step.event, step.meta)
        return found

    def packed(self, row: Record) -> bytes:
        """A row as bytes; raises where it does not fit its schema or a record."""
        found = self._pack(row)
        fitting(Output("the view", 0, LONGEST_KEY, bytes(FRAME) + found))
        return found

    def row(self, key: bytes) -> Record | None:
        """The row of a key so far."""
        found = self.rows.get(key)
        return None if found is None else found.row
