"""How long to wait before the next try, and until when to go on."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FIRST_S, LONGEST_S = 0.1, 5.0


class Patience:
    """Doubles from try to try; starts anew after a success."""

    def __init__(self, first: float = FIRST_S, longest: float = LONGEST_S) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        now, self._next = self._next, min(2 * self._next, self._longest)
        return now

    def reset(self) -> None:
        """It went well."""
        self._next = self._first


@contextmanager
def until_told() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, until the end of the block."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Waits, but no longer than until it is told to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
