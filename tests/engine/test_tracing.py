"""Traces across command, event, view, saga and reactor, as a collector gets them from a worker."""

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from foldlog.core import Record, topics
from foldlog.core.errors import ConfigError
from foldlog.core.topics import MAX_MESSAGE_BYTES
from foldlog.engine.assembly import tracing
from foldlog.engine.batch import Output, Received
from foldlog.engine.deciding import Deciding
from foldlog.engine.tracing import Tracing, headers_of, stamped
from foldlog.engine.work import Work
from tests.engine.bank import Misbehave, Open, Post, TransferMoney
from tests.engine.conftest import Start
from tests.engine.running import Bank, eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Collector:
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {a.value.string_value for a in sent.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in sent.scope_spans for span in scope.spans]

    def of(self, trace: str, name: str) -> list[Span]:
        """The spans of a trace with a name."""
        return [span for span in self.spans if span.trace_id.hex() == trace and span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


Put = Callable[..., None]


@pytest.fixture
def put(own_bank: Bank) -> Put:
    """Writes a command with headers."""

    def put(key: str, command: Record, owner: str = "account", parent: bytes = PARENT.encode()) -> None:
        value = own_bank.codec.encode(command)
        topic = topics.commands(own_bank.name, owner)
        own_bank.put(key.encode(), value, [("traceparent", parent)], topic)

    return put


def child(collector: Collector, parent: bytes, name: str) -> Span:
    """The one span of the trace with this parent and name."""

    def look() -> list[Span]:
        return [span for span in collector.of(TRACE, name) if span.parent_span_id == parent]

    (found,) = eventually(look, f"the span {name}")
    return found


def group_of(span: Span) -> str:
    """The consumer group that did what a span is of."""
    named = (each.value.string_value for each in span.attributes if each.key == "messaging.consumer.group.name")
    return next(named, "")


def test_a_trace_leads_from_a_command_to_its_views_and_through_its_saga(
    own_bank: Bank, start: Start, collector: Collector, put: Put
) -> None:
    ada, bob, transfer, name = (*(uuid.uuid4().hex for _ in range(3)), own_bank.name)
    own_bank.send(Open(ada, "ada"), Post(ada, Decimal(9)), Open(bob, "bob"))
    worker = start(FOLDLOG_OTLP=collector.url)
    put(transfer, TransferMoney(transfer, ada, bob, Decimal(5)), "transfer")

    asked = child(collector, bytes.fromhex("b7ad6b7169203331"), f"process {name}.transfer.commands")
    debit = child(collector, asked.span_id, f"process {name}.account.commands")
    wanted = {f"{name}.{each}" for each in ("balances", "wealth", "transfer", "standing", "tellers")}

    def followed() -> dict[str, Span] | None:
        found = collector.of(TRACE, f"process {name}.account.events")
        own = {group_of(span): span for span in found if span.parent_span_id == debit.span_id}
        return own if len(own) >= len(wanted) else None

    groups = eventually(followed, "whoever follows the debit")
    assert groups.keys() == wanted
    assert collector.services == {name}

    def credits() -> list[Span]:
        return [span for span in collector.of(TRACE, f"process {name}.account.commands") if span != debit]

    eventually(credits, "the credit")
    assert worker.stop() == 0, worker.output
    assert len(credits()) == 1
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in collector.spans)


def test_a_failed_command_is_an_error_and_a_broken_header_a_new_trace(
    own_bank: Bank, start: Start, collector: Collector, put: Put
) -> None:
    name, worker = f"process {own_bank.commands}", start("account", FOLDLOG_OTLP=collector.url)
    put("ada", Misbehave("ada", "raise"))
    put("bob", Open("bob"), parent=b"\xff-not-a-trace")
    failed = child(collector, bytes.fromhex("b7ad6b7169203331"), name)
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert failed.status.message == "put aside as a dead letter"
    (fresh,) = eventually(lambda: [span for span in collector.spans if span.trace_id.hex() != TRACE], "a new trace")
    assert (fresh.name, fresh.parent_span_id, fresh.status.code) == (name, b"", Status.STATUS_CODE_UNSET)
    assert worker.stop() == 0, worker.output


def test_without_tracing_nothing_has_a_header(own_bank: Bank, start: Start, put: Put) -> None:
    worker = start("account")
    put("ada", Open("ada"))
    tail = own_bank.tail(topics.events(own_bank.name, "account"))
    (entry,) = eventually(tail.entries, "the event")
    assert not entry.headers
    assert worker.stop() == 0, worker.output


def test_a_collector_that_is_away_holds_nothing_up(own_bank: Bank, start: Start, put: Put) -> None:
    worker = start("account", FOLDLOG_OTLP="http://127.0.0.1:9")
    put("ada", Open("ada"))
    eventually(lambda: own_bank.events("ada"), "the event")
    assert worker.stop() == 0, worker.output


def test_what_is_not_committed_says_so(own_bank: Bank) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("bank", "w", SimpleSpanProcessor(exporter))
    kind = Deciding(own_bank.topology, own_bank.topology.deciders[0], own_bank.codec)
    traces = tracing.trace(kind)
    message = cast(Received, Message(own_bank.commands, 0, 0, None, b"no key", timestamp=(TIMESTAMP_CREATE_TIME, 1)))
    for committed in (False, True):
        given_up, work = (Work("bank", "account", own_bank.codec, kind.log) for _ in range(2))
        for attempt in (given_up, work):
            kind.handle(message, cast(Any, None), attempt)  # a command without a key comes to no rows
        traces.end(committed)
    tracing.close()
    said = [span.status.description for span in exporter.get_finished_spans()]
    assert said == ["not committed: the record is read again", "put aside as a dead letter"]


def test_a_record_that_would_become_too_large_goes_without() -> None:
    tracer = Tracing("bank", "w", SimpleSpanProcessor(InMemorySpanExporter()))._tracer
    headers = headers_of(tracer.start_span("a"))
    assert [name for name, _ in headers] == ["traceparent"]
    fits = Output("t", 0, b"k", b"v", [("actor", b"ada"), ("traceparent", b"old")])
    assert stamped(fits, headers).headers == [("actor", b"ada"), *headers]
    large = fits._replace(value=b"x" * (MAX_MESSAGE_BYTES - 300))
    assert stamped(large, headers) == large


def test_without_its_libraries_tracing_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"FOLDLOG_OTLP needs the extra `trace` \(pip install 'foldlog\[trace\]'\)"):
        tracing("http://127.0.0.1:4318", "bank", "w")
