"""Who reads which topic, as the committed offsets of the cluster's consumer groups tell; and where a new one begins."""

from collections import defaultdict
from collections.abc import Iterable

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from foldlog.kafka.connection import METADATA_S, admin, reaching
from foldlog.kafka.reading import bounds


def readers(bootstrap: str) -> dict[str, set[str]]:
    """The consumer groups of each topic that has any; ClusterError where Kafka does not answer."""
    client = admin(bootstrap)
    found: defaultdict[str, set[str]] = defaultdict(set)
    with reaching(bootstrap):
        groups = client.list_consumer_groups(request_timeout=METADATA_S).result(METADATA_S).valid
        asked = [ConsumerGroupTopicPartitions(group.group_id) for group in groups]
        answers = [client.list_consumer_group_offsets([one], request_timeout=METADATA_S) for one in asked]
        for answer in answers:
            for group, future in answer.items():
                for mark in future.result(METADATA_S).topic_partitions:
                    found[mark.topic].add(group)
    return dict(found)


def begin_at_end(bootstrap: str, group: str, topics: Iterable[str]) -> None:
    """Has a group that never committed an offset begin at the ends that these topics have now."""
    client, asked = admin(bootstrap), ConsumerGroupTopicPartitions(group)
    ends = [
        TopicPartition(topic, number, end) for topic in topics for number, (_, end) in bounds(bootstrap, topic).items()
    ]

    def begun() -> bool:
        answer = client.list_consumer_group_offsets([asked], request_timeout=METADATA_S)[group].result(METADATA_S)
        return any(mark.offset >= 0 for mark in answer.topic_partitions)

    with reaching(bootstrap):
        if begun():
            return
        wanted = ConsumerGroupTopicPartitions(group, ends)
        try:
            client.alter_consumer_group_offsets([wanted], request_timeout=METADATA_S)[group].result(METADATA_S)
        except KafkaException:  # it has members by now: one that began at the same time
            if not begun():
                raise
