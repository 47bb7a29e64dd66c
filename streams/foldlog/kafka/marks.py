"""Where logs end and how far groups have come."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from foldlog.kafka.connection import METADATA_S

Place = tuple[str, int]
"""A topic and one of its partitions."""


def end_offsets(admin: AdminClient, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
    """The next offset of each partition: after what is committed, or after everything that was written.

    A transaction may be committed before its partitions say so: whoever must not miss its records takes the latter.
    """
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(*place): latest for place in places}
    answers = admin.list_offsets(asked, isolation_level=level, request_timeout=METADATA_S)
    return {(mark.topic, mark.partition): answer.result(METADATA_S).offset for mark, answer in answers.items()}


def group_offsets(admin: AdminClient, group: str, places: Iterable[Place]) -> dict[Place, int]:
    """The next offset that a group will read of each partition; negative where it has not committed any."""
    request = [ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])]
    found = admin.list_consumer_group_offsets(request, request_timeout=METADATA_S)[group].result(METADATA_S)
    return {(mark.topic, mark.partition): mark.offset for mark in found.topic_partitions or ()}
