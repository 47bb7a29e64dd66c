"""Webhooks: every event at least once, each aggregate's in order, whatever the receiver does."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foldlog import Client
from foldlog.cluster import Cluster
from foldlog.core.errors import ConfigError
from foldlog.edges.webhook import Webhook
from foldlog.kafka.groups import readers
from tests.client.conftest import LONG
from tests.edges.process import Edge
from tests.edges.receiver import Receiver
from tests.engine import shop
from tests.engine.bank import Open, Post
from tests.engine.market import MODULES, fresh_market
from tests.engine.processes import Worker, foldlog
from tests.engine.running import Bank, eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of ours").decode()


Start = Callable[..., Edge]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that answers until the end of the test."""
    found = Receiver()
    with found.open():
        yield found


@pytest.fixture
def start(bank: Bank, receiver: Receiver, tmp_path: Path, id: str) -> Iterator[Start]:
    """Starts edges of the shared bank to the receiver, each under a name that only the test has; they end with it."""
    started: list[Edge] = []

    def start(*options: str) -> Edge:
        started.append(Edge(bank, tmp_path, "webhook", receiver.url, "--name", f"hook_{id}", *options))
        return started[-1]

    yield start
    for edge in started:
        edge.close()
        assert "Traceback" not in edge.output


def waiting(bank: Bank, id: str, key: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What an operator is told of a key that the edge has parked, once it is as wanted."""

    def look() -> dict[str, Any] | None:
        ran = foldlog(bank, "parked", "list", f"{bank.name}.hook_{id}", "--json")
        assert ran.returncode == 0, ran.stderr
        return next((row for row in json.loads(ran.stdout) if row["key"] == key and wanted(row)), None)

    return eventually(look, f"{key} as it waits", LONG)


def none_parked(bank: Bank, id: str) -> None:
    """Waits until the edge has noted every answer: one that takes its time has its key parked until it is there."""
    place = f"{bank.name}.hook_{id}"
    eventually(lambda: foldlog(bank, "parked", "list", place).stderr == "0 parked keys\n", "none parked", LONG)


@pytest.fixture
def client(bank: Bank, worker: Worker) -> Iterator[Client]:
    with Client(bank.topology, bootstrap=bank.cluster.bootstrap, registry=bank.cluster.registry) as client:
        yield client


def test_a_receiver_that_fails_often_and_dies_gets_everything_in_order(
    bank: Bank, client: Client, tmp_path: Path, id: str
) -> None:
    accounts = [f"{id}-{n}" for n in range(10)]
    receiver = Receiver(failing=0.3)
    with receiver.open():
        edge = Edge(bank, tmp_path, "webhook", receiver.url)
    try:
        with receiver.open():
            client.send_all([Open(account) for account in accounts])
            client.send_all([Post(account, Decimal(1)) for account in accounts for _ in range(5)])
            eventually(lambda: len(receiver.events) > 5, "the first events", LONG)
        time.sleep(1)  # nobody answers
        with receiver.open():
            client.send_all([Post(account, Decimal(1)) for account in accounts for _ in range(5)])
            wanted = {f"account:{account}@{version}" for account in accounts for version in range(1, 12)}
            eventually(lambda: wanted <= {event["id"] for event in receiver.events}, "every event", LONG)
            assert edge.stop() == 0, edge.output
    finally:
        edge.close()
    assert "Traceback" not in edge.output
    versions: dict[str, list[int]] = {}
    for event in receiver.events:
        if event["subject"] in accounts:
            versions.setdefault(event["subject"], []).append(int(event["sequence"]))
    # One may come twice, where its answer was lost; none comes before its predecessor.
    for found in versions.values():
        assert sorted(set(found)) == list(range(1, 12))
        assert found == sorted(found)
    assert all(
        headers["idempotency-key"] == e["id"] for headers, e in zip(receiver.headers, receiver.events, strict=True)
    )


def test_a_signature_proves_who_sent_it(bank: Bank, client: Client, tmp_path: Path, id: str) -> None:
    receiver = Receiver()
    with receiver.open():
        edge = Edge(bank, tmp_path, "webhook", receiver.url, "--event", "Opened", FOLDLOG_WEBHOOK_SECRET=SECRET)
        try:
            client.send(Open(id))
            eventually(lambda: [event for event in receiver.events if event["subject"] == id], "the event", LONG)
            assert edge.stop() == 0, edge.output
        finally:
            edge.close()
    assert {event["type"] for event in receiver.events} == {f"{bank.name}.account.Opened"}
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(b"a secret of ours", signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        assert headers["content-type"] == "application/cloudevents+json"


def test_an_event_that_is_refused_for_good_waits_with_those_of_its_aggregate_and_others_flow(
    bank: Bank, client: Client, receiver: Receiver, start: Start, id: str
) -> None:
    bad, good = f"{id}-bad", f"{id}-good"
    receiver.refused[bad] = 422
    edge = start()
    client.send_all([Open(bad), Post(bad, Decimal(1)), Open(good), Post(good, Decimal(1))])
    eventually(lambda: receiver.to(good) == ["1", "2"], "the other aggregate's events", LONG)
    head = waiting(bank, id, bad, lambda at: at["next"] == 3 and at["due"] is None)
    assert (head["cause"], head["tries"]) == ("handle-failed", 1)
    assert head["reason"] == "127.0.0.1 answered 422: no <thank> you"
    assert edge.stop() == 0, edge.output
    edge = start()  # whoever goes on knows what is parked
    client.send_all([Post(bad, Decimal(2)), Post(good, Decimal(2))])
    eventually(lambda: receiver.to(good) == ["1", "2", "3"], "what came later", LONG)
    waiting(bank, id, bad, lambda at: at["next"] == 4)
    assert (receiver.to(bad), receiver.tries[f"account:{bad}@1"], receiver.tries[f"account:{bad}@2"]) == ([], 1, 0)
    retry = ("parked", "retry", f"{bank.name}.hook_{id}", bad, "--wait", f"{LONG:.0f}")
    done = foldlog(bank, *retry)
    assert (done.returncode, done.stderr) == (1, "asked to retry 1 keys\n0 of 1 keys flow again\n"), done.stdout
    receiver.refused.clear()
    done = foldlog(bank, *retry)
    assert (done.returncode, done.stderr) == (0, "asked to retry 1 keys\n1 of 1 keys flow again\n"), done.stdout
    assert receiver.to(bad) == ["1", "2", "3"]
    client.send(Post(bad, Decimal(3)))
    eventually(lambda: receiver.to(bad) == ["1", "2", "3", "4"], "its next event", LONG)
    assert edge.stop() == 0, edge.output


def test_an_event_that_is_never_taken_is_given_up_and_dropped(
    bank: Bank, client: Client, receiver: Receiver, start: Start, id: str
) -> None:
    bad, good = f"{id}-bad", f"{id}-good"
    receiver.refused[bad] = 503
    edge = start("--retries", "2")
    client.send_all([Open(bad), Post(bad, Decimal(1)), Open(good)])
    eventually(lambda: receiver.to(good) == ["1"], "the other aggregate's event", LONG)
    head = waiting(bank, id, bad, lambda at: at["due"] is None and at["next"] == 3)
    assert (head["tries"], receiver.tries[f"account:{bad}@1"], receiver.tries[f"account:{bad}@2"]) == (3, 3, 0)
    place = f"{bank.name}.hook_{id}"
    shown = foldlog(bank, "parked", "show", place, bad).stdout
    assert [line.split()[2].rpartition(".")[2] for line in shown.splitlines()[-2:]] == ["Opened", "Posted"]
    receiver.refused.clear()
    assert foldlog(bank, "parked", "drop", place, bad, "--sequence", "1").returncode == 0
    done = foldlog(bank, "parked", "retry", place, "--all", "--wait", f"{LONG:.0f}")
    assert done.returncode == 0, done.stdout
    assert receiver.to(bad) == ["2"]
    assert edge.stop() == 0, edge.output


def test_while_nobody_answers_events_wait_in_kafka_and_nothing_stays_parked(
    bank: Bank, client: Client, tmp_path: Path, id: str
) -> None:
    receiver = Receiver()
    with receiver.open():
        pass  # the port is known, and nobody listens
    edge = Edge(bank, tmp_path, "webhook", receiver.url, "--name", f"hook_{id}", "--retries", "0")
    try:
        client.send_all([Open(id), Post(id, Decimal(1))])
        for _ in range(3):
            edge.said("waiting for another system .*127.0.0.1: ")
        with receiver.open():
            client.send(Post(id, Decimal(2)))
            eventually(lambda: receiver.to(id) == ["1", "2", "3"], "every event in order", LONG)
            none_parked(bank, id)
            assert edge.stop() == 0, edge.output
    finally:
        edge.close()


def test_an_edge_that_begins_at_the_end_goes_on_where_it_was(
    bank: Bank, client: Client, receiver: Receiver, start: Start, id: str
) -> None:
    old, new, later = (f"{id}-{name}" for name in ("old", "new", "later"))
    client.send(Open(old))
    edge = start("--from", "end")
    group, topic = f"{bank.name}.hook_{id}", f"{bank.name}.account.events"
    eventually(lambda: group in readers(bank.cluster.bootstrap).get(topic, ()), "where it begins", LONG)
    client.send(Open(new))
    eventually(lambda: receiver.to(new), "the event since then", LONG)
    none_parked(bank, id)
    assert edge.stop() == 0, edge.output
    client.send(Open(later))
    edge = start("--from", "end")
    eventually(lambda: receiver.to(later), "the event while it was stopped", LONG)
    assert (receiver.to(old), receiver.to(new)) == ([], ["1"])
    assert edge.stop() == 0, edge.output


def test_what_a_context_publishes_is_told_and_nothing_private(cluster: Cluster, tmp_path: Path) -> None:
    receiver = Receiver()
    with fresh_market(cluster, tmp_path) as market, receiver.open():
        worker = market.start(MODULES[0])
        options = {"SHOP": market.shop.name, "FOLDLOG_HOME": str(tmp_path / "edge")}
        edge = Edge(market, tmp_path, "webhook", receiver.url, module=MODULES[0], **options)
        try:
            market.sell(shop.Sell("s1", "ada", Decimal("10.00")))
            market.sell(shop.Sell("s1", "ada", Decimal("0.00")))
            eventually(lambda: receiver.to("s1") == ["1", "2"], "the public events", LONG)
            assert [event["type"] for event in receiver.events] == [
                f"{market.shop.name}.sales.{name}" for name in ("SaleMade", "GiftMade")
            ]
            assert edge.stop() == 0, edge.output
        finally:
            edge.close()
        assert worker.ready().stop() == 0


@pytest.mark.parametrize(("name", "wrong"), [("Hook", "use lower case letters"), ("balances", "2 processors")])
def test_a_name_that_is_none_or_taken(bank: Bank, tmp_path: Path, name: str, wrong: str) -> None:
    edge = Edge(bank, tmp_path, "webhook", "http://127.0.0.1:9/", "--name", name)
    assert edge.process.wait(LONG) == 1
    assert wrong in edge.output
    assert "Traceback" not in edge.output


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/", "http://", ""])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of a webhook"):
        Webhook(url)


def test_a_secret_that_is_none() -> None:
    with pytest.raises(ConfigError, match="no Base64 after whsec_"):
        Webhook("http://localhost/", "whsec_!")
