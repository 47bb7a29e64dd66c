"""Rounds of several systems, alternated, so that a machine's moods meet all of them; every result verified."""

import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from foldlog.bench.kafka import Kafka
from foldlog.bench.own import Own
from foldlog.bench.throughput import Measured, Report, measure
from foldlog.bench.verify import problems
from foldlog.bench.workload import Outcome, orders, reference
from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry


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

    def own(self, *, view: bool = False, ids: bool = True, replies: bool = False, **settings: str) -> Own:
        """foldlog under a new name; `settings` go to its worker."""
        chosen = {**self.settings, **settings}
        return Own(self.kafka, self.cluster, self.registry, self.directory, chosen, view, ids, replies)


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
    """foldlog in one process."""

    name: str = "foldlog"

    def round(self, stage: Stage, report: Report) -> Round:
        """A context of its own, a backlog, one worker."""
        with closing(stage.own()) as own:
            own.load(orders(stage.commands, stage.accounts))
            measured = measure(stage.kafka, own.launch(), own.events, stage.commands, report)
            found = problems(own.seen(), wanted(stage.commands, stage.accounts))
            shutil.rmtree(own.home, ignore_errors=True)
        return Round(self.name, measured, tuple(found))


@lru_cache(maxsize=4)
def wanted(commands: int, accounts: int) -> Outcome:
    """What so many commands come to."""
    return reference(orders(commands, accounts))
