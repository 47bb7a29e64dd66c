"""What the service and the processes that run readers' statements tell one another.

First a Setup, which is answered by `READY`; then requests one after the other, each answered by `READY`, the parts of a
file and an empty message, or by `WRONG` and a problem: an array of detail, status, and whether the process can go on.
"""

from typing import Any, NamedTuple

from foldlog.query.formats import Format

READY, WRONG = b"ready", b"wrong"


class Setup(NamedTuple):
    """What is the same for all statements; the schema of each view is written as Arrow's IPC has it."""

    context: str
    schemas: dict[str, bytes]
    memory_mb: int
    threads: int


class Check(NamedTuple):
    """Asks whether a text is a statement that may be run, and which tables it names: a JSON array of text and names."""

    sql: str


class Ask(NamedTuple):
    """Asks for the answer to a statement that was checked; the copies of these views follow as file descriptors."""

    sql: str
    parameters: Any
    rows: int
    form: Format
    views: list[str]
