"""Where logs end and how far groups have come."""

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from foldlog.kafka.connection import METADATA_S, client_config

Place = tuple[str, int]
"""A topic and one of its partitions."""

_AGAIN = 0.05  # s
_MOVING = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)


def end_offsets(admin: AdminClient, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
    """The next offset of each partition: after what is committed, or after everything that was written.

    A transaction may be committed before its partitions say so: whoever must not miss its records takes the latter.
    """
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(*place): latest for place in places}
    answers = admin.list_offsets(asked, isolation_level=level, request_timeout=METADATA_S)
    return {(mark.topic, mark.partition): answer.result(METADATA_S).offset for mark, answer in answers.items()}


class GroupOffsets:
    """The offsets that groups have committed, asked for again and again; threads may share it.

    By a consumer for each group, which never joins it: the admin client's way to ask for them ends the process (a null
    pointer, https://github.com/confluentinc/librdkafka/issues/5040) where the group's coordinator has just moved.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumers: dict[str, Consumer] = {}

    def of(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """The next offset that a group will read of each partition; negative where it has not committed any.

        Waits at most 10 s for a coordinator that moves; raises KafkaException after it, and where none answers.
        """
        return {(mark.topic, mark.partition): mark.offset for mark in self.marks(group, places)}

    def marks(self, group: str, places: Iterable[Place]) -> list[TopicPartition]:
        """What `of` says, with what stands beside the offsets."""
        consumer = self._consumers.get(group)
        if consumer is None:
            own = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
            consumer = self._consumers[group] = Consumer({**client_config(self._bootstrap), **own})
        marks, deadline = [TopicPartition(*place) for place in places], time.monotonic() + METADATA_S
        while True:
            try:
                return consumer.committed(marks, METADATA_S)
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise
            time.sleep(_AGAIN)

    def close(self) -> None:
        """Ends the consumers."""
        while self._consumers:
            self._consumers.popitem()[1].close()
