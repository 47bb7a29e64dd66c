"""The registry may be away: what is known keeps working, what is not known waits."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from foldlog.contracts import registry as module
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import publish
from foldlog.core.errors import ConfigError, DecodeError, RegistryError
from foldlog.core.topology import Topology
from tests.certificates import secured, self_signed
from tests.contracts.specimen import Post, fresh_name

POST = {"type": "record", "name": "Post", "fields": [{"name": "text", "type": "string"}]}


class Line(ThreadingHTTPServer):
    """A line to a registry that can be cut; it counts what goes through."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target, self.asked, self.status = target, 0, 0
        self.paged = True  # whether the registry behind knows of pages
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Forward(BaseHTTPRequestHandler):
    server: Line

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body = self.server.status, b'{"error_code": 50001, "message": "down for repair"}'
        if not status:
            path = self.path if self.server.paged else self.path.partition("?")[0]
            try:
                with urlopen(self.server.target + path) as answer:
                    status, body = answer.status, answer.read()
            except HTTPError as error:
                with error:
                    status, body = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def line(registry: Registry) -> Iterator[Line]:
    with Line(registry.url) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


@pytest.fixture
def behind(line: Line) -> Iterator[Registry]:
    opened = Registry(line.url)
    yield opened
    opened.close()


def test_known_schemas_keep_working_and_unknown_ones_wait(
    bank: Topology, codec: Codec, line: Line, behind: Registry
) -> None:
    message = codec.encode(Post("ada", Decimal(1)))
    reader = Codec(bank, behind)
    assert reader.decode(message) == Post("ada", Decimal(1))
    line.status = 503
    assert reader.decode(message) == Post("ada", Decimal(1))
    with pytest.raises(RegistryError, match=r"^the registry at http://127.0.0.1:\d+ fails: down for repair$"):
        reader.decode(b"\0\x7f\xff\xff\xff\0")
    with pytest.raises(RegistryError):
        reader.prepare()


def test_an_unknown_id_is_asked_for_once_and_again_later(
    line: Line, behind: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORGET_AFTER", 3600.0)
    for _ in range(3):
        with pytest.raises(DecodeError, match="the registry has no schema 2147483647"):
            behind.by_id(2147483647)
    assert line.asked == 1
    monkeypatch.setattr(module, "FORGET_AFTER", 0.0)
    for _ in range(2):
        with pytest.raises(DecodeError):
            behind.by_id(2147483646)
    assert line.asked == 3


def test_every_subject_is_named_however_few_a_registry_names_at_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = fresh_name()
    publish({f"{context}.{number}-Post": POST for number in range(5)}, registry)
    monkeypatch.setattr(module, "_PAGE", len(registry.subjects()) // 4)
    found = registry.subjects()
    assert {each for each in found if each.startswith(context)} == {f"{context}.{number}-Post" for number in range(5)}
    assert len(found) == len({*found})


def test_a_registry_that_knows_of_no_pages_names_all_at_once(registry: Registry, line: Line, behind: Registry) -> None:
    publish({f"{fresh_name()}-Post": POST}, registry)
    line.paged = False
    found = behind.subjects()
    assert found
    assert len(found) == len({*found})
    assert line.asked == 2


def test_a_registry_that_nobody_serves_does_not_answer() -> None:
    silent = Registry("http://127.0.0.1:1")
    with pytest.raises(RegistryError, match=r"^the registry at http://127.0.0.1:1 does not answer: "):
        silent.by_id(1)
    with pytest.raises(RegistryError):
        silent.register("a", {"type": "string"})
    silent.close()


@pytest.mark.parametrize("url", ["", "localhost:8081", "ftp://x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"give http://host:port"):
        Registry(url)


def test_a_foreign_schema_may_refer_to_others(registry: Registry, foreign: SchemaRegistryClient) -> None:
    name = fresh_name()
    inner = {"type": "record", "name": "Inner", "namespace": name, "fields": [{"name": "a", "type": "long"}]}
    publish({f"{name}-inner": inner}, registry)
    outer = (
        f'{{"type": "record", "name": "Outer", "namespace": "{name}", "fields": [{{"name": "i", "type": "Inner"}}]}}'
    )
    reference = SchemaReference(f"{name}.Inner", f"{name}-inner", 1)
    schema_id = foreign.register_schema(f"{name}-outer", Schema(outer, "AVRO", [reference]))
    writer = registry.by_id(schema_id)
    assert writer.name == f"{name}.Outer"
    assert f"{name}.Inner" in writer.named


def test_a_registry_with_a_certificate_that_nobody_vouches_for_is_not_believed(line: Line, tmp_path: Path) -> None:
    line.socket = secured(line.socket, self_signed(tmp_path))
    registry = Registry(line.url.replace("http:", "https:"))
    with pytest.raises(RegistryError, match="certificate"):
        registry.by_id(1)
    registry.close()
    assert line.asked == 0
