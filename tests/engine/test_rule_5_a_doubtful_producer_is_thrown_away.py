"""Rule 5: a producer whose commit or abort was late is never used again.

The client repeats a request that is not answered in time, and reports success when the second one is. The first one
may be on its way still: whenever it arrives, it ends whatever transaction the same producer has open by then.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from foldlog.cluster import Cluster, artifacts, kafka, ports, quiet
from foldlog.cluster.artifacts import Software
from foldlog.cluster.java import Ports, Server
from foldlog.cluster.place import Place
from foldlog.cluster.processes import processes, stop
from foldlog.core.errors import AbortError, TaintError
from foldlog.core.topics import Topic
from foldlog.engine import clients
from foldlog.engine.batch import Output
from foldlog.engine.batch import Place as Partition
from foldlog.engine.transactions import Transactions
from foldlog.kafka.admin import apply
from foldlog.settings import Settings
from tests.engine.proxy import END_TXN, TXN_OFFSET_COMMIT, Proxy
from tests.engine.rig import Line
from tests.engine.tally import Add, Context, committed, committed_records, eventually

LATE = 2.5  # s
VERY_LATE = 60.0  # s: until the test says that it may come
TIMEOUT = 1000  # ms, of the producer's requests


@dataclass(frozen=True)
class Broker:
    """A broker of its own: where it is, and where it is behind the proxy."""

    direct: str
    proxied: str
    proxy: Proxy


def _through(proxied: int, behind: int) -> Server:
    """Kafka with a second listener at port `behind`, which it advertises as `proxied`."""

    def prepare(place: Place, software: Software, chosen: Ports) -> None:
        kafka.prepare(place, software, chosen)
        file = place.run / "server.properties"
        text = file.read_text("ascii").replace("\nlisteners=", f"\nlisteners=PROXIED://127.0.0.1:{behind},")
        text = text.replace("\nadvertised.listeners=", f"\nadvertised.listeners=PROXIED://127.0.0.1:{proxied},")
        protocols = ",".join(f"{name}:PLAINTEXT" for name in ("PROXIED", "CONTROLLER", "PLAINTEXT"))
        file.write_text(f"{text}listener.security.protocol.map={protocols}\n", "ascii")

    return Server("kafka", ("kafka", "controller"), prepare, kafka.arguments, kafka.responds)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    place = Place.of(tmp_path_factory.mktemp("broker"))
    place.run.mkdir(parents=True)
    chosen = ports.choose({}, {})  # the registry's ports are free for the second listener
    proxied, behind = chosen["registry"], chosen["management"]
    server = _through(proxied, behind)
    server.start(place, artifacts.software(quiet), chosen)
    try:
        deadline = time.monotonic() + 60
        while not server.responds(chosen):
            assert time.monotonic() < deadline, place.log("kafka").read_text()
            time.sleep(0.1)
        with Proxy(behind, proxied).running() as proxy:
            yield Broker(f"127.0.0.1:{chosen['kafka']}", f"127.0.0.1:{proxied}", proxy)
    finally:
        stop(list(processes(place).values()), grace=0)


class KeepsTheProducer(Transactions):
    """Breaks the rule: an answer that came late is an answer; there is time to wait for it."""

    def __init__(self, config: Mapping[str, Any], transactional_id: str, socket_timeout_ms: int) -> None:
        super().__init__(config, transactional_id, socket_timeout_ms)
        self._limit = 20

    def _check_sure(self, *_: object) -> None:
        return


def _source(broker: Broker, name: str) -> tuple[str, dict[Partition, int], Any]:
    """A log to write to, offsets to send, and the membership of a group without members."""
    log, source = f"{name}-log", f"{name}-commands"
    apply(broker.direct, (Topic(log, 1), Topic(source, 1)), 1)
    consumer = Consumer({"bootstrap.servers": broker.direct, "group.id": name})
    group = consumer.consumer_group_metadata()
    consumer.close()
    return log, {(source, 0): 1}, group


def _visible(broker: Broker, kind: type[Transactions], name: str) -> list[bytes | None]:
    """What a transaction whose commit is late and an aborted one after it leave in a log."""
    log, offsets, group = _source(broker, name)
    transactions = kind(clients.transactional(broker.proxied, Settings()), name, TIMEOUT)
    transactions.open()
    broker.proxy.late(END_TXN, VERY_LATE)
    try:
        transactions.write([Output(log, 0, b"key", b"first")], offsets, group)
    except TaintError:
        transactions.discard()

    def aborted_after_the_late_one(_: Mapping[Partition, int]) -> Iterable[Output]:
        broker.proxy.deliver()
        assert broker.proxy.delivered.wait(60)
        # The broker ends what it takes for the open transaction, or does nothing, which takes no time to wait for.
        committed_records(broker.direct, log, 60 if kind is KeepsTheProducer else 2)
        raise AbortError("made by the test")

    with pytest.raises(AbortError, match="made by the test"):
        transactions.write([Output(log, 0, b"key", b"aborted")], offsets, group, aborted_after_the_late_one)
    with suppress(TaintError):
        transactions.abort()
    transactions.discard()
    return [entry.value for entry in committed_records(broker.direct, log)]


def test_nothing_of_an_aborted_transaction_is_visible(broker: Broker) -> None:
    assert b"aborted" not in _visible(broker, Transactions, "with")


def test_with_the_producer_kept_an_aborted_record_is_visible(broker: Broker) -> None:
    assert _visible(broker, KeepsTheProducer, "without") == [b"first", b"aborted"]


def test_a_commit_that_was_told_to_be_good_but_took_too_long_is_doubtful(broker: Broker) -> None:
    log, offsets, group = _source(broker, "slow")
    timeout = 5 * TIMEOUT  # each of the two must be in time on a slow machine, and both together late
    transactions = Transactions(clients.transactional(broker.proxied, Settings()), "slow", timeout)
    transactions.open()
    for api_key in (TXN_OFFSET_COMMIT, END_TXN):
        broker.proxy.late(api_key, 0.6 * timeout / 1000)
    with pytest.raises(TaintError, match="may have been sent twice"):
        transactions.write([Output(log, 0, b"key", b"first")], offsets, group)
    transactions.discard()
    assert [entry.value for entry in committed_records(broker.direct, log)] == [b"first"]


def test_a_line_whose_commit_is_late_handles_everything_once(cluster: Cluster, tmp_path: Path, broker: Broker) -> None:
    with Context(Cluster(broker.proxied, cluster.registry, "external"), tmp_path) as context:
        line = Line(context, batch_records=4, socket_timeout_ms=TIMEOUT)
        with line.running():
            eventually(lambda: line.counters.state == "running")
            broker.proxy.late(END_TXN, LATE)
            context.send(*(Add(context.key(0), amount) for amount in range(40)))
            eventually(lambda: committed(context).offset == 40)
            assert broker.proxy.delivered.wait(LATE + 60)
        assert line.transactions.taints > 1  # one is the end of the line
        assert [(event.amount, meta.version) for event, meta in context.events()] == [(n, n + 1) for n in range(40)]


def test_an_error_that_comes_up_while_the_client_calls_back_is_taint(broker: Broker) -> None:
    log, offsets, group = _source(broker, "calling-back")
    transactions = Transactions(clients.transactional(broker.direct, Settings()), "calling-back", 5000)

    def fenced(_: Mapping[Partition, int]) -> Iterable[Output]:
        raise SystemError("<function on_delivery> returned a result with an exception set")

    with pytest.raises(TaintError, match="in a callback"):
        transactions.write([Output(log, 0, b"key", b"value")], offsets, group, fenced)
    transactions.discard()
    assert [entry.value for entry in committed_records(broker.direct, log, 3)] == []
