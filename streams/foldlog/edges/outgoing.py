"""Events out: an edge is a reactor of the engine whose effect tells another system of one event.

So it has what reactors have: the order of each aggregate, tries at growing intervals, parked keys and their repair.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from foldlog.core.contract import contracts
from foldlog.core.errors import ConfigError
from foldlog.core.meta import Meta
from foldlog.core.reactor import Heard, Reactor, Sender
from foldlog.core.record import Record
from foldlog.core.steps import Retry
from foldlog.core.topology import Topology
from foldlog.edges.cloudevents import CloudEvent, of_event

FIRST, LONGEST = timedelta(seconds=0.5), timedelta(minutes=5)  # between two tries


class Target(Protocol):
    """Where events go."""

    async def tell(self, event: CloudEvent) -> None:
        """Tells one event, once.

        Raises UnreachableError where nothing can be told now, RefusedError where this event was not taken.
        """

    async def close(self) -> None:
        """Closes its connections."""


class Wishes(Record):
    """The edge's name in its context; which events it tells, all where none is named; where it starts that never was.

    `most` events are told at once, one that was not taken `retries` times again.
    """

    name: str
    events: tuple[str, ...]
    start: str
    most: int
    retries: int


class Telling:
    """The effect of one event; each event loop gets a target of its own, whose connections are the loop's."""

    def __init__(self, topology: Topology, made: Callable[[], Target]) -> None:
        self._contracts = {each.record: each for each in contracts(topology)}
        self._made, self._target = made, made()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, event: Record, meta: Meta, _: Sender) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._target = loop, self._made()
        await self._target.tell(of_event(event, meta, self._contracts[type(event)]))

    async def close(self) -> None:
        """Closes the target's connections, before their loop ends."""
        await self._target.close()


def chosen(topology: Topology, names: Sequence[str]) -> tuple[type[Record], ...]:
    """The event types of these names; without names what the context publishes, else every event of its own.

    Raises ConfigError where there is no such event, or where a name is that of two.
    """
    part = "public" if topology.publishes else "event"
    known = [each for each in contracts(topology) if each.part in ("event", "public")]
    if not names:
        return tuple(each.record for each in known if each.part == part)
    found = []
    for name in names:
        kinds = [each.record for each in known if name in (each.record.__name__, each.name)]
        if len(kinds) != 1:
            those = ", ".join(each.name for each in known)
            raise ConfigError(f"`{name}` is {'two events' if kinds else 'no event'} of {topology.name}; it has {those}")
        found += kinds
    return tuple(found)


def with_edge(topology: Topology, wishes: Wishes, made: Callable[[], Target]) -> tuple[Topology, Reactor[Record]]:
    """The context with an edge as one reactor more; TopologyError where its name is none, or is taken."""
    kinds = chosen(topology, wishes.events)
    owners = {each.record: each.owner for each in contracts(topology)}
    tellers: tuple[Heard, ...] = (*topology.deciders, *topology.publishes)
    sources = tuple(each for each in tellers if each.name in {owners[kind] for kind in kinds})
    retry = Retry(wishes.retries, FIRST, longest=LONGEST)
    edge = Reactor[Record](wishes.name, sources, Telling(topology, made), retry, kinds)
    return replace(topology, reactors=(*topology.reactors, edge)), edge
