"""The saga: a process across aggregates, driven by their events, that ends or compensates."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from foldlog.core import signatures
from foldlog.core.decider import Decider
from foldlog.core.errors import TopologyError
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

    A saga that has begun goes on by the definition with which it began. A changed definition has a greater `version`,
    and `earlier` ones tell what becomes of sagas under way: they end by the definition given (a Saga), or their state
    is migrated before their next step (a Migration). Raises TopologyError where versions or names do not fit.
    """

    name: str
    source: Source
    initial: S
    correlate: Callable[[E], str | None]
    react: Callable[[S, E], Sequence[C]] | Callable[[S, E, Meta], Sequence[C]]
    evolve: Callable[[S, E], S] | Callable[[S, E, Meta], S]
    ended: Callable[[S], bool] = _never
    remembered: int = 32
    version: int = 1
    earlier: "tuple[Saga[Any, Any, Any] | Migration, ...]" = ()

    def __post_init__(self) -> None:
        versions = [self.version, *(each.version for each in self.earlier)]
        if len(set(versions)) < len(versions) or max(versions) > self.version:
            raise TopologyError(f"{self.name}: versions are {versions}; each is another, and the first the greatest")
        for each in self.earlier:
            if isinstance(each, Saga) and (each.name, each.earlier) != (self.name, ()):
                raise TopologyError(f"{self.name}: an earlier definition has its name, and none before it")

    @property
    def definitions(self) -> "tuple[Saga[Any, Any, Any], ...]":
        """This definition, and the earlier ones by which sagas may still run."""
        return (self, *(each for each in self.earlier if isinstance(each, Saga)))

    @property
    def sources(self) -> tuple[Decider[Any, Any, Any], ...]:
        """The deciders whose events move the saga."""
        found = list(sources_of(self.source))
        for earlier in self.definitions[1:]:
            found += [each for each in sources_of(earlier.source) if each not in found]
        return tuple(found)

    @cached_property
    def steps(self) -> tuple[type[Record], ...]:
        """Every type that `evolve` accepts."""
        return _distinct(kind for each in self.definitions for kind in signatures.accepted(each.evolve, 1))

    @cached_property
    def commands(self) -> tuple[type[Record], ...]:
        """The steps that are commands to the saga itself."""
        events = {kind for source in self.sources for kind in source.events}
        return tuple(kind for kind in self.steps if kind not in events)

    @cached_property
    def sends(self) -> tuple[type[Record], ...]:
        """The command types that `react` may return."""
        return _distinct(kind for each in self.definitions for kind in signatures.returned(each.react))

    @cached_property
    def timed(self) -> bool:
        """Whether `react` says that it returns timers."""
        return any(signatures.returns(each.react, Schedule) for each in self.definitions)

    @property
    def state(self) -> type[Record]:
        """The type of the saga's state."""
        return type(self.initial)

    @cached_property
    def states(self) -> tuple[type[Record], ...]:
        """The types of the states that may still be in the saga's log."""
        migrations = (each for each in self.earlier if isinstance(each, Migration))
        before = (kind for each in migrations for kind in signatures.accepted(each.migrate, 0))
        return _distinct((*(each.state for each in self.definitions), *before))


@dataclass(frozen=True)
class Migration:
    """What becomes of sagas that run by an earlier version: a function from their state to one of the present version.

    The first parameter of `migrate` is annotated with the type of the earlier state, which may be the same.
    """

    version: int
    migrate: Callable[[Any], Any]


def _distinct(kinds: Iterable[type[Record]]) -> tuple[type[Record], ...]:
    return tuple(dict.fromkeys(kinds))
