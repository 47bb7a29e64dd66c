"""The saga: a process across aggregates, driven by their events, that ends or compensates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.core.timers import Action, Schedule
from foldlog.core.view import Source, sources_of

C = TypeVar("C", bound=Action)
E = TypeVar("E", bound=Record)
S = TypeVar("S", bound=Record)


def _never(_: Any) -> bool:
    return False


@dataclass(frozen=True)
class Saga(Generic[E, C, S]):
    """A process manager: `react` sees the state *before* a step and returns commands, `evolve` moves the state.

    `correlate` gives the saga's id for a step, None where the step is not its business. A step is an event of a
    source, or a command of the saga's own (a type of `evolve` that no source has). `ended` closes the saga:
    later steps pass by. `react` and `evolve` may take `Meta` as a third parameter. `react` may also return timers
    (`Schedule`, `Cancel`): what is due comes as a step to the saga that asked for it, whatever `correlate` says.
    The saga's row keeps the latest `remembered` steps, for `foldlog sagas show`.
    """

    name: str
    source: Source
    initial: S
    correlate: Callable[[E], str | None]
    react: Callable[[S, E], Sequence[C]] | Callable[[S, E, Meta], Sequence[C]]
    evolve: Callable[[S, E], S] | Callable[[S, E, Meta], S]
    ended: Callable[[S], bool] = _never
    remembered: int = 32

    @property
    def sources(self) -> tuple[Decider[Any, Any, Any], ...]:
        """The deciders whose events move the saga."""
        return sources_of(self.source)

    @cached_property
    def steps(self) -> tuple[type[Record], ...]:
        """Every type that `evolve` accepts."""
        return signatures.accepted(self.evolve, 1)

    @cached_property
    def commands(self) -> tuple[type[Record], ...]:
        """The steps that are commands to the saga itself."""
        events = {kind for source in self.sources for kind in source.events}
        return tuple(kind for kind in self.steps if kind not in events)

    @cached_property
    def sends(self) -> tuple[type[Record], ...]:
        """The command types that `react` may return."""
        return signatures.returned(self.react)

    @cached_property
    def timed(self) -> bool:
        """Whether `react` says that it returns timers."""
        return signatures.returns(self.react, Schedule)

    @property
    def state(self) -> type[Record]:
        """The type of the saga's state."""
        return type(self.initial)
