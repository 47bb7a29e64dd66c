"""The publication: what a context tells other contexts, in events that are its public contract."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.view import Source, sources_of

E = TypeVar("E", bound=Record)
P = TypeVar("P", bound=Record)


@dataclass(frozen=True)
class Publication(Generic[E, P]):
    """Public events on the topic `<context>.<name>`, each translated from one private event, in its place and order.

    `translate` returns the public event, None where others need not know; it may take `Meta` as a second parameter.
    A public event has a type of its own: the private one can then change without asking anybody.
    """

    name: str
    source: Source
    translate: Callable[[E], P | None] | Callable[[E, Meta], P | None]

    @property
    def sources(self) -> tuple[Decider[Any, Any, Any], ...]:
        """The deciders whose events are translated."""
        return sources_of(self.source)

    @cached_property
    def events(self) -> tuple[type[Record], ...]:
        """The private events that `translate` accepts; others of the source pass by."""
        return signatures.accepted(self.translate, 0)

    @cached_property
    def records(self) -> tuple[type[Record], ...]:
        """The public events that `translate` may return."""
        return signatures.made(self.translate)
