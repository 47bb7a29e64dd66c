"""Webhooks: every event at least once, each aggregate's in order, whatever the receiver does."""

import base64
import hashlib
import hmac
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from foldlog import Client
from foldlog.core.errors import ConfigError
from foldlog.edges.webhook import Webhook
from tests.client.conftest import LONG
from tests.edges.process import Edge
from tests.engine.bank import Open, Post
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of ours").decode()


@dataclass
class Receiver:
    """Takes CloudEvents on a port that stays the same; fails as often as it is told to."""

    failing: float = 0.0
    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Answers until the end of the block."""
        receiver, chance = self, random.Random(7)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                failed = chance.random() < receiver.failing
                if not failed:
                    receiver.events.append(json.loads(body))
                    receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                    receiver.bodies.append(body)
                self.send_response(503 if failed else 204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True

        with Server(("127.0.0.1", self.port), Handler) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


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


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/", "http://", ""])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of a webhook"):
        Webhook(url)


def test_a_secret_that_is_none() -> None:
    with pytest.raises(ConfigError, match="no Base64 after whsec_"):
        Webhook("http://localhost/", "whsec_!")
