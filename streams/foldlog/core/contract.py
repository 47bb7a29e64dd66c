"""The contracts of a context: which record types travel, under which Avro name, in which part."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.topology import Topology, foreign

Part = Literal["command", "event", "public", "state", "row", "process"]


@dataclass(frozen=True)
class Contract:
    """One record type on the wire: `name` is its Avro full name, `context.owner.Record`.

    The Avro schema of an event, private or public, ends with the engine's field `meta` (foldlog.Meta), that of an
    aggregate's state with `snapshot` (foldlog.Snapshot), that of a process (a saga's state) with `process`
    (foldlog.Process).
    """

    record: type[Record]
    context: str
    owner: str
    part: Part

    @property
    def namespace(self) -> str:
        """The Avro namespace, `context.owner`."""
        return f"{self.context}.{self.owner}"

    @property
    def name(self) -> str:
        """The Avro full name."""
        return f"{self.namespace}.{self.record.__name__}"

    @property
    def envelope(self) -> tuple[str, type[Record]] | None:
        """The engine's last field of the schema: its name and type."""
        match self.part:
            case "event" | "public":
                return "meta", Meta
            case "process":
                return "process", Process
            case "state":
                return "snapshot", Snapshot
            case "command" | "row":
                return None


class Timer(Record):
    """A step that a saga waits for: when it is due, the step as a message, and what it was caused by."""

    name: str
    due: datetime
    step: bytes
    causation: str
    correlation: str
    actor: str | None = None


class Taken(Record):
    """A step that a saga took: its type and time, what caused it, and the types of the commands that it sent."""

    number: int
    step: str
    time: datetime
    causation: str
    actor: str | None = None
    sent: tuple[str, ...] = ()


class Process(Record):
    """What the engine keeps beside a saga's state: how many steps it took, whether it has ended, its timers.

    `version` is that of the definition which it follows, `taken` are its latest steps, the oldest first, `timers` what
    it waits for, the earliest first, `due` the time of that one.
    """

    steps: int
    ended: bool
    version: int = 1
    taken: tuple[Taken, ...] = ()
    timers: tuple[Timer, ...] = ()
    due: datetime | None = None


class Handled(Record):
    """A command that wrote events: its id, and the last version that it wrote."""

    id: str  # a digest of it: `engine/remembered.py`
    version: int


class Snapshot(Record):
    """What the engine keeps beside an aggregate's state: its version and its latest commands, the oldest first."""

    version: int
    handled: tuple[Handled, ...]


class Checkpoint(Record):
    """Ends a sweep of a partition: its snapshots and the log from `position` make the state, which had `rows` rows.

    `log` is of what the state was made: the log's topic and the shape of the state.
    """

    position: int
    log: str
    rows: int


def contracts(topology: Topology) -> tuple[Contract, ...]:
    """Every contract of a context, in the order of its processors."""
    return tuple(_contracts(topology))


def _contracts(topology: Topology) -> Iterator[Contract]:
    context = topology.name
    for decider in topology.deciders:
        yield from (Contract(kind, context, decider.name, "command") for kind in decider.commands)
        yield from (Contract(kind, context, decider.name, "event") for kind in decider.events)
        yield Contract(decider.state, context, decider.name, "state")
    for saga in topology.sagas:
        yield from (Contract(kind, context, saga.name, "command") for kind in saga.commands)
        yield from (Contract(state, context, saga.name, "process") for state in saga.states)
    for view in topology.views:
        yield Contract(view.row, context, view.name, "row")
    for publication in topology.publishes:
        yield from (Contract(kind, context, publication.name, "public") for kind in publication.records)


def consumed(topology: Topology) -> tuple[Contract, ...]:
    """What a context reads of others: their public events under their names, with the fields that it wants."""
    return tuple(_foreign(kind, publisher) for kind, publisher in foreign(topology))


def _foreign(kind: type[Record], publisher: str) -> Contract:
    context, _, publication = publisher.partition(".")
    return Contract(kind, context, publication, "public")
