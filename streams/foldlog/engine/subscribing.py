"""Subscriptions in the engine: another context's public event in, a command of this context out.

An event that cannot be translated is parked under the key of its record, with all that follow it there.
"""

from typing import Any

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import DecodeError
from foldlog.core.folding import translating
from foldlog.core.meta import Meta
from foldlog.core.record import Record, replace
from foldlog.core.subscription import Subscription
from foldlog.core.topology import Topology
from foldlog.engine.batch import Received
from foldlog.engine.commanding import derived_id, sent_command
from foldlog.engine.kind import Kind
from foldlog.engine.repairing import repaired
from foldlog.engine.work import FAULTS, LONGEST_KEY, Work, meta_of_command, place_of


class Subscribing(Kind):
    """One subscription over its publisher's topic; it has no state, and its commands' ids follow from the events'."""

    kind = "subscription"

    def __init__(self, topology: Topology, subscription: Subscription[Any, Any], codec: Codec) -> None:
        self.name = subscription.name
        self.repairs = topics.repairs(topology.name, subscription.name)
        self.inputs = (subscription.publisher, self.repairs)
        self._topology = topology
        self._codec = codec
        self._translate = translating(subscription.translate)
        self._names = frozenset(f"{subscription.publisher}.{kind.__name__}" for kind in subscription.records)

    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Translates one event; those that this context does not know are others' business."""
        ordered = message.topic() == self.repairs
        found = self.read(message, work) if ordered or self._is_known(message, work) else None
        if found is None:
            return
        if ordered:
            repaired(self, message, found[0], rows, work)
            return
        work.home, key = None, _key(message)
        try:
            if key is None or not work.waits(key, message):
                self._send(message, *found, work)
        except FAULTS as error:
            self.blame(message, work, error, "fold-failed")

    def _is_known(self, message: Received, work: Work) -> bool:
        value = message.value()
        try:
            return value is not None and self._codec.name(value) in self._names
        except DecodeError as error:
            self.fail(message, work, error.cause, error)
            return False

    def _send(self, message: Received, event: Record, meta: Meta | None, work: Work) -> None:
        meta = replace(meta, position=place_of(message)) if meta else _meta(message)
        command = self._translate(event, meta)
        if command is not None:
            id_ = derived_id(self.name, meta.event_id)
            work.outputs.append(sent_command(self._topology, self._codec, command, id_, meta))


def _key(message: Received) -> bytes | None:
    """What events wait in order by; None where it has no name, as others write whatever keys they like."""
    key = message.key()
    if key is None or len(key) > len(LONGEST_KEY):
        return None
    try:
        key.decode()
    except UnicodeDecodeError:
        return None
    return key


def _meta(message: Received) -> Meta:
    """The Meta of an event whose publisher writes none: its place is its id."""
    place = place_of(message)
    meta = meta_of_command(message, (message.key() or b"").decode("utf-8", "replace"), 0, {}, place)
    return replace(meta, event_id=place)
