"""Transactions that are counted and timed, once each."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from foldlog.core.errors import AbortError, TaintError
from foldlog.engine.batch import Place
from foldlog.engine.stats import Counters
from foldlog.engine.transactions import Transactions

# What the brokers answer to one whose place another has taken: as a producer, or as a member of the group.
_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)


class Metered(Transactions):
    """Feeds a processor's counters with what becomes of its transactions."""

    def __init__(
        self, config: Mapping[str, Any], transactional_id: str, socket_timeout_ms: int, counters: Counters
    ) -> None:
        super().__init__(config, transactional_id, socket_timeout_ms)
        self._counters = counters

    def write(self, *args: Any, **kwargs: Any) -> dict[Place, int]:
        """Commits, timed from its beginning to the broker's answer."""
        started = time.monotonic()
        with self._counted():
            ends = super().write(*args, **kwargs)
        self._counters.commit_seconds.observe(time.monotonic() - started)
        return ends

    def open(self) -> None:
        """Takes the transactional id."""
        with self._counted():
            super().open()

    def abort(self) -> None:
        """Ends the open transaction without a trace; the failure that led here is counted already."""
        try:
            super().abort()
        except TaintError:
            self._counters.taints += 1
            raise

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except AbortError as error:
            self._counters.aborts += 1
            self._counters.taints += isinstance(error, TaintError)
            self._counters.fences += is_fence(error)
            raise


def is_fence(error: AbortError) -> bool:
    """Whether the brokers refused because somebody else has taken over; the client may wrap what they said."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, KafkaException) and cause.args[0].code() in _FENCED:
            return True
        cause = cause.__cause__
    return False
