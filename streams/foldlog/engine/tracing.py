"""OpenTelemetry traces: command → event → view, saga or reactor, by the W3C header `traceparent`.

A span begins when a record is handled and ends with its batch's transaction. It is a child of the record's header,
and what the record brings about (events, a saga's commands, moved records, dead letters) carries its own.
https://www.w3.org/TR/trace-context/, https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
"""

import threading
from functools import partial
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from foldlog import __version__
from foldlog.core.errors import DecodeError, EncodeError
from foldlog.engine.batch import Output, Received
from foldlog.engine.kind import Kind
from foldlog.engine.work import Work, fitting, headers_in

_PROPAGATOR = TraceContextTextMapPropagator()
_LONGEST_END = 5.0  # s for what was not exported yet
_QUEUE = 16_384  # spans that wait for their export; beyond, they are lost, and nothing else is

Headers = list[tuple[str, bytes | None]]


class Tracing:
    """The spans of a worker, and where they go."""

    def __init__(self, context: str, instance: str, spans: SpanProcessor) -> None:
        named = {"service.name": context, "service.namespace": "foldlog", "service.instance.id": instance}
        self._context = context
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        self._provider.add_span_processor(spans)
        self._tracer = self._provider.get_tracer("foldlog", __version__)

    def trace(self, kind: Kind) -> "Traces":
        """Has everything that a kind handles traced."""
        return Traces(self._tracer, self._context, kind)

    def close(self) -> None:
        """Sends what is left, for five seconds at most: a collector that is away must not hold up a worker's end."""
        thread = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        thread.start()
        thread.join(_LONGEST_END)


class Traces:
    """The spans of one processor; used by its process thread alone."""

    def __init__(self, tracer: Tracer, context: str, kind: Kind) -> None:
        self._tracer = tracer
        self._attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": f"{context}.{kind.name}",
            "foldlog.kind": kind.kind,
        }
        self._spans: list[Span] = []
        self._work: Work | None = None
        self._inner = kind.handle
        # On this one object: a worker without tracing calls what it always called.
        setattr(kind, "handle", self.handle)  # noqa: B010
        setattr(kind, "handle_all", partial(Kind.handle_all, kind))  # noqa: B010 — each by itself

    def handle(self, message: Received, rows: Any, work: Work) -> None:
        """Handles a record within a span."""
        if work is not self._work:  # what another attempt at the same batch did is not told
            self._work, self._spans = work, []
        span = self._tracer.start_span(
            f"process {message.topic()}",
            parent_of(message),
            SpanKind.CONSUMER,
            {**self._attributes, **_place(message)},
        )
        self._spans.append(span)
        outputs, letters = len(work.outputs), work.letters
        self._inner(message, rows, work)
        _stamp(work, outputs, headers_of(span))
        if work.letters > letters:
            span.set_status(Status(StatusCode.ERROR, "put aside as a dead letter"))

    def end(self, committed: bool) -> None:
        """Ends the spans of a batch with its transaction."""
        for span in self._spans:
            if not committed:
                span.set_status(Status(StatusCode.ERROR, "not committed: the record is read again"))
            span.end()
        self._work, self._spans = None, []


def exporting(url: str) -> SpanProcessor:
    """Sends spans to a collector over OTLP/HTTP, from a thread of its own; `url` is the collector's.

    Raises ImportError where the extra `trace` is not installed.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    endpoint = f"{url.rstrip('/').removesuffix('/v1/traces')}/v1/traces"
    return BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_LONGEST_END), max_queue_size=_QUEUE)


def parent_of(message: Received) -> Context:
    """The context that a record's headers name; an empty one, so that a new trace begins, where they name none."""
    try:
        found = {name: (value or b"").decode("latin-1") for name, value in headers_in(message)}
    except DecodeError:
        found = {}
    return _PROPAGATOR.extract(found, Context())


def headers_of(span: Span) -> Headers:
    """What a record carries so that its handling continues the span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
    return [(name, value.encode()) for name, value in carrier.items()]


def stamped(output: Output, headers: Headers) -> Output:
    """The output with these headers instead of its own of those names; as it was where it would become too large."""
    others = [header for header in output.headers or () if header[0] not in _PROPAGATOR.fields]
    try:
        return fitting(output._replace(headers=[*others, *headers]))
    except EncodeError:
        return output


def _stamp(work: Work, before: int, headers: Headers) -> None:
    """Gives the headers to all that was added since `before`; events become outputs, since a run has no headers."""
    work.outputs[before:] = [stamped(output, headers) for output in work.outputs[before:]]
    for topic, partition, records in work.runs():
        work.outputs += [stamped(Output(topic, partition, key, value), headers) for key, value in records]
    work.events.clear()


def _place(message: Received) -> dict[str, str | int]:
    return {
        "messaging.destination.name": message.topic(),
        "messaging.destination.partition.id": str(message.partition()),
        "messaging.kafka.offset": message.offset(),
        "messaging.kafka.message.key": (message.key() or b"").decode(errors="replace"),
    }
