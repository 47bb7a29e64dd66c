"""What a sink needs of a target: to apply changes and offsets in one transaction, and to tell them again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from foldlog.core.meta import Meta
from foldlog.core.record import Record


@dataclass(frozen=True)
class Consistency:
    """How a sink keeps its target consistent with the topic.

    A transaction is made every `sync_ms` while records come, of at most `batch_records`. Of several records of a key
    the last wins. A target that is away is tried again after `backoff_s`, then after twice that, up to
    `longest_backoff_s`. Where nothing comes, the target is told once in `heartbeat_s` that it is up to date.
    """

    sync_ms: int = 100
    batch_records: int = 10_000
    conflict: Literal["last-write-wins"] = "last-write-wins"
    backoff_s: float = 0.1
    longest_backoff_s: float = 10.0
    heartbeat_s: float = 60.0

    def backoff(self, failures: int) -> float:
        """How long to wait after so many failures in a row, in seconds."""
        return float(min(self.longest_backoff_s, self.backoff_s * 2 ** min(failures - 1, 32)))


class Change(NamedTuple):
    """The last record of a key in a batch: its row or event, None where it was deleted; Meta of an event only."""

    key: str
    record: Record | None
    partition: int
    offset: int
    meta: Meta | None = None

    @property
    def place(self) -> str:
        """Which record it is, for an error."""
        key = self.key if len(self.key) <= 80 else f"{self.key[:80]}…"
        return f"key {key!r} (partition {self.partition}, offset {self.offset})"


@dataclass(frozen=True)
class Applied:
    """How far a target is: the next offset of each partition, of which topic, and when it was told so.

    A topic is told as `name@id`. A target is not `whole` while its rows are partly those of another topic.
    """

    offsets: Mapping[int, int] = field(default_factory=dict)
    topic: str | None = None
    at: datetime | None = None
    whole: bool = True


class Target(Protocol):
    """Where a sink writes.

    Every method raises AwayError where the target does not answer, FencedError where a younger process has opened it,
    and SinkError where it refuses.
    """

    @property
    def name(self) -> str:
        """The place in words, without secrets."""
        ...

    def open(self) -> Applied:
        """Connects, makes what is missing, and fences every process that has opened it before."""
        ...

    def apply(self, changes: Sequence[Change], applied: Applied) -> None:
        """Writes the changes and how far they lead, all or nothing."""
        ...

    def renew(self, batches: Iterable[tuple[Sequence[Change], Applied]]) -> None:
        """Replaces all rows by those that these changes leave, and tells how far the last of the batches leads.

        Until that is told the target is where it was, or says that it is not whole.
        """
        ...

    def clear(self) -> None:
        """Connects, and removes what the sink has written and made."""
        ...

    def close(self) -> None:
        """Ends the connection; `open` makes another."""
        ...
