"""Who reads which topic, as the committed offsets of the cluster's consumer groups tell."""

from collections import defaultdict

from confluent_kafka import ConsumerGroupTopicPartitions

from foldlog.kafka.connection import METADATA_S, admin, reaching


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
