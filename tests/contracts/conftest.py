"""The registry of the test cluster, and a context that is registered there."""

from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.topology import Topology
from tests.contracts.specimen import banking, fresh_name


@pytest.fixture(scope="session")
def registry(cluster: Cluster) -> Iterator[Registry]:
    opened = Registry(cluster.registry)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def foreign(cluster: Cluster) -> Iterator[SchemaRegistryClient]:
    """A client that knows nothing of foldlog."""
    with SchemaRegistryClient({"url": cluster.registry}) as client:
        yield client


@pytest.fixture(scope="session")
def bank(registry: Registry) -> Topology:
    """A context whose schemas are registered."""
    topology = banking(fresh_name())
    push(topology, registry)
    return topology


@pytest.fixture
def codec(bank: Topology, registry: Registry) -> Codec:
    prepared = Codec(bank, registry)
    prepared.prepare()
    return prepared
