"""The steps of a rebuild. Each may be repeated: what was done is in Kafka, and is found there."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from foldlog.cli import loading, output
from foldlog.cli.comparing import Comparing, Comparison
from foldlog.contracts.subjects import push
from foldlog.core import topics
from foldlog.core.errors import ConfigError, EngineError
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine.builders import Builders
from foldlog.kafka import admin, generations
from foldlog.kafka.connection import partition_counts
from foldlog.kafka.generations import Generations
from foldlog.kafka.progress import Group

_NEAR = 5_000  # records: then it is asked whether they are handled at once
_AT_ONCE = 3.0  # s
_SETTLED = 20.0  # s that a generation gets to come to where the log ended
_TOLD_EVERY = 10.0  # s


@dataclass(frozen=True)
class Rebuild:
    """The generations of one view, and the one that its declaration is of."""

    connection: loading.Connection
    context: Topology
    view: View[Any, Any]
    module: str

    def current(self) -> Generations:
        """Which generation readers read."""
        return generations.current(self.connection.bootstrap, self.context.name, self.view.name)

    def is_live(self) -> bool:
        """Whether readers read this version already; ConfigError where they never read another."""
        now = self.current()
        if now.live == self.view.generation and now.before is None:
            raise ConfigError(
                f"{self._name} is read in version {self.view.version} already; to fold it anew, "
                "raise `version` in its declaration"
            )
        return now.live == self.view.generation

    @contextmanager
    def folding(self, processes: int) -> Iterator["Folding"]:
        """Has this version folded for as long as it is asked for, by processes of its own where no worker does."""
        admin.apply(self.connection.bootstrap, topics.topics(self.context), self.connection.settings.replication_factor)
        push(self.context, self.connection.registry)
        instances = [f"rebuild-{self.context.name}.{self.view.generation}-{number}" for number in range(processes)]
        with Builders(self._command, instances) as builders:
            yield Folding(self, builders, frozenset(instances))
        for instance in instances:  # what they kept is a cache, and nobody goes on with it
            shutil.rmtree(self.connection.settings.home / "workers" / instance, ignore_errors=True)

    def roll_back(self) -> Generations:
        """Has readers read what they read before; ConfigError where that is nothing, or is deleted."""
        now = self.current()
        if now.before is None:
            raise ConfigError(f"{self._name} was read in no other version: there is nothing to go back to")
        left = self.group(now.before).behind()
        if left:
            output.note(f"{now.before} is {left:,} records behind: run workers of that version")
        return self.point(now.before)

    def retire(self) -> Generations:
        """Deletes the generations that are not read, their groups too; ConfigError where workers still fold one."""
        bootstrap, context, now = self.connection.bootstrap, self.context.name, self.current()
        found = generations.existing(partition_counts(bootstrap), context, self.view.name)
        others = [each for each in found if each != now.live]
        for each in others:
            if members := self.group(each).members():
                raise ConfigError(f"{context}.{each} is still folded by {', '.join(sorted(members))}: stop that first")
        kept = generations.forget(bootstrap, context, self.view.name)
        named = (topics.rekeyed, topics.parked, topics.table)
        names = [name(context, each) for each in others for name in named]
        admin.delete(bootstrap, names, [topics.table(context, each) for each in others])
        return kept

    def group(self, generation: str) -> Group:
        """The group that folds a generation."""
        context = self.context.name
        logs = tuple(topics.events(context, source.name) for source in self.view.sources)
        stages = (logs, (topics.rekeyed(context, generation),))
        return Group(self.connection.bootstrap, topics.table(context, generation), stages)

    def point(self, to: str) -> Generations:
        """Has readers read a generation."""
        return generations.point(self.connection.bootstrap, self.context.name, self.view.name, to)

    @property
    def _name(self) -> str:
        return f"{self.context.name}.{self.view.name}"

    def _command(self, descriptor: int) -> list[str]:
        line = [sys.executable, "-m", "foldlog.cli.main", "run", self.module, "--only", self.view.name]
        return [*line, "--reports", str(descriptor)]


class Folding:
    """A generation while it is folded."""

    def __init__(self, task: Rebuild, builders: Builders, instances: frozenset[str]) -> None:
        self._task = task
        self._builders = builders
        self._instances = instances
        self._goal = task.view.generation
        self._group = task.group(self._goal)

    def compare(self, changed: frozenset[str]) -> Comparison:
        """Folds the whole log, then compares with what readers read."""
        with _progress(self._goal) as told:
            while not self._is_complete(told):
                time.sleep(1.0)
        before = self._task.current().live
        read = self._task.group(before)

        def settle() -> bool:
            self._builders.check()
            if not read.passes(_SETTLED):
                output.note(f"nobody keeps {before} up to date: it is {read.behind():,} records behind")
                return False
            return self._group.passes(_SETTLED)

        return Comparing(self._task.connection, self._task.context, self._task.view, changed).compare(
            before, self._goal, settle
        )

    def change_over(self) -> Generations:
        """Has all readers read this generation; EngineError where it is not up to date."""
        if not self._task.is_live() and not self._group.passes(_SETTLED):
            raise EngineError(f"{self._goal} is {self._group.behind():,} records behind: nothing was changed")
        return self._task.point(self._goal)

    def hand_over(self) -> None:
        """Keeps this generation up to date until workers do."""
        if not self._workers():
            output.note(f"{self._goal} is kept up to date here until workers of this version run")
        while not self._workers():
            self._keep_on()
            time.sleep(1.0)

    def _is_complete(self, told: Callable[[int], None]) -> bool:
        if not self._workers():
            self._keep_on()
        left = self._group.behind()
        told(left)
        return left <= _NEAR and self._group.passes(_AT_ONCE)

    def _keep_on(self) -> None:
        self._builders.start()
        self._builders.check()

    def _workers(self) -> set[str]:
        return self._group.members() - self._instances


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows how much is left, on a terminal as a bar, else as a line now and then."""
    began = told_at = time.monotonic()
    total = 0
    with output.bar(f"folding {what}") as report:

        def told(left: int) -> None:
            nonlocal total, told_at
            total, now = max(total, left), time.monotonic()
            report(total - left, total)
            if now - told_at > _TOLD_EVERY:
                told_at = now
                rate = (total - left) / (now - began)
                ending = f", {left / rate:,.0f} s left" if rate else ""
                output.note(f"folding {what}: {total - left:,} of {total:,} records, {rate:,.0f}/s{ending}")

        yield told
