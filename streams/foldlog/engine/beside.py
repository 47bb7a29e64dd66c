"""The rows of another view, all of them, in memory: what an enriched view looks into."""

import threading
from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from foldlog.core.errors import StateError
from foldlog.core.record import Record
from foldlog.engine.batch import Received

_LONGEST_STOP = 10.0  # s


class Beside:
    """Follows a view's topic from the first time a row is asked for; the asker waits until it has been read once.

    What is found is what was committed and had arrived: a moment behind the other view, and never the same twice.
    Raises StateError where the topic cannot be read, or not all of it in `patience` seconds.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topic: str,
        partitions: int,
        decode: Callable[[bytes], Record],
        patience: float = 120.0,
    ) -> None:
        self._patience = patience
        self._config = config
        self._topic = topic
        self._partitions = partitions
        self._decode = decode
        self._rows: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, tuple[bytes, Record]] = {}
        self._complete = threading.Event()
        self._stopping = threading.Event()
        self._failure = ""
        self._thread: threading.Thread | None = None

    def get(self, name: str) -> Record | None:
        """The row of a key as it has arrived here; None where there is none."""
        if not self._complete.is_set():
            self._wait()
        if self._failure:
            raise StateError(f"{self._topic} cannot be followed: {self._failure}")
        key = name.encode()
        packed = self._rows.get(key)
        if packed is None:
            return None
        known = self._decoded.get(key)
        if known is None or known[0] is not packed:
            known = self._decoded[key] = packed, self._decode(packed)
        return known[1]

    def close(self) -> None:
        """Ends the following."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_LONGEST_STOP)

    def _wait(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name=f"beside-{self._topic}", daemon=True)
            self._thread.start()
        if not self._complete.wait(self._patience):
            raise StateError(f"{self._topic} was not read in {self._patience:.0f} s")

    def _follow(self) -> None:
        consumer = Consumer(self._config)
        try:
            consumer.assign([TopicPartition(self._topic, number, 0) for number in range(self._partitions)])
            unread = set(range(self._partitions))
            while not self._stopping.is_set():
                for message in cast(list[Received], consumer.consume(5000, 0.1)):
                    self._take(message, unread)
                if not unread:
                    self._complete.set()
        except KafkaException as error:
            self._failure = error.args[0].str()
        finally:
            self._complete.set()
            consumer.close()

    def _take(self, message: Received, unread: set[int]) -> None:
        error, key, value = message.error(), message.key(), message.value()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            elif error.fatal() or error.code() in _HOPELESS:
                raise KafkaException(error)
        elif key is not None and value is not None:
            self._rows[key] = value
        elif key is not None:
            self._rows.pop(key, None)
            self._decoded.pop(key, None)


_HOPELESS = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
