"""Topics that a broker does not know: just made and not heard of there yet, or gone."""

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from foldlog.core.errors import StateError, TaintError
from foldlog.engine.restoring import topic_ids

_PATIENCE = 10.0  # s: brokers learn of a topic from the controller, a loaded one late


class Absent:
    """What a subscribed consumer was told once of a missing topic; it finds the topic by itself when it is there."""

    def __init__(self, bootstrap: str, topics: Iterable[str]) -> None:
        self._bootstrap = bootstrap
        self._topics = frozenset(topics)
        self._error: KafkaError | None = None
        self._due = 0.0

    def told(self, error: KafkaError) -> None:
        """Keeps the error for 10 s; a later one does not put off the time."""
        if self._error is None:
            self._error, self._due = error, time.monotonic() + _PATIENCE

    def check(self) -> None:
        """Raises the error (KafkaException) where its 10 s are over and a topic is still missing."""
        if self._error is None or time.monotonic() < self._due:
            return
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})
        try:
            topic_ids(admin, self._topics)
        except StateError as error:
            raise KafkaException(self._error) from error
        except TaintError:  # nobody says that the topic is gone
            self._due = time.monotonic() + _PATIENCE
        else:
            self._error = None
