"""The cluster that every other test is given."""

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient

from foldlog.cluster import Cluster


def test_it_takes_transactions_and_lists_schemas(cluster: Cluster) -> None:
    assert AdminClient({"bootstrap.servers": cluster.bootstrap}).list_topics(timeout=60).brokers
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": "tests.fixture"})
    producer.init_transactions(60)
    with SchemaRegistryClient({"url": cluster.registry}) as client:
        assert isinstance(client.get_subjects(), list)
