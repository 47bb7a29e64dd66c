"""Who reads which topic, as the committed offsets of the cluster's consumer groups tell; and where a new one begins."""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from foldlog.kafka.connection import METADATA_S, admin, partition_counts, reaching
from foldlog.kafka.marks import GroupOffsets
from foldlog.kafka.reading import bounds

_AT_ONCE = 8  # groups that are asked for


def readers(bootstrap: str) -> dict[str, set[str]]:
    """The consumer groups of each topic that has any; ClusterError where Kafka does not answer."""
    places = [(topic, number) for topic, count in partition_counts(bootstrap).items() for number in range(count)]
    client = admin(bootstrap)
    found: defaultdict[str, set[str]] = defaultdict(set)
    with reaching(bootstrap), closing(GroupOffsets(bootstrap)) as offsets, ThreadPoolExecutor(_AT_ONCE) as threads:
        listed = client.list_consumer_groups(request_timeout=METADATA_S).result(METADATA_S).valid
        groups = [group.group_id for group in listed]
        for group, marks in zip(groups, threads.map(lambda group: offsets.of(group, places), groups), strict=True):
            for (topic, _), offset in marks.items():
                if offset >= 0:
                    found[topic].add(group)
    return dict(found)


def begin_at_end(bootstrap: str, group: str, topics: Iterable[str]) -> None:
    """Has a group that never committed an offset of these topics begin at the ends that they have now."""
    client = admin(bootstrap)
    ends = {(topic, number): end for topic in topics for number, (_, end) in bounds(bootstrap, topic).items()}
    with reaching(bootstrap), closing(GroupOffsets(bootstrap)) as offsets:

        def begun() -> bool:
            return any(offset >= 0 for offset in offsets.of(group, ends).values())

        if begun():
            return
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place, end) for place, end in ends.items()])
        try:
            client.alter_consumer_group_offsets([wanted], request_timeout=METADATA_S)[group].result(METADATA_S)
        except KafkaException:  # it has members by now: one that began at the same time
            if not begun():
                raise
