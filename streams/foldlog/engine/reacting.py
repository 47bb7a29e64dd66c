"""Reactors in the engine: side effects of a batch, concurrent between aggregates, in order within each."""

import asyncio
from collections import defaultdict
from typing import Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.meta import Meta
from foldlog.core.reactor import Reactor, Sender
from foldlog.core.record import Record, replace
from foldlog.core.topology import Topology
from foldlog.engine.batch import Received
from foldlog.engine.kind import Kind
from foldlog.engine.work import FAULTS, Work, place_of, text_of

log = structlog.get_logger()

_TRIES = 5
_FIRST_PAUSE = 0.2  # s, doubled after each failure
_LONGEST_TRY = 30.0  # s
_AT_ONCE = 32

Effect = tuple[Received, Record, Meta]


class Reacting(Kind):
    """One reactor over the logs of its sources; it has no state, and its offsets follow its effects."""

    kind = "reactor"

    def __init__(self, topology: Topology, reactor: Reactor[Any], codec: Codec, send: Sender) -> None:
        self.name = reactor.name
        self.inputs = tuple(topics.events(topology.name, source.name) for source in reactor.sources)
        self._reactor = reactor
        self._codec = codec
        self._send = send
        self._accepts = frozenset(reactor.events)

    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Takes one event up for the end of the batch."""
        del rows
        found = self.read(message, work)
        if found is None:
            return
        event, meta = found
        if meta is None:
            work.dead_letter(message, "malformed", f"{type(event).__name__} has no meta")
        elif type(event) in self._accepts:
            work.effects.append((message, event, replace(meta, position=place_of(message))))

    def finish(self, work: Work) -> None:
        """Runs the effects of the batch; returns when each has succeeded or is put aside."""
        if work.effects:
            asyncio.run(self._run(work.effects, work))

    async def _run(self, effects: list[Effect], work: Work) -> None:
        by_aggregate: dict[str, list[Effect]] = defaultdict(list)
        for effect in effects:
            by_aggregate[effect[2].aggregate_id].append(effect)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one_aggregate(own: list[Effect]) -> None:
            async with places:
                for effect in own:
                    await self._effect(effect, work)

        await asyncio.gather(*(one_aggregate(own) for own in by_aggregate.values()))

    async def _effect(self, effect: Effect, work: Work) -> None:
        message, event, meta = effect
        pause = _FIRST_PAUSE
        for left in reversed(range(_TRIES)):
            try:
                return await asyncio.wait_for(self._reactor.handle(event, meta, self._send), _LONGEST_TRY)
            except FAULTS as error:
                if not left:
                    return self.fail(message, work, "handle-failed", error)
                log.warning(
                    "reactor failed, trying again", reactor=self.name, event_id=meta.event_id, error=text_of(error)
                )
            await asyncio.sleep(pause)
            pause *= 2
        return None
