"""What a processor tells about itself."""

from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "restoring", "running", "stopped"]


@dataclass(frozen=True)
class ProcessorStats:
    """A processor as of now: rate in records/s, lag in records, rows in its stores, records of its log to restore."""

    processor: str
    kind: str
    partitions: tuple[int, ...]
    state: State
    records: int
    rate: float
    lag: int
    rows: int
    dead_letters: int
    restored: int
    to_restore: int


@dataclass
class Counters:
    """What a processor counts; written by its process thread, read by others."""

    state: State = "starting"
    records: int = 0
    dead_letters: int = 0
    restored: int = 0
    to_restore: int = 0
    rows: int = 0
