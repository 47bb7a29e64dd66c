"""The reactor: an asynchronous side effect that follows an event."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.publication import Publication
from foldlog.core.record import Record
from foldlog.core.steps import Retry

E = TypeVar("E", bound=Record)
Heard = Decider[Any, Any, Any] | Publication[Any, Any]

RETRY = Retry(limit=12, first=timedelta(seconds=0.5))


class Message(Record):
    """What a reactor asks to have sent: to whom, about what, and the key that makes a repetition harmless."""

    to: str
    subject: str
    body: str
    idempotency_key: str


class Sender(Protocol):
    """Delivers a message to the outside; injected, so that a reactor names no transport."""

    async def __call__(self, message: Message) -> None: ...


@dataclass(frozen=True)
class Reactor(Generic[E]):
    """A side effect: at least once, in the order of each aggregate, `meta.event_id` as idempotency key.

    One that fails is tried again as `retry` says, while later events of its aggregate wait; then an operator looks.
    Where `handle` raises a RefusedError for good, an operator looks at once; where it raises an UnreachableError every
    event waits, for as long as it takes. A `handle` that is an object with an async `close` has that awaited before its
    event loop ends. `hears` are the event types, by default those that `handle` is annotated with.
    """

    name: str
    source: Heard | tuple[Heard, ...]
    handle: Callable[[E, Meta, Sender], Awaitable[None]]
    retry: Retry = RETRY
    hears: tuple[type[Record], ...] = ()

    @property
    def sources(self) -> tuple[Heard, ...]:
        """The deciders and publications whose events the reactor hears."""
        return self.source if isinstance(self.source, tuple) else (self.source,)

    @cached_property
    def events(self) -> tuple[type[Record], ...]:
        """The event types that `handle` gets; others of the source pass by."""
        return self.hears or signatures.accepted(self.handle, 0)
