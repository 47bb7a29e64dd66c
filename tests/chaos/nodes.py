"""Three Kafka nodes, each broker and controller, on loopback; clients reach them through one proxy each.

The brokers talk to each other directly, so that what is done to a client's network is done to clients alone.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from foldlog.cluster.artifacts import Software
from foldlog.cluster.java import aot_options, java
from foldlog.cluster.kafka import LOGGING, cluster_id
from foldlog.cluster.ports import HOST
from foldlog.core.errors import ClusterError
from tests.chaos.wire import Proxy

COUNT = 3
BOOT_S = 180.0

# Sessions and elections are short, so that many faults fit into minutes; min.isr 2 of 3 so that one may be lost.
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://{host}:{direct},EXT://{host}:{behind},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{direct},EXT://{host}:{proxied}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT
controller.quorum.voters={voters}
log.dirs=kafka
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
num.partitions=3
num.network.threads=2
num.io.threads=4
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=3
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=4000
controller.quorum.fetch.timeout.ms=1500
controller.quorum.election.timeout.ms=700
log.cleaner.dedupe.buffer.size=8388608
log.segment.delete.delay.ms=1000
"""

Ports = Mapping[str, int]


class Node:
    """One node: its process, its directory, the proxy before it."""

    def __init__(self, number: int, directory: Path, software: Software, ports: Ports) -> None:
        self.number = number
        self.direct = f"{HOST}:{ports['direct']}"
        self.proxy = Proxy(ports["behind"], ports["proxied"])
        self.process: subprocess.Popen[bytes] | None = None
        self._directory = directory
        self._software = software

    def configure(self, properties: str) -> None:
        """Writes what the server reads when it starts."""
        self._directory.mkdir(parents=True)
        (self._directory / "server.properties").write_text(properties, "ascii")
        (self._directory / "log4j2.properties").write_text(LOGGING, "ascii")

    def format(self, cluster: str) -> subprocess.Popen[bytes]:
        """Begins to give the log directory its identity."""
        return self._java(
            "-Xmx128m", "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", "server.properties"
        )

    def start(self) -> None:
        """Starts the process; it serves a second or two later."""
        memory = ("-Xms128m", "-Xmx320m", *aot_options(self._software, "kafka"))
        self.process = self._java(*memory, "kafka.Kafka", "server.properties")

    def kill(self) -> int:
        """SIGKILL; gives the pid that ended by it. A node that has ended already is an error."""
        process = self._running()
        process.kill()
        if process.wait(30) != -signal.SIGKILL:
            raise ClusterError(f"node {self.number} had ended by itself: see {self.log}")
        return process.pid

    def freeze(self) -> None:
        """SIGSTOP."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends the process and the proxy, whatever state they are in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self.proxy.close()

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self._directory / "server.log"

    @property
    def quorum(self) -> tuple[int, int]:
        """The epoch and the leader of the controllers' quorum as this node has noted them; 0, -1 before it did."""
        with suppress(OSError, ValueError, KeyError):
            state = json.loads((self._directory / "kafka" / "__cluster_metadata-0" / "quorum-state").read_text())
            return int(state["leaderEpoch"]), int(state["leaderId"])
        return 0, -1

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            raise ClusterError(f"node {self.number} does not run: see {self.log}")
        return self.process

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        options = list(arguments)
        main = next(i for i, word in enumerate(options) if word.startswith("kafka."))
        classes = ["-Dlog4j2.configurationFile=log4j2.properties", "-cp", ":".join(map(str, self._software.kafka))]
        command = [*java(), *options[:main], *classes, *options[main:]]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Kafka reads settings from variables that are meant for others.
                env={name: os.environ[name] for name in ("PATH", "HOME", "TZ") if name in os.environ},
                start_new_session=True,  # Ctrl-C is for the suite, which stops its nodes itself
            )


class Nodes:
    """The three nodes; `direct` and `proxied` are bootstrap addresses."""

    def __init__(self, directory: Path, software: Software, ports: list[Ports]) -> None:
        self.all = [Node(n, directory / f"node-{n}", software, each) for n, each in enumerate(ports, 1)]
        voters = ",".join(f"{n}@{HOST}:{each['controller']}" for n, each in enumerate(ports, 1))
        for node, each in zip(self.all, ports, strict=True):
            node.configure(PROPERTIES.format(node=node.number, host=HOST, voters=voters, **each))
        self.direct = ",".join(node.direct for node in self.all)
        self.proxied = ",".join(f"{HOST}:{node.proxy.port}" for node in self.all)

    def start(self) -> None:
        """Formats and starts all; returns when each is in the metadata. ClusterError where one does not come."""
        cluster = cluster_id()
        for node, formatting in [(node, node.format(cluster)) for node in self.all]:
            if formatting.wait(60):
                raise ClusterError(f"the log directory of node {node.number} cannot be formatted: see {node.log}")
        for node in self.all:
            node.start()
        self.await_(lambda: self.alive() == COUNT, "three nodes in the metadata")

    def node(self, number: int) -> Node:
        """The node of that number, 1 to 3."""
        return self.all[number - 1]

    def leader(self) -> tuple[int, int]:
        """The epoch and the number of the active controller, as the latest of the nodes' notes has it."""
        return max(node.quorum for node in self.all)

    def alive(self) -> int:
        """How many brokers the cluster's metadata lists."""
        return len(self._metadata().brokers)

    def in_sync(self) -> bool:
        """Whether every replica of every partition is in sync, and every partition has a leader."""
        found = self._metadata()
        partitions = [part for topic in found.topics.values() for part in topic.partitions.values()]
        return len(found.brokers) == COUNT and all(
            part.leader > 0 and len(part.isrs) == len(part.replicas) for part in partitions
        )

    def await_(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until a condition holds; ClusterError says what did not come."""
        deadline = time.monotonic() + BOOT_S
        while True:
            with suppress(KafkaException):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise ClusterError(f"after {BOOT_S:.0f} s still waiting for {what}: see {self.all[0].log.parent}")
            time.sleep(0.1)

    def close(self) -> None:
        """Ends everything."""
        for node in self.all:
            node.thaw()
            node.close()

    def _metadata(self) -> Any:
        return AdminClient({"bootstrap.servers": self.direct, "log_level": 0}).list_topics(timeout=5)
