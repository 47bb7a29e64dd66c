"""Events of aggregates in Redis, in front of a store: read through, and forgotten when new events come."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import redis
import structlog

from foldlog.contracts.exact_json import from_json, to_json
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.sinks.event_tables import Event
from foldlog.sinks.redis_view import answering, connected, place_of

log = structlog.get_logger()

TTL_S = 300


class Readable(Protocol):
    """A store of events."""

    def read(self, aggregate_id: str, from_version: int = 1) -> list[Event]:
        """The events of an aggregate from a version on."""
        ...


class EventCache:
    """The events of each aggregate under `events:<id>`, for `ttl_s` seconds or until it has new ones.

    What is decided on cached events is as safe as on read ones, because an append names the version that it expects. A
    Redis that is away costs time, never an answer.
    """

    def __init__(self, url: str, decider: Decider[Any, Any, Any], ttl_s: int = TTL_S, prefix: str = "events") -> None:
        self.name = place_of(url)
        self._client = connected(url)
        self._kinds = {kind.__name__: kind for kind in decider.events}
        self._ttl_s, self._prefix = ttl_s, prefix

    def read(self, store: Readable, aggregate_id: str, from_version: int = 1) -> list[Event]:
        """The events of an aggregate from a version on: as they are cached, else as the store has them."""
        try:
            events = self._read(store, aggregate_id)
        except redis.RedisError as error:
            log.warning("cache away", target=self.name, error=str(error))
            return store.read(aggregate_id, from_version)
        return [(event, meta) for event, meta in events if meta.version >= from_version]

    def forget(self, aggregate_ids: Iterable[str]) -> None:
        """Drops what is cached of these aggregates, and what is being read of them now; AwayError where it cannot."""
        with answering(self.name), self._client.pipeline() as pipe:
            for aggregate_id in aggregate_ids:
                pipe.delete(self._key(aggregate_id))
                pipe.incr(self._turn(aggregate_id))
                pipe.expire(self._turn(aggregate_id), self._ttl_s)
            pipe.execute()

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _read(self, store: Readable, aggregate_id: str) -> list[Event]:
        pipe: Any
        with self._client.pipeline() as pipe:
            # Who forgets the aggregate while the store is read changes its turn: then nothing is kept.
            pipe.watch(self._turn(aggregate_id))
            events = self._decoded(pipe.get(self._key(aggregate_id)))
            if events is not None:
                return events
            events = store.read(aggregate_id)
            pipe.multi()
            pipe.set(self._key(aggregate_id), _encoded(events), ex=self._ttl_s)
            try:
                pipe.execute()
            except redis.WatchError:
                log.debug("not cached", aggregate=aggregate_id)
        return events

    def _decoded(self, value: Any) -> list[Event] | None:
        """The cached events; None where there are none, or none that this version of the classes can read."""
        if value is None:
            return None
        try:
            found = msgspec.json.decode(value, type=list[tuple[str, dict[str, Any], dict[str, Any]]])
            return [(from_json(self._kinds[kind], data), from_json(Meta, meta)) for kind, data, meta in found]
        except (ValueError, KeyError, msgspec.DecodeError):
            return None

    def _key(self, aggregate_id: str) -> str:
        return f"{self._prefix}:{aggregate_id}"

    def _turn(self, aggregate_id: str) -> str:
        return f"{self._prefix}-turn:{aggregate_id}"


def _encoded(events: list[Event]) -> bytes:
    return msgspec.json.encode([[type(event).__name__, to_json(event), to_json(meta)] for event, meta in events])
