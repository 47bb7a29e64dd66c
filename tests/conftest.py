"""The cluster that tests run against: an existing one, Docker's, or an embedded one of their own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from foldlog.cluster import Cluster, docker, embedded, locate
from foldlog.cluster.registry import API

KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"

# A run that a shell started in the background inherits an ignored SIGINT, and so would every process that a test
# starts and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, nothing about what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the whole run: FOLDLOG_BOOTSTRAP's, else containers where Docker answers, else embedded."""
    existing = locate.external()
    if existing:
        yield existing
        return
    own = containers() if docker.answers() else ephemeral(tmp_path_factory.mktemp("cluster"))
    with own as started:
        yield started


@contextmanager
def ephemeral(home: Path) -> Iterator[Cluster]:
    """An embedded cluster that ends with its data.

    Its broker works for as long as the tests do, so its hot code is worth the better compiler. The variable counts more
    than the command line, which asks for a fast start, and for one thread that compiles where that compiler needs two.
    """
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("_JAVA_OPTIONS", "-XX:TieredStopAtLevel=4 -XX:CICompilerCount=2")
            started = embedded.up(home, train=False)
        yield started
    finally:
        embedded.down(home, wipe_data=True)


@contextmanager
def containers() -> Iterator[Cluster]:
    """Kafka and the registry in containers; testcontainers is imported only where an engine answers."""
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    single = {
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    kafka = KafkaContainer(KAFKA_IMAGE).with_kraft()
    for name, value in single.items():
        kafka.with_env(name, value)
    registry = DockerContainer(REGISTRY_IMAGE).with_exposed_ports(8080)
    registry.waiting_for(HttpWaitStrategy(8080, f"{API}/subjects").for_status_code(200))
    with kafka, registry:
        host, port = registry.get_container_host_ip(), registry.get_exposed_port(8080)
        yield Cluster(kafka.get_bootstrap_server(), f"http://{host}:{port}{API}", "docker")
