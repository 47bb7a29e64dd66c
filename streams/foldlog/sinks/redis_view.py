"""A view in Redis: a key a row, its JSON as the value; offsets in the same MULTI.

`<prefix><row's key>` holds a row, as `contracts.exact_json` has it; the hash `foldlog:<sink>` holds owner, topic, time
and an `offset:<partition>` each. Redis runs a MULTI whole or not at all, and WATCH drops it where another process has
taken over since the hash was read.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from foldlog.contracts.exact_json import to_json
from foldlog.core.errors import AwayError, ConfigError, FencedError, SinkError
from foldlog.sinks.target import Applied, Change

_OFFSET = "offset:"
_RENEWING = "renewing"  # a field that is there while rows of two generations are
_OWN = "foldlog:"
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.WatchError,
    redis.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
)
_PORTION = 1000  # keys removed at once


def connected(url: str) -> redis.Redis:
    """A client that tries nothing again by itself: only its caller knows what is safe to repeat."""
    try:
        return redis.Redis.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=10, socket_connect_timeout=10, socket_keepalive=True
        )
    except ValueError as error:
        raise ConfigError(f"Redis's URL: {error}: write redis://host:6379/0") from error


def place_of(url: str) -> str:
    """Host, port and database of a URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or parts.path}:{parts.port or 6379}{parts.path if parts.hostname else ''}"


@contextmanager
def answering(place: str) -> Iterator[None]:
    """Turns a failure of Redis into AwayError, or SinkError where it would fail again."""
    try:
        yield
    except _AWAY as error:
        raise AwayError(f"{place}: {error}") from error
    except redis.RedisError as error:
        raise SinkError(f"{place}: {error}") from error


class RedisView:
    """The rows of one view under a prefix, each for `ttl_s` seconds after it was last written, or for ever."""

    def __init__(self, url: str, sink: str, prefix: str, ttl_s: int | None = None) -> None:
        if not prefix or prefix.startswith(_OWN):
            raise ConfigError(f"prefix `{prefix}`: it must not be empty, nor begin with {_OWN}")
        self.name = f"{place_of(url)} {prefix}*"
        self._client = connected(url)
        self._prefix, self._ttl_s = prefix, ttl_s
        self._state = f"{_OWN}{sink}"
        self._owner = uuid.uuid4().hex

    def open(self) -> Applied:
        """Takes the prefix over, and tells how far it is."""
        with answering(self.name), self._client.pipeline() as pipe:
            pipe.hset(self._state, "owner", self._owner)
            pipe.hgetall(self._state)
            _, found = pipe.execute()
        known = {name.decode(): value.decode() for name, value in found.items()}
        offsets = {int(name[len(_OFFSET) :]): int(at) for name, at in known.items() if name.startswith(_OFFSET)}
        at = known.get("at")
        when = datetime.fromisoformat(at) if at else None
        return Applied(offsets, known.get("topic") or None, when, whole=_RENEWING not in known)

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """One MULTI: rows, deletions, offsets."""
        self._write(changes, self._state_of(applied))

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """Writes row after row over those that are there; the last MULTI removes those that were not written.

        Until then who reads sees rows of both generations, each whole. The hash says so: after a kill it begins anew.
        """
        applied, written = Applied(), set[bytes]()
        for changes, applied in batches:  # noqa: B007 — the last one counts
            self._write(changes, {_RENEWING: 1})
            written -= {self._key(change).encode() for change in changes}
            written |= {self._key(change).encode() for change in changes if change.record is not None}
        with answering(self.name), self._client.pipeline() as pipe:
            stale = [key for key in self._keys() if key not in written]
            self._watch(pipe)
            pipe.multi()
            for first in range(0, len(stale), _PORTION):
                pipe.unlink(*stale[first : first + _PORTION])
            pipe.delete(self._state)  # with the offsets of partitions that the topic has not
            pipe.hset(self._state, mapping={"owner": self._owner, **self._state_of(applied)})
            pipe.execute()

    def _write(self, changes: Sequence[Change], state: dict[Any, Any]) -> None:
        rows = [(self._key(change), _json(change)) for change in changes]
        with answering(self.name), self._client.pipeline() as pipe:
            self._watch(pipe)
            pipe.multi()
            for key, value in rows:
                if value is None:
                    pipe.delete(key)
                else:
                    pipe.set(key, value, ex=self._ttl_s)
            pipe.hset(self._state, mapping=state)
            pipe.execute()

    def clear(self) -> None:
        """Removes every key with the prefix, and how far they were."""
        with answering(self.name):
            self._client.delete(self._state)
            portion: list[bytes] = []
            for key in self._keys():
                portion.append(key)
                if len(portion) == _PORTION:
                    self._client.unlink(*portion)
                    portion.clear()
            if portion:
                self._client.unlink(*portion)
        self.close()

    def close(self) -> None:
        """Ends the connections; the next command makes another."""
        self._client.close()

    def _keys(self) -> Iterator[bytes]:
        # What the pattern language means something by stands for itself.
        literal = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in self._prefix)
        return iter(self._client.scan_iter(match=f"{literal}*", count=_PORTION))

    @staticmethod
    def _state_of(applied: Applied) -> dict[Any, Any]:
        offsets = {f"{_OFFSET}{partition}": offset for partition, offset in applied.offsets.items()}
        return {**offsets, "topic": applied.topic or "", "at": applied.at.isoformat() if applied.at else ""}

    def _key(self, change: Change) -> str:
        return self._prefix + change.key

    def _watch(self, pipe: Any) -> None:
        pipe.watch(self._state)
        owner = pipe.hget(self._state, "owner")
        if owner is None:
            raise AwayError(f"{self.name}: Redis has lost what it had; it is filled anew")
        if owner.decode() != self._owner:
            raise FencedError(f"{self.name}: another process fills it now, so this one ends")


def _json(change: Change) -> bytes | None:
    if change.record is None:
        return None
    try:
        return msgspec.json.encode(to_json(change.record))
    except ValueError as error:
        raise SinkError(f"{change.place}, column {error}") from error
