"""Runs the command line as its users do: arguments in, exit code, stdout and stderr out."""

import io
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from foldlog.cli.main import main
from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.partitioning import partition_of
from foldlog.core.topics import topics
from foldlog.core.topology import Topology
from foldlog.kafka.admin import apply
from tests.cli.bank import bank
from tests.engine.running import eventually
from tests.engine.visible import visible


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `foldlog ARGUMENTS` in this process; `stdin` is what it reads."""

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["foldlog", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@dataclass
class Context:
    """The bank under a name of its own, with its topics and schemas, on the tests' cluster."""

    topology: Topology
    module: str
    cluster: Cluster
    registry: Registry

    @property
    def name(self) -> str:
        """The context's name."""
        return self.topology.name

    @cached_property
    def codec(self) -> Codec:
        """Encodes what the engine would."""
        codec = Codec(self.topology, self.registry)
        codec.prepare()
        return codec

    def write(self, topic: str, *records: tuple[str, bytes | None], key_of: Callable[[str], str] = str) -> None:
        """Writes key and value pairs in one transaction, each to the partition of its owner, as the engine does."""
        count = self._partitions(topic)
        producer = self._transactional()
        producer.begin_transaction()
        for key, value in records:
            place = partition_of(key_of(key).encode(), count)
            producer.produce(topic, value, key.encode(), partition=place)
        producer.commit_transaction()
        self.visible(topic)

    def visible(self, topic: str) -> None:
        """Returns once committed readers see all that is in a topic by now."""
        visible(self.cluster.bootstrap, topic, self._partitions(topic))

    def abort(self, topic: str, key: str, value: bytes) -> None:
        """Writes a record in a transaction that is aborted: no committed reader may see it."""
        producer = self._transactional()
        producer.begin_transaction()
        producer.produce(topic, value, key.encode(), partition=0)
        producer.flush()
        producer.abort_transaction()

    def _partitions(self, topic: str) -> int:
        declared = {each.name: each.partitions for each in topics(self.topology)}
        return declared.get(topic, self.topology.partitions)  # another generation of a view is not declared

    def _transactional(self) -> Producer:
        name = f"{self.name}-tests-{uuid.uuid4()}"
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap, "transactional.id": name, "linger.ms": 5})
        producer.init_transactions()
        return producer


def commit(consumer: Consumer, marks: list[TopicPartition]) -> None:
    """Commits offsets; until the cluster's coordinator has started, again and again."""

    def is_done() -> bool:
        try:
            return bool(consumer.commit(offsets=marks, asynchronous=False))
        except KafkaException:
            return False

    eventually(is_done, "the commit")


@contextmanager
def of_fresh_name(cluster: Cluster, home: Path) -> Iterator[Context]:
    """A context without topics; its module can be imported, and the environment names the cluster."""
    name = f"bank_{uuid.uuid4().hex[:8]}"
    module = f"context_{name}"
    (home / f"{module}.py").write_text(
        f"import dataclasses, tests.cli.bank\ncontext = dataclasses.replace(tests.cli.bank.bank, name={name!r})\n"
    )
    with pytest.MonkeyPatch.context() as patch, closing(Registry(cluster.registry)) as registry:
        patch.syspath_prepend(home)
        patch.setenv("FOLDLOG_BOOTSTRAP", cluster.bootstrap)
        patch.setenv("FOLDLOG_REGISTRY", cluster.registry)
        yield Context(replace(bank, name=name), module, cluster, registry)


@pytest.fixture(scope="module")
def empty(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A context whose topics and schemas do not exist."""
    with of_fresh_name(cluster, tmp_path_factory.mktemp("empty")) as context:
        yield context


@pytest.fixture(scope="module")
def context(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A context with its topics and schemas."""
    with of_fresh_name(cluster, tmp_path_factory.mktemp("context")) as context:
        apply(cluster.bootstrap, topics(context.topology), 1)
        push(context.topology, context.registry)
        yield context
