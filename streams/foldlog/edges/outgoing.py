"""Events out: taken from Kafka in order, told to another system, and committed only when that has them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import structlog

from foldlog.client.asynchronous import AsyncClient, AsyncSubscription
from foldlog.contracts.codec import Codec
from foldlog.core.contract import contracts
from foldlog.core.errors import ConfigError, UnreachableError
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.edges.cloudevents import CloudEvent, of_event
from foldlog.edges.waiting import Patience

log = structlog.get_logger()

SAY_S = 10.0


class Target(Protocol):
    """Where events go."""

    async def tell(self, events: list[CloudEvent]) -> list[CloudEvent]:
        """Tells events in their order; those that must be told again, from the first that was not taken on.

        Raises UnreachableError where nothing can be told now.
        """


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


class Outgoing:
    """Tells a target every event of a subscription, at least once, each aggregate's in order."""

    def __init__(self, codec: Codec, target: Target, most: int) -> None:
        self._codec, self._target, self._most = codec, target, most
        self._patience = Patience()
        self._said = time.monotonic()
        self.told = 0

    async def run(self, subscription: AsyncSubscription[Record], stopping: asyncio.Event) -> None:
        """Goes on until it is told to stop; what it was then telling is told again by the next."""
        while not stopping.is_set():
            events = [of_event(received, self._codec) for received in await subscription.take(self._most)]
            while events and not stopping.is_set():
                events = await self._tell(events, subscription)
            if not events:
                await subscription.commit()
            self._say()

    async def _tell(self, events: list[CloudEvent], subscription: AsyncSubscription[Record]) -> list[CloudEvent]:
        try:
            left = await self._target.tell(events)
        except UnreachableError as error:
            wait = self._patience.next()
            log.warning("the events wait", because=str(error), seconds=wait, events=len(events))
            await subscription.rest(wait)
            return events
        self.told += len(events) - len(left)
        if len(left) < len(events):
            self._patience.reset()
        if left:
            await subscription.rest(self._patience.next())
        return left

    def _say(self) -> None:
        if self.told and time.monotonic() - self._said > SAY_S:
            self._said = time.monotonic()
            log.info("events were told", events=self.told)


async def follow(client: AsyncClient, target: Target, stopping: asyncio.Event, wishes: "Wishes") -> None:
    """Tells a target what a context has to say, until it is told to stop."""
    kinds = chosen(client.topology, wishes.events)
    async with client.subscribe(*kinds, start=wishes.start, group=wishes.group) as subscription:
        await Outgoing(client.codec, target, wishes.most).run(subscription, stopping)


class Wishes(Record):
    """Which events, as which group, from where where the group never was, and how many at once."""

    group: str
    events: tuple[str, ...] = ()
    start: str = "beginning"
    most: int = 100
