"""The topology: one bounded context as a value, checked when it is made."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from foldlog.core.decider import Decider
from foldlog.core.enriching import check_lookup
from foldlog.core.errors import TopologyError
from foldlog.core.publication import Publication
from foldlog.core.reactor import Reactor
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.serving import check_serving
from foldlog.core.subscription import Subscription
from foldlog.core.view import View
from foldlog.core.windowing import check_windows

Reader = View[Any, Any] | Saga[Any, Any, Any] | Reactor[Any] | Publication[Any, Any]
Processor = Decider[Any, Any, Any] | Reader | Subscription[Any, Any]

RESERVED = frozenset(
    {
        "commands",
        "dead-letters",
        "events",
        "generations",
        "inbox",
        "parked",
        "rekeyed",
        "repairs",
        "replies",
        "snapshots",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PUBLISHER = re.compile(rf"({_NAME.pattern})\.{_NAME.pattern}")


@dataclass(frozen=True)
class Topology:
    """A bounded context: its name and its processors; feeds run, describe, topics and schemas.

    `partitions` is the number of partitions of every keyed topic; a log's count is fixed once it is written.
    Raises TopologyError where names collide, a command has no decider or a source is of another context.
    """

    name: str
    deciders: tuple[Decider[Any, Any, Any], ...] = ()
    views: tuple[View[Any, Any], ...] = ()
    sagas: tuple[Saga[Any, Any, Any], ...] = ()
    reactors: tuple[Reactor[Any], ...] = ()
    publishes: tuple[Publication[Any, Any], ...] = ()
    consumes: tuple[Subscription[Any, Any], ...] = ()
    partitions: int = 4

    def __post_init__(self) -> None:
        _check_names(self)
        _check_types(self)
        _check_sources(self)
        _check_routes(self)
        _check_publishers(self)
        for view in self.views:
            check_windows(view)
            check_lookup(view, self.views)
            check_serving(view.name, view.row, view.serving)

    @property
    def processors(self) -> tuple[Processor, ...]:
        """Every processor, deciders first."""
        return (*self.deciders, *self.sagas, *self.views, *self.reactors, *self.publishes, *self.consumes)

    @property
    def parking(self) -> dict[str, int]:
        """Those that park a key whose record fails, by name as their topics have it, with the partitions they read."""
        views = (view.generation for view in self.views)
        sagas, reactors = (saga.name for saga in self.sagas), (reactor.name for reactor in self.reactors)
        own = (*sagas, *views, *reactors, *(publication.name for publication in self.publishes))
        others = {each.name: each.partitions or self.partitions for each in self.consumes}
        return {**dict.fromkeys(own, self.partitions), **others}

    @cached_property
    def deciders_by_command(self) -> dict[type[Record], Decider[Any, Any, Any]]:
        """The one decider that accepts each command type."""
        return {kind: decider for decider in self.deciders for kind in decider.commands}

    def processor(self, name: str) -> Processor:
        """The processor of that name; TopologyError lists the names where there is none."""
        for processor in self.processors:
            if processor.name == name:
                return processor
        known = ", ".join(processor.name for processor in self.processors)
        raise TopologyError(f"{self.name} has no processor `{name}`; it has {known}")


def _check_names(topology: Topology) -> None:
    names = [topology.name, *(processor.name for processor in topology.processors)]
    for name in names:
        if not _NAME.fullmatch(name):
            raise TopologyError(f"name `{name}`: use lower case letters, digits and _, a letter first")
        if name in RESERVED:
            raise TopologyError(f"name `{name}` is reserved for the engine's topics")
    for view in topology.views:
        if view.version < 1:
            raise TopologyError(f"{view.name}: versions begin at 1, not {view.version}")
    for name, count in Counter(names[1:]).items():
        if count > 1:
            raise TopologyError(f"{topology.name}: {count} processors are called `{name}`; names are unique")
    if topology.partitions < 1:
        raise TopologyError(f"{topology.name}: partitions must be at least 1, not {topology.partitions}")


def _roles(topology: Topology) -> Iterator[tuple[type[Record], str]]:
    for decider in topology.deciders:
        yield from ((kind, f"command of {decider.name}") for kind in decider.commands)
        yield from ((kind, f"event of {decider.name}") for kind in decider.events)
        yield decider.state, f"state of {decider.name}"
    for view in topology.views:
        yield view.row, f"row of {view.name}"
    for saga in topology.sagas:
        yield from ((kind, f"command of {saga.name}") for kind in saga.commands)
        yield from ((state, f"state of {saga.name}") for state in saga.states)
    for publication in topology.publishes:
        yield from ((kind, f"public event of {publication.name}") for kind in publication.records)
    yield from ((kind, f"event of {publisher}") for kind, publisher in foreign(topology))


def foreign(topology: Topology) -> tuple[tuple[type[Record], str], ...]:
    """The public events of other contexts that a context reads, as it declares them, each with its publisher."""
    read = ((kind, subscription.publisher) for subscription in topology.consumes for kind in subscription.records)
    return tuple(dict.fromkeys(read))


def _check_types(topology: Topology) -> None:
    """A type plays one part only, and a command never inherits from an event: `case Post()` would take both."""
    roles: dict[type[Record], str] = {}
    for kind, role in _roles(topology):
        if kind in roles:
            raise TopologyError(f"{kind.__name__} is {roles[kind]} and {role}; a type plays one part only")
        roles[kind] = role
    for kind, role in roles.items():
        parent = next((base for base in kind.__mro__[1:] if base in roles), None)
        if parent is not None:
            raise TopologyError(
                f"{kind.__name__} ({role}) inherits from {parent.__name__} ({roles[parent]}): "
                f"`case {parent.__name__}()` would match both; let them share a base instead"
            )


def _check_sources(topology: Topology) -> None:
    readers: tuple[Reader, ...] = (*topology.views, *topology.sagas, *topology.reactors, *topology.publishes)
    for reader in readers:
        for source in reader.sources:
            if source not in (*topology.deciders, *topology.publishes):
                part = "publication" if isinstance(source, Publication) else "decider"
                raise TopologyError(f"{reader.name}: source `{source.name}` is not a {part} of {topology.name}")
        told = [source.records if isinstance(source, Publication) else source.events for source in reader.sources]
        known = {kind for kinds in told for kind in kinds}
        for kind in () if isinstance(reader, Saga) else reader.events:
            if kind not in known:
                raise TopologyError(f"{reader.name}: no source of it writes {kind.__name__}")


def _check_routes(topology: Topology) -> None:
    senders: tuple[Saga[Any, Any, Any] | Subscription[Any, Any], ...] = (*topology.sagas, *topology.consumes)
    for sender in senders:
        for kind in sender.sends:
            if kind not in topology.deciders_by_command:
                raise TopologyError(f"{sender.name} sends {kind.__name__}, which no decider of {topology.name} accepts")


def _check_publishers(topology: Topology) -> None:
    named: dict[str, type[Record]] = {}
    for subscription in topology.consumes:
        name, publisher = subscription.name, subscription.publisher
        match = _PUBLISHER.fullmatch(publisher)
        if match is None:
            raise TopologyError(f"{name}: publisher `{publisher}` is not CONTEXT.PUBLICATION, as in banking.transfers")
        if match[1] == topology.name:
            raise TopologyError(f"{name}: {publisher} is of its own context; a saga or a view reads its events")
        if subscription.partitions is not None and subscription.partitions < 1:
            raise TopologyError(f"{name}: partitions must be at least 1, not {subscription.partitions}")
        for kind in subscription.records:
            if named.setdefault(f"{publisher}.{kind.__name__}", kind) is not kind:
                raise TopologyError(f"{name}: {publisher}.{kind.__name__} is declared twice; share one type")
