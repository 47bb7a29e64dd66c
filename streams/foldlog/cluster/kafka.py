"""Apache Kafka: one KRaft node that is broker and controller, on loopback."""

import base64
import logging
import subprocess
import uuid

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from foldlog.cluster.artifacts import Software
from foldlog.cluster.java import Ports, Server, java
from foldlog.cluster.place import Place
from foldlog.cluster.ports import HOST, answers
from foldlog.core.errors import ClusterError

# A broker that was killed may register again only when its old session is over, so a short session lets `up` after
# a crash or a reboot take 5 s instead of 12.
# The cleaner's map holds 24 bytes a key: 32 MB let it compact 1.2 million distinct keys in one pass.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{host}:{controller}
log.dirs=kafka
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.partitions=1
num.network.threads=2
num.io.threads=4
default.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.enable=true
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432
"""

LOGGING = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %-5p %c{1.} - %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""

_silent = logging.getLogger("foldlog.cluster.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def prepare(place: Place, software: Software, ports: Ports) -> None:
    """Write the configuration; format the log directory if it is new."""
    (place.run / "server.properties").write_text(PROPERTIES.format(host=HOST, **ports), "ascii")
    (place.run / "log4j2.properties").write_text(LOGGING, "ascii")
    if not is_formatted(place):
        _format(place, software)


def is_formatted(place: Place) -> bool:
    """Whether the log directory has its identity."""
    return (place.kafka / "meta.properties").is_file()


def _format(place: Place, software: Software) -> None:
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id()}", "-c", "run/server.properties"]
    command = [*java(), "-Xmx128m", *_classpath(software), *tool]
    done = subprocess.run(command, cwd=place.root, capture_output=True, text=True, check=False)
    if done.returncode:
        log = place.log("format")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout + done.stderr, "utf-8")
        raise ClusterError(f"Kafka's log directory cannot be formatted: see {log}")


def cluster_id() -> str:
    """A random UUID as Kafka writes one. With a dash in front (one of 64) it would be an option to Kafka's tools."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _classpath(software: Software) -> list[str]:
    return ["-Dlog4j2.configurationFile=run/log4j2.properties", "-cp", ":".join(map(str, software.kafka))]


def arguments(software: Software, _ports: Ports) -> list[str]:
    """JVM options, class and configuration."""
    return ["-Xms64m", "-Xmx512m", *_classpath(software), "kafka.Kafka", "run/server.properties"]


def responds(ports: Ports) -> bool:
    """Whether the broker is in its own metadata, that is registered, unfenced and serving."""
    if not answers(HOST, ports["kafka"]):
        return False
    client = AdminClient({"bootstrap.servers": f"{HOST}:{ports['kafka']}", "log_level": 0}, logger=_silent)
    try:
        return len(client.list_topics(timeout=2).brokers) == 1
    except KafkaException:
        return False


KAFKA = Server("kafka", ("kafka", "controller"), prepare, arguments, responds)
