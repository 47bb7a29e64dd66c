"""Rounds of several systems, alternated, so that a machine's moods meet all of them; every result verified."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from foldlog.bench.kafka import Kafka
from foldlog.bench.own import Own
from foldlog.bench.throughput import START_S, Measured, Report, measure
from foldlog.bench.verify import problems
from foldlog.bench.workload import Outcome, orders, reference
from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from foldlog.core.errors import EngineError

Bar = Callable[[str], AbstractContextManager[Report]]
"""Makes the progress of one measurement from its title."""

Note = Callable[[str], None]
"""Says a line when a round is done."""


@dataclass(frozen=True)
class Stage:
    """Where systems are measured: the cluster, a directory for their data, and the workload's sizes."""

    kafka: Kafka
    cluster: Cluster
    registry: Registry
    directory: Path
    commands: int
    accounts: int
    settings: Mapping[str, str]

    def own(self, variant: "Foldlog | None" = None) -> Own:
        """foldlog under a new name."""
        of = variant or Foldlog()
        settings = {**self.settings, **of.settings}
        return Own(self.kafka, self.cluster, self.registry, self.directory, settings, of.view, of.ids, of.replies)


@dataclass(frozen=True)
class Round:
    """One system once: its figures, and what is wrong with its events (nothing, where they are verified)."""

    system: str
    measured: Measured
    problems: tuple[str, ...]


class System(Protocol):
    """Something that can be measured."""

    @property
    def name(self) -> str:
        """Its name in tables and results."""

    def round(self, stage: Stage, report: Report) -> Round:
        """Runs it once on fresh topics, and verifies what it wrote."""


@dataclass(frozen=True)
class Foldlog:
    """foldlog in one process, or in a variant of it; `settings` are those of its worker."""

    name: str = "foldlog"
    ids: bool = True
    replies: bool = False
    view: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def round(self, stage: Stage, report: Report) -> Round:
        """A context of its own, a backlog, one worker."""
        with closing(stage.own(self)) as own:
            own.load(orders(stage.commands, stage.accounts))
            measured = measure(stage.kafka, [own.launch()], own.events, stage.commands, report)
            found = problems(own.seen(), wanted(stage.commands, stage.accounts, self.ids))
        return Round(self.name, measured, tuple(found))


@dataclass(frozen=True)
class Processes:
    """foldlog in several processes. Their backlog appears when all of them have their partitions: a rebalance is not
    throughput."""

    count: int = 2

    @property
    def name(self) -> str:
        """With the number of processes."""
        return f"foldlog_{self.count}_processes"

    def round(self, stage: Stage, report: Report) -> Round:
        """A context of its own, a backlog held back, the workers."""
        instances = [f"bench-{number}" for number in range(self.count)]
        with closing(stage.own()) as own, own.held(orders(stage.commands, stage.accounts)) as release:

            def released(check: Callable[[], None]) -> None:
                _await(lambda: all(own.ready(instance) for instance in instances), check)
                release()

            launches = [own.launch(instance) for instance in instances]
            measured = measure(stage.kafka, launches, own.events, stage.commands, report, release=released)
            found = problems(own.seen(), wanted(stage.commands, stage.accounts))
        return Round(self.name, measured, tuple(found))


def _await(done: Callable[[], bool], check: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_S
    while not done():
        check()
        if time.monotonic() > deadline:
            raise EngineError(f"the workers are not ready after {START_S:.0f} s")
        time.sleep(0.1)


@lru_cache(maxsize=4)
def wanted(commands: int, accounts: int, ids: bool = True) -> Outcome:
    """What so many commands come to; without ids a command's place is its id, which only the log knows."""
    sent = orders(commands, accounts)
    return reference(sent if ids else (order._replace(id="") for order in sent))
