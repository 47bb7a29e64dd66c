"""Warm copies of one processor's partitions that other processes own: what is left to restore is the short tail.

A store is open in one place at a time. The processor's `WarmPartitions` has its shadow closed before it opens a store,
and gives the store back when its partition goes away.
"""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog

from foldlog.core.errors import AbortError, RegistryError, StateError, StoreError
from foldlog.engine.batch import Place
from foldlog.engine.following import Follower
from foldlog.engine.kind import Folding
from foldlog.engine.partitions import Partitions
from foldlog.engine.stats import Counters
from foldlog.engine.work import text_of

log = structlog.get_logger()

_LONGEST_TURN = 1.0  # s: then it is another processor's turn


class Shadows:
    """Follows the logs of the wanted partitions into stores; one thread calls `turn`, the processor's the others.

    What it folds with (kind, partitions, follower) is its own: nothing of it is shared with the processor's thread.
    """

    def __init__(self, kind: Folding[Any], partitions: Partitions, follower: Follower, hurry: threading.Event) -> None:
        self.kind = kind
        self.wanted: frozenset[int] = frozenset()
        self.numbers: tuple[int, ...] = ()  # what is kept warm now
        self.lag = 0  # records of their logs that are not folded yet
        self._partitions = partitions
        self._follower = follower
        self._hurry = hurry
        self._lock = threading.Lock()
        self._held: frozenset[int] = frozenset()  # the processor's
        self._log_id: str | None = None  # not known until the processor has looked
        self._failed = False

    def give_up(self, numbers: Iterable[int]) -> None:
        """Closes the stores of these partitions, before the processor opens them."""
        self._hurry.set()  # whatever turn is going on ends
        with self._lock:
            self._hurry.clear()
            self._held |= frozenset(numbers)
            self._keep(frozenset(self.numbers) - self._held)

    def hold(self, numbers: Iterable[int], log_id: str | None) -> None:
        """Says which stores the processor has open now, and of what a store must be; None: it has ended."""
        with self._lock:
            self._held, self._log_id = frozenset(numbers), log_id

    def turn(self) -> bool:
        """Folds what there is, for a second at most; True where more is known to be there."""
        numbers = frozenset() if self._failed else self.wanted - self._held
        try:
            # Asked for without the lock: a broker may take its time to answer, and a processor must not wait for it.
            # Of the logs alone, so that none is loaded from snapshots: those must be read to their end in one go.
            marks = self._follower.watermarks((self.kind.log, number) for number in sorted(numbers))
            with self._lock:
                return self._turn(numbers - self._held, marks)
        except (AbortError, RegistryError) as error:
            log.debug("warm copies wait", processor=self.kind.name, because=str(error))
        except StoreError as error:
            self._begin_again(str(error))
        except StateError as error:  # what has been folded so far is not to be gone on with, here or by the processor
            self._begin_again(text_of(error))
            self._failed = True
            self.end()
        return False

    def end(self) -> None:
        """Closes every store."""
        with self._lock:
            self._keep(frozenset())
            self._partitions.close()

    def _turn(self, numbers: frozenset[int], marks: dict[Place, tuple[int, int]]) -> bool:
        self._keep(numbers)
        if not self.numbers:
            return False
        until = time.monotonic() + _LONGEST_TURN
        self._partitions.catch_up(
            self._follower,
            marks,
            go_on=lambda: not self._hurry.is_set() and time.monotonic() < until,
            stalled=lambda: None,
        )
        self.lag = self._follower.lag({(self.kind.log, number): marks[self.kind.log, number] for number in numbers})
        return self.lag > 0 and time.monotonic() >= until

    def _keep(self, numbers: frozenset[int]) -> None:
        """Opens the stores of these partitions and closes the others; opens none before it knows what they are of."""
        numbers = numbers if self._log_id else numbers & frozenset(self.numbers)
        if numbers == frozenset(self.numbers):
            return
        if not numbers:
            self.lag = 0
            self._follower.close()
        try:
            self._partitions.open(numbers, self._log_id or "")
        finally:
            self.numbers = tuple(sorted(self._partitions.rows))

    def _begin_again(self, why: str) -> None:
        log.warning("warm copies are deleted", processor=self.kind.name, because=why)
        with self._lock:
            self._partitions.clear(why)
            self._follower.close()


class WarmPartitions(Partitions):
    """A processor's partitions, whose stores are kept warm by others' leave while they are not its own."""

    def __init__(self, kind: Folding[Any], directory: Path, cached: int, counters: Counters, shadows: Shadows) -> None:
        super().__init__(kind, directory, cached, counters)
        self._shadows = shadows

    def open(self, numbers: Iterable[int], log_id: str) -> None:
        """Opens the stores of these partitions, as far as their shadows have come, and closes all others."""
        wanted = frozenset(numbers)
        self._shadows.give_up(wanted | self.rows.keys())
        super().open(wanted, log_id)
        self._shadows.hold(wanted, log_id)

    def close(self) -> None:
        """Closes every store; nobody follows any more."""
        super().close()
        self._shadows.hold((), None)
