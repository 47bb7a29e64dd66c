"""What the engine keeps of records that wait for a repair, and what an operator asks it to do about them."""

from datetime import datetime

from foldlog.core.outcome import Header
from foldlog.core.record import Record

RETRY = "retry"  # handle it again, by the code and the schemas that run now
DROP = "drop"  # give it up for good
EDIT = "edit"  # a retry takes these bytes instead


class Parked(Record):
    """A record that waits until those before it of its key are handled: whole, with the place where it stood."""

    topic: str
    partition: int
    offset: int
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


class ParkedKey(Record):
    """A key whose records wait, in the order in which they came, from `first` up to but not including `next`.

    `cause` and `reason` say why the first one failed, `tries` how often, `since` when it did so first; `asked` is how
    often operators asked for a retry. The engine tries again by itself at `due`, which is the last field; where that is
    None, it is an operator's turn.
    """

    key: str
    cause: str
    reason: str
    since: datetime
    first: int
    next: int
    tries: int = 1
    asked: int = 0
    due: datetime | None = None


class Repair(Record):
    """What somebody asks to be done about a dead letter or a parked key, on `<context>.repairs`; and the trace of it.

    `key` is a parked key, with `sequence` only that record of it. `letter` is the offset of a dead letter on its
    topic, `record` what of it is to be handled: its bytes as they are, or as they were edited.
    """

    action: str
    processor: str
    actor: str
    time: datetime
    key: str | None = None
    sequence: int | None = None
    letter: int | None = None
    record: Parked | None = None
    why: str = ""
