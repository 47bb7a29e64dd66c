"""An engine with one of its rules switched off: `python -m tests.chaos.broken 5 run tests.chaos.bank`.

Rule 0 breaks nothing. Whichever it is, files in the directory `CHAOS_HOOKS` hold the account's transactions up, so
that a scenario happens where otherwise only the right moment would bring it about:
`hold-INSTANCE` keeps a decided batch from beginning its transaction (`held-INSTANCE` says that one waits);
`abort-INSTANCE` keeps one from committing (`aborting-INSTANCE`), and aborts it when the file goes;
`no-fencing`, there at the start, keeps a successor from ending the transactions of the owner before: a second wall
behind the rules 1 and 3, which must hold without it.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from foldlog.core.errors import AbortError
from foldlog.engine import deciding
from foldlog.engine.batch import Place
from foldlog.engine.processor import Processor
from foldlog.engine.restoring import Group, LogReader
from foldlog.engine.transactions import Transactions

HOOKS = "CHAOS_HOOKS"


def _hook(transactions: Transactions, name: str) -> Path | None:
    """The hook's file, where the account's processor is to be held up by it."""
    group, _, instance = transactions.transactional_id.rpartition(".")
    file = Path(os.environ[HOOKS]) / f"{name}-{instance}"
    return file if group.endswith(".account") and file.exists() else None


def _wait(file: Path, reached: str) -> None:
    """Tells that the hook was reached and waits until its file is gone."""
    file.with_name(file.name.replace(file.name.partition("-")[0], reached)).touch()
    while file.exists():
        time.sleep(0.02)


def install_hooks() -> None:
    """Makes the account's transactions wait for files."""
    write, commit = Transactions.write, Transactions._commit

    def write_when_let(
        self: Transactions, outputs: Iterable[Any], offsets: Mapping[Place, int], group: Any, then: Any = None
    ) -> dict[Place, int]:
        records = list(outputs)
        if records and (file := _hook(self, "hold")) is not None:
            _wait(file, "held")
        return write(self, records, offsets, group, then)

    def commit_when_let(self: Transactions, producer: Any, offsets: Mapping[Place, int], group: Any) -> None:
        if (file := _hook(self, "abort")) is not None:
            producer.flush(10)
            _wait(file, "aborting")
            raise AbortError("made by the suite")
        commit(self, producer, offsets, group)

    if (Path(os.environ[HOOKS]) / "no-fencing").exists():
        Group.end_predecessors = lambda *_, **__: None  # type: ignore[method-assign]
    Transactions.write = write_when_let  # type: ignore[method-assign]
    Transactions._commit = commit_when_let  # type: ignore[method-assign]


def nothing() -> None:
    """Every rule is kept."""


def membership_not_captured() -> None:
    """Rule 1: a batch goes without the membership under which it was polled; the group's name alone fences nobody."""
    write = Transactions.write

    def write_for_anybody(
        self: Transactions, outputs: Iterable[Any], offsets: Mapping[Place, int], group: Any, then: Any = None
    ) -> dict[Place, int]:
        name = self.transactional_id.rpartition(".")[0]
        stranger = Consumer({"bootstrap.servers": self._config["bootstrap.servers"], "group.id": name})
        try:
            return write(self, outputs, offsets, stranger.consumer_group_metadata(), then)
        finally:
            stranger.close()

    Transactions.write = write_for_anybody  # type: ignore[method-assign]


def no_epochs() -> None:
    """Rule 2: an aborted batch is dropped, and the next one is taken as if nothing had happened."""

    def go_on(self: Processor, epoch: int, error: Exception) -> None:
        del epoch
        self._drop()
        self._recovery.recover(error)

    Processor._again = go_on  # type: ignore[method-assign]


def offsets_apart() -> None:
    """Rule 3: the records are one transaction, the offsets another."""
    write = Transactions.write

    def write_apart(
        self: Transactions, outputs: Iterable[Any], offsets: Mapping[Place, int], group: Any, then: Any = None
    ) -> dict[Place, int]:
        records, ends = list(outputs), dict[Place, int]()
        if records:
            if (file := _hook(self, "hold")) is not None:
                _wait(file, "held")
            producer = self._ready()
            self._begin(producer)
            self._produce(producer, records)
            producer.commit_transaction(self._limit)
            self._open, ends = False, dict(self._ends)
        write(self, then(ends) if then else [], offsets, group)
        return ends

    Transactions.write = write_apart  # type: ignore[method-assign]


def to_the_last_stable_offset() -> None:
    """Rule 4: a log ends where a read_committed reader sees it end."""

    def watermarks(self: LogReader, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        consumer = self._consumer("read_committed")
        try:
            return {
                place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=10, cached=False)
                for place in places
            }
        finally:
            consumer.close()

    LogReader.watermarks = watermarks  # type: ignore[method-assign]


def producer_kept() -> None:
    """Rule 5: an answer that came late is an answer; there is time to wait for it."""
    make = Transactions.__init__

    def patient(self: Transactions, config: Mapping[str, Any], transactional_id: str, socket_timeout_ms: int) -> None:
        make(self, config, transactional_id, socket_timeout_ms)
        self._limit = 20.0

    Transactions.__init__ = patient  # type: ignore[method-assign]
    Transactions._check_sure = lambda *_: None  # type: ignore[method-assign]


def forgets_commands() -> None:
    """Rule 6: a command that comes again is a new one."""

    def never_met(*_: object) -> int | None:
        return None

    deciding.version_of = never_met  # type: ignore[assignment, attr-defined]  # by the name that `handle` calls


RULES: dict[str, Callable[[], None]] = {
    "0": nothing,
    "1": membership_not_captured,
    "2": no_epochs,
    "3": offsets_apart,
    "4": to_the_last_stable_offset,
    "5": producer_kept,
    "6": forgets_commands,
}


def main() -> None:
    """Breaks the rule of the first argument and runs foldlog with the others."""
    rule, *arguments = sys.argv[1:]
    install_hooks()
    RULES[rule]()
    sys.argv = ["foldlog", *arguments]
    from foldlog.cli.main import main as foldlog

    foldlog()


if __name__ == "__main__":
    main()
