"""One way to reach Kafka, and one error when it cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from foldlog.core.errors import ClusterError, ConfigError

METADATA_S = 10.0


def client_config(bootstrap: str) -> dict[str, str | int | float | bool]:
    """What every client shares; librdkafka's own log is off, because each failure becomes an error of ours."""
    return {"bootstrap.servers": bootstrap, "log_level": 0, "allow.auto.create.topics": False}


@contextmanager
def reaching(bootstrap: str) -> Iterator[None]:
    """Turns a Kafka failure into a ClusterError that names the address."""
    try:
        yield
    except KafkaException as error:
        reason = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
        raise ClusterError(f"Kafka at {bootstrap}: {reason}") from error


def admin(bootstrap: str) -> AdminClient:
    """A client for topics and their configuration."""
    return AdminClient(client_config(bootstrap))


def partition_counts(bootstrap: str) -> dict[str, int]:
    """Every topic of the cluster with its number of partitions; ClusterError where Kafka does not answer."""
    with reaching(bootstrap):
        # All topics: asking for one by name would create it on a broker with auto-creation.
        found = admin(bootstrap).list_topics(timeout=METADATA_S).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def partition_count(bootstrap: str, topic: str) -> int:
    """The number of partitions of a topic; ConfigError where there is no such topic."""
    count = partition_counts(bootstrap).get(topic)
    if count is None:
        context = topic.partition(".")[0]
        raise ConfigError(f"there is no topic {topic}: run `foldlog topics apply topologies.{context}`")
    return count
