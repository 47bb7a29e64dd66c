"""Threads that answer, and how many may wait for one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from foldlog.core.errors import QueryError

T = TypeVar("T")
WAITING = 64  # more than these are told to come again


class Desk:
    """Some threads, and a bounded number of those who wait for them."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + WAITING
        self._taken = 0

    async def run(self, ask: Callable[[], T]) -> T:
        """What a function gives, from another thread; QueryError 429 where too many wait."""
        if self._taken >= self._most:
            raise QueryError("too many queries at once: come again", 429)
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Ends the threads once what they do is done."""
        self._threads.shutdown(cancel_futures=True)
