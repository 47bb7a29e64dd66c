"""Effects under way: an event loop in a thread of its own, so that a slow effect holds up no batch.

The effects of one key are a chain: one after the other, and none after one that failed.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from foldlog.core.errors import RefusedError, UnreachableError
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from foldlog.engine.batch import Received
from foldlog.engine.work import FAULTS, text_of

AT_ONCE = 32  # chains that are begun at once
MOST = 96  # chains that may go on beside the batches, because they are slow or tried again
_LONGEST_TRY = 30.0  # s
_LONGEST_END = 5.0  # s
_THREADS = 2 * MOST  # for what a sender does in threads


class Effect(NamedTuple):
    """What a reactor does about one event."""

    message: Received
    event: Record
    meta: Meta


Handle = Callable[[Effect], Awaitable[None]]
Close = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """What has no connections has nothing to close."""


class Chain:
    """The effects of one key; `done` of them have succeeded, `failure` says why the next one has not.

    It is `refused` where another try would fail too, `away` where it was not the effect's fault. Its own thread writes
    these, others read them. `numbers` are those of the effects that wait as parked records.
    """

    def __init__(self, key: bytes, partition: int, effects: Sequence[Effect], numbers: Sequence[int] = ()) -> None:
        self.key = key
        self.partition = partition
        self.effects = effects
        self.numbers = numbers
        self.done = 0
        self.failure: str | None = None
        self.refused = self.away = False
        self.future: Future[None] | None = None
        self.waited = 0  # effects that were done when the rest was parked
        self.since: datetime | None = None  # when their key was parked

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.future is None or self.future.done()

    async def run(self, handle: Handle) -> None:
        """Runs the effects in order, up to the first that fails."""
        try:
            for effect in self.effects:
                await asyncio.wait_for(handle(effect), _LONGEST_TRY)
                self.done += 1
        except FAULTS as error:
            self.refused = isinstance(error, RefusedError) and error.for_good
            self.away = isinstance(error, UnreachableError)
            late = isinstance(error, TimeoutError) and not str(error)
            self.failure = f"it did not end in {_LONGEST_TRY:.0f} s" if late else text_of(error)


class Effects:
    """The effects of one reactor; used by its process thread. `close` ends what they hold open in an event loop."""

    def __init__(self, handle: Handle, close: Close = _nothing) -> None:
        self._handle, self._close = handle, close
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.under_way: dict[bytes, Chain] = {}  # those that go on beside the batches, by key

    def run(self, chains: Sequence[Chain], patience: float) -> None:
        """Begins chains and waits until all have ended, at most so many seconds; the others go on, or are not begun."""
        until = time.monotonic() + patience
        waiting, running = list(chains), set[Future[None]]()
        while (waiting or running) and (left := until - time.monotonic()) > 0:
            while waiting and len(running) < AT_ONCE:
                running.add(self.begin(waiting.pop(0)))
            running = wait(running, left, "FIRST_COMPLETED").not_done

    def begin(self, chain: Chain) -> "Future[None]":
        """Begins a chain."""
        chain.future = asyncio.run_coroutine_threadsafe(chain.run(self._handle), self._running())
        return chain.future

    def ended(self) -> list[Chain]:
        """The chains beside the batches that have ended since they were asked for."""
        found = [chain for chain in self.under_way.values() if chain.ended]
        for chain in found:
            del self.under_way[chain.key]
        return found

    def forget(self) -> None:
        """Ends what is under way: it will be begun again, here or elsewhere."""
        for chain in self.under_way.values():
            if chain.future is not None:
                chain.future.cancel()
        self.under_way = {}
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_LONGEST_END + 1)
            self._loop = None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "effect"))
            self._thread = threading.Thread(target=_serve, args=(self._loop, self._close), name="effects", daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: Any, close: Close) -> None:
    """Runs a loop until it is stopped, and ends what is left in it."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    with suppress(*FAULTS):
        loop.run_until_complete(asyncio.wait_for(close(), _LONGEST_END))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
