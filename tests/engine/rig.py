"""A processor without its worker: the engine's parts in two threads, each part exchangeable.

The tests of the engine's rules run a scenario on the real broker twice: with the parts as they are, and with one
part that breaks the rule.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from confluent_kafka.admin import AdminClient

from foldlog.engine import clients
from foldlog.engine.batch import Assignment, Batch
from foldlog.engine.deciding import Deciding
from foldlog.engine.feed import Feed
from foldlog.engine.kind import Folding
from foldlog.engine.partitions import Partitions
from foldlog.engine.processor import Processor
from foldlog.engine.recovery import Parts
from foldlog.engine.restoring import LogReader, topic_ids
from foldlog.engine.snapshots import Snapshots
from foldlog.engine.stats import Counters
from foldlog.engine.transactions import Transactions
from tests.engine.tally import Context


class Member:
    """A feed alone, in its poll thread; what it hands over is collected and handled by the test."""

    def __init__(self, context: Context, instance: str, feed: type[Feed] = Feed) -> None:
        config = clients.member(context.cluster.bootstrap, context.group, instance, context.settings)
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.feed = feed(config, (context.commands,), context.settings, self.items.put)
        self._thread = threading.Thread(target=self.feed.run, name=f"poll-{instance}", daemon=True)

    def assignment(self, seconds: float = 90) -> Assignment:
        """The next assignment; batches before it are passed over."""
        return cast(Assignment, self._next(Assignment, seconds))

    def batch(self, seconds: float = 90) -> Batch:
        """The next batch."""
        return cast(Batch, self._next(Batch, seconds))

    def has_item(self) -> bool:
        """Whether something was handed over that was not taken."""
        return not self.items.empty()

    @contextmanager
    def running(self) -> Iterator["Member"]:
        """Polls; leaves the group at the end."""
        self._thread.start()
        try:
            yield self
        finally:
            self.feed.stop()
            self._thread.join(90)
            assert not self._thread.is_alive()

    def _next(self, kind: type[Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                item = self.items.get(timeout=left)
                if isinstance(item, kind):
                    return item
        raise TimeoutError(f"no {kind.__name__} within {seconds} s")


@dataclass
class Made:
    """The classes that a line is made of."""

    feed: type[Feed] = Feed
    transactions: type[Transactions] = Transactions
    reader: type[LogReader] = LogReader
    processor: type[Processor] = Processor
    partitions: Callable[[Deciding, Path, int, Counters], Partitions] = Partitions


def count_folds(kind: Folding[Any]) -> Callable[[], int]:
    """How many events have been folded from the log since, whenever it is asked."""
    fold, folded = kind.take, 0

    def counted(messages: list[Any], rows: Any, position: int) -> None:
        nonlocal folded
        fold(messages, rows, position)
        folded += len(messages)

    kind.take = counted  # type: ignore[assignment,method-assign]
    return lambda: folded


class Line:
    """One processor with its poll thread and its process thread, as a worker has them.

    A line of another `directory` knows nothing of what was done before; `changed` are settings.
    """

    def __init__(
        self, context: Context, made: Made | None = None, instance: str = "a", directory: str = "one", **changed: Any
    ) -> None:
        made, bootstrap = made or Made(), context.cluster.bootstrap
        settings = context.settings.model_copy(update=changed)
        self.kind = Deciding(context.topology, context.decider, context.codec)
        self.counters = Counters()
        self.items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.partitions = made.partitions(self.kind, context.home / directory, 1 << 20, self.counters)
        member = clients.member(bootstrap, context.group, instance, settings)
        self.feed = made.feed(member, self.kind.inputs, settings, self._deliver)
        config = clients.transactional(bootstrap, settings)
        self.transactions = made.transactions(config, f"{context.group}.{instance}", settings.socket_timeout_ms)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        parts = Parts(
            context.name,
            self.kind,
            context.codec,
            self.feed,
            self.transactions,
            context.reach(instance),
            made.reader(bootstrap, settings),
            self.partitions,
            Snapshots.of(self.kind, context.codec, settings.snapshot_events),
            lambda names: topic_ids(admin, names),
        )
        self.processor = made.processor(parts, self.counters)
        self.failures: list[BaseException] = []
        self.rows: dict[bytes, bytes] = {}  # what the stores held at the end
        self._folded = count_folds(self.kind)
        self._threads = [threading.Thread(target=self._guard, args=(run,), daemon=True) for run in self._runs()]

    @contextmanager
    def running(self) -> Iterator["Line"]:
        """Works until the end of the block, ends the batch in flight, and fails where a thread failed."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self.feed.stop()
            self._threads[0].join(90)
            self.items.put(None)
            self._threads[1].join(90)
        assert not self.failures, self.failures

    @property
    def folded(self) -> int:
        """Events that were folded to restore the stores."""
        return self._folded()

    def _deliver(self, item: Any) -> None:
        self.items.put(self.partitions.prepared(item))

    def _runs(self) -> tuple[Callable[[], None], ...]:
        return self.feed.run, self._process

    def _process(self) -> None:
        while (item := self.items.get()) is not None:
            self.processor.take(item)
        for rows in self.partitions.rows.values():
            rows.write()
            self.rows.update(rows.store.rows())
        self.processor.close()

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:
            self.failures.append(error)
            self.feed.stop()
