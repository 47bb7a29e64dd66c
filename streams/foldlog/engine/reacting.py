"""Reactors in the engine: side effects of a batch, concurrent between aggregates, in order within each.

A batch waits a moment for its effects. Whatever has failed or is not done then is parked with what follows it for its
aggregate, and the offsets go on: a failed effect is tried again when its time comes, a slow one is heard of when it
ends. After the last try its aggregate waits for an operator. While the target of the effects is away the batch waits
for it, since that is no event's fault.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import structlog

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.errors import DecodeError, UnreachableError
from foldlog.core.reactor import Reactor, Sender
from foldlog.core.record import replace
from foldlog.core.repair import ParkedKey
from foldlog.core.topology import Topology
from foldlog.engine.batch import Received
from foldlog.engine.effects import MOST, Chain, Effect, Effects
from foldlog.engine.kind import Kind
from foldlog.engine.parking import HEAD, Parking
from foldlog.engine.repairing import repaired
from foldlog.engine.replayed import Replayed
from foldlog.engine.work import Work, place_of
from foldlog.settings import Settings

log = structlog.get_logger()

_PATIENCE = 0.5  # s that a batch waits for its effects
_ANSWER = 8.0  # s that it waits for the first of them where the target was away at the last look
_LOOK = 0.05  # s between two looks at what goes on beside the batches
_AWAY = timedelta(seconds=5)  # between two tries at a target that is away
_CHAIN = 50  # parked records of a key that are tried in one go


class Reacting(Kind):
    """One reactor over the logs of its sources; its only state is what is parked."""

    kind = "reactor"

    def __init__(
        self, topology: Topology, reactor: Reactor[Any], codec: Codec, settings: Settings, send: Sender
    ) -> None:
        self.name = reactor.name
        self.repairs = topics.repairs(topology.name)
        self.inputs = (*(topics.heard(topology.name, source) for source in reactor.sources), self.repairs)
        self._reactor = reactor
        self._codec = codec
        self._accepts = frozenset(reactor.events)
        self._muted = settings.is_muted(reactor.name)
        self.patient = not self._muted
        self._muted_before = settings.muted_before or datetime.min.replace(tzinfo=UTC)
        closing = {"close": reactor.handle.close} if hasattr(reactor.handle, "close") else {}
        self._effects = Effects(lambda effect: reactor.handle(effect.event, effect.meta, send), **closing)
        self._away = False  # at the last look
        self._done: set[str] = set()  # places of events in the batch that waits for the target

    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Takes one event up for the end of the batch."""
        found = self.read(message, work)
        if found is None:
            return
        event, meta = found
        if type(event) not in self._accepts:
            repaired(self, message, event, rows, work)
        elif meta is None:
            work.dead_letter(message, "malformed", f"{type(event).__name__} has no meta")
        elif (
            not self._muted and meta.time >= self._muted_before and not work.waits(meta.aggregate_id.encode(), message)
        ):
            work.effects.append(Effect(message, event, replace(meta, position=place_of(message))))

    def finish(self, work: Work) -> None:
        """Runs the effects of the batch; what is not done in a moment is parked."""
        if not work.effects or work.parking is None:
            return
        by_key: dict[bytes, list[Effect]] = defaultdict(list)
        for effect in work.effects:
            if effect.meta.position not in self._done:
                by_key[effect.meta.aggregate_id.encode()].append(effect)
        chains = [Chain(key, own[0].message.partition(), own) for key, own in by_key.items()]
        if self._away:  # one asks for all
            self._effects.run(chains[:1], _ANSWER)
        if not any(chain.away for chain in chains):
            self._effects.run([chain for chain in chains if chain.future is None], _PATIENCE)
        self._away = any(chain.away for chain in chains)
        if self._away:
            self._hold(chains)
        self._done.clear()
        for chain in chains:
            ended, done = chain.ended and chain.future is not None, chain.done  # in this order
            if done < len(chain.effects):  # all may be done of a chain that is about to end
                self._park(chain, done, ended, work, work.parking)

    def ring(self, partitions: Mapping[int, Any], work: Work) -> None:
        """Notes what has become of effects beside the batches, and begins those whose time has come."""
        if work.parking is None:
            return
        for chain in self._effects.ended():
            self._away = chain.away
            if chain.partition in work.parking.rows:
                self._note(chain, work, work.parking)
        if not self._muted:
            self._begin(work.parking, work)

    def due(self, partitions: Mapping[int, Any]) -> float:
        """Soon, while effects go on beside the batches."""
        return time.time() + _LOOK if self._effects.under_way else inf

    def forget(self) -> None:
        """Partitions come and go: what is under way is begun anew by whoever owns it then."""
        self._effects.forget()
        self._done.clear()

    def _hold(self, chains: Sequence[Chain]) -> None:
        """Has the batch handled once more, without what is done of it."""
        for chain in chains:
            if chain.future is not None:
                chain.future.cancel()
            self._done.update(str(effect.meta.position) for effect in chain.effects[: chain.done])
        raise UnreachableError(next((chain.failure for chain in chains if chain.away and chain.failure), "no answer"))

    def _park(self, chain: Chain, done: int, ended: bool, work: Work, parking: Parking) -> None:
        """Parks the rest of a chain; one that runs goes on, unless too many do so already."""
        first, *others = chain.effects[done:]
        tries = 1 if ended and not chain.away else 0  # one that goes on, or was not begun, has not failed yet
        due = self._due(chain, tries) if ended else datetime.now(UTC)
        reason = chain.failure or "it takes its time"
        if not parking.park(chain.key, first.message, "handle-failed", reason, due=due, tries=tries):
            self.fail(first.message, work, "handle-failed", DecodeError(reason))
        for effect in others:
            parking.takes(chain.key, effect.message, work)
        if ended or chain.future is None:
            return
        if len(self._effects.under_way) >= MOST:
            chain.future.cancel()
            return
        chain.waited, chain.numbers = done, range(1, len(chain.effects) - done + 1)
        self._go_on(chain, parking.head(chain.partition, chain.key))

    def _begin(self, parking: Parking, work: Work) -> None:
        now, most = time.time(), 1 if self._away else MOST
        for number in parking.rows:
            for name in parking.ring(number, now, most - len(self._effects.under_way)):
                key = name.removesuffix(HEAD)
                head = parking.head(number, key)
                if head is not None and head.due is not None and key not in self._effects.under_way:
                    self._try(number, key, head, parking, work)

    def _try(self, partition: int, key: bytes, head: ParkedKey, parking: Parking, work: Work) -> None:
        """Begins with the first records of a parked key."""
        effects, numbers = [], []
        for number in range(head.first, min(head.next, head.first + _CHAIN)):
            record = parking.record(partition, key, number)
            if record is None:
                continue
            message, letters = Replayed(record), work.letters
            event, meta = self.read(message, work) or (None, None)
            if work.letters > letters:
                work.rang.add(partition)
            if event is not None and meta is not None and type(event) in self._accepts:
                effects.append(Effect(message, event, replace(meta, position=place_of(message))))
                numbers.append(number)
        chain = Chain(key, partition, effects, numbers)
        self._effects.begin(chain)
        self._go_on(chain, head)

    def _go_on(self, chain: Chain, head: ParkedKey | None) -> None:
        """Lets a chain run beside the batches, for as long as its key is the one that is parked now."""
        if head is not None:
            chain.since = head.since
            self._effects.under_way[chain.key] = chain

    def _note(self, chain: Chain, work: Work, parking: Parking) -> None:
        """Takes done effects off the parked ones; the next one is due at once, or after a pause."""
        head = parking.head(chain.partition, chain.key)
        if head is None or head.since != chain.since:  # what waits now is not what was tried
            return
        done = chain.numbers[: chain.done - chain.waited]
        for number in done:
            parking.remove(chain.partition, chain.key, number)
        work.rang.add(chain.partition)
        if chain.failure is None:
            last = chain.numbers[-1] + 1 if chain.numbers else min(head.next, head.first + _CHAIN)
            after = replace(head, first=max(head.first, last), tries=0, due=datetime.now(UTC))
        else:
            tries = (0 if done else head.tries) + (not chain.away)  # of the effect that is first now
            first = chain.numbers[len(done)]
            after = replace(head, first=first, reason=chain.failure, tries=tries, due=self._due(chain, tries))
            if after.due is None:
                log.warning("reactor gives up", reactor=self.name, key=head.key, tries=tries, reason=chain.failure)
        parking.keep(chain.partition, chain.key, after)

    def _due(self, chain: Chain, tries: int) -> datetime | None:
        """When to try again after so many tries; None after the last."""
        if chain.away:
            return datetime.now(UTC) + _AWAY
        retry = self._reactor.retry
        return datetime.now(UTC) + retry.pause(tries) if tries <= retry.limit and not chain.refused else None
