"""The decider: what an aggregate does with a command, and what an event does to an aggregate.

After Jérémie Chassaing, "Functional Event Sourcing Decider": https://thinkbeforecoding.com/post/2021/12/17/
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.meta import Meta
from foldlog.core.record import Record

C = TypeVar("C", bound=Record)
E = TypeVar("E", bound=Record)
S = TypeVar("S", bound=Record)


@dataclass(frozen=True)
class Decider(Generic[C, E, S]):
    """An aggregate as two pure functions over commands `C`, events `E` and a state `S`.

    `decide` returns the events that follow from a command, none where nothing changes, and raises `Rejected`
    where the command makes no sense. `decide` and `evolve` may take `Meta` as a third parameter.
    """

    name: str
    initial: S
    key: Callable[[C], str]
    decide: Callable[[C, S], Sequence[E]] | Callable[[C, S, Meta], Sequence[E]]
    evolve: Callable[[S, E], S] | Callable[[S, E, Meta], S]

    @cached_property
    def commands(self) -> tuple[type[Record], ...]:
        """The command types that `decide` accepts."""
        return signatures.accepted(self.decide, 0)

    @cached_property
    def events(self) -> tuple[type[Record], ...]:
        """The event types that `evolve` accepts: the whole log of this aggregate."""
        return signatures.accepted(self.evolve, 1)

    @property
    def state(self) -> type[Record]:
        """The type of the aggregate's state."""
        return type(self.initial)
