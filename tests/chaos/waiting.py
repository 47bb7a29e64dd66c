"""Waiting for what must come."""

import time
from collections.abc import Callable
from typing import TypeVar

from foldlog.core.errors import FoldlogError

T = TypeVar("T")


class NeverCame(FoldlogError):  # noqa: N818 — said as it reads
    """What had to come did not."""


def eventually(look: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """What `look` gives once it gives something true; NeverCame says what did not come in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise NeverCame(f"{what} did not come in {seconds:.0f} s")
        time.sleep(0.05)
    return found
