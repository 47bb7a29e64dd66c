"""Calls that may never return, on a thread that can be left behind.

librdkafka's transactional calls keep their timeout only while the coordinator's answers come: a connection that is
lost at the wrong moment leaves `send_offsets_to_transaction` waiting for ever (`rd_kafka_txn_handle_TxnOffsetCommit`
returns without an answer on `_OUTDATED`).
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Bounded:
    """Runs calls one by one on a daemon thread of its own; after a TimeoutError it must not be used again."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """The function's result or exception; TimeoutError where neither came in time."""
        future: Future[T] = Future()
        self._calls.put((future, function))
        return future.result(seconds)

    def close(self) -> None:
        """Lets the thread end after its last call."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
            del call, future, function
