"""The subscription: what the public events of another context mean here, as commands."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.meta import Meta
from foldlog.core.record import Record

E = TypeVar("E", bound=Record)
C = TypeVar("C", bound=Record)


@dataclass(frozen=True)
class Subscription(Generic[E, C]):
    """Public events of `publisher` (`<context>.<publication>`), each translated to one command of this context.

    The records that `translate` accepts are this context's own: a record of the same name as the publisher's, with
    the fields that are wanted here. `translate` returns the command, None where nothing follows; it may take `Meta`
    (the event's) as a second parameter. Events of other names pass by. One that fails is parked under the key of its
    record. `partitions` is how many the publisher's topic has, where they are not as many as this context's.
    """

    name: str
    publisher: str
    translate: Callable[[E], C | None] | Callable[[E, Meta], C | None]
    partitions: int | None = None

    @cached_property
    def records(self) -> tuple[type[Record], ...]:
        """The public events that `translate` accepts, as this context sees them."""
        return signatures.accepted(self.translate, 0)

    @cached_property
    def sends(self) -> tuple[type[Record], ...]:
        """The command types that `translate` may return."""
        return signatures.made(self.translate)
