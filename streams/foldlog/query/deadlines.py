"""Work that is interrupted when its time is over; one thread watches all of it, since one each costs too much."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY = 0.05  # s


class Deadlines:
    """Interrupts what takes too long, a twentieth of a second late at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[threading.Event, tuple[float, Callable[[], None]]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def of(self, interrupt: Callable[[], None], seconds: float) -> Iterator[threading.Event]:
        """Calls `interrupt` if the block takes longer; gives an event that is set then."""
        expired = threading.Event()
        with self._lock:
            self._open[expired] = time.monotonic() + seconds, interrupt
        try:
            yield expired
        finally:
            with self._lock:
                self._open.pop(expired, None)

    def close(self) -> None:
        """Watches no more."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY):
            with self._lock:  # so that nothing is interrupted that has ended meanwhile
                now = time.monotonic()
                for expired, (moment, interrupt) in self._open.items():
                    if moment < now:
                        expired.set()
                        interrupt()  # again and again: the statement may begin only now
