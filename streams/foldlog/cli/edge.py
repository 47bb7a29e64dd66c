"""`foldlog edge`: where other systems meet a context."""

import hashlib
import re
import socket
from contextlib import AbstractContextManager, closing
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, logs, output
from foldlog.cli.arguments import TopologyName, examples
from foldlog.cli.run import LogFormat
from foldlog.core.errors import ConfigError

if TYPE_CHECKING:
    from foldlog.edges.outgoing import Wishes

_ADDRESS = "127.0.0.1:8480"


class Start(StrEnum):
    """Where an edge starts that never was."""

    BEGINNING = "beginning"
    END = "end"


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Take commands from other systems, and tell them of events.",
        epilog=examples("foldlog edge http topologies.orders"),
    )
    group.command(
        epilog=examples(
            "foldlog edge http topologies.orders",
            "foldlog edge http topologies.orders --http 0.0.0.0:8480 --wait 3",
            """curl -X POST http://127.0.0.1:8480/commands/orders/ReceiveStock -H 'Idempotency-Key: d1' """
            """-d '{"sku": "mug", "quantity": 5, "delivery": "d1"}'""",
        )
    )(http)
    group.command(
        "rabbitmq-in",
        epilog=examples(
            "foldlog edge rabbitmq-in topologies.orders --url amqp://shop:secret@mq/",
            "FOLDLOG_RABBITMQ=amqp://mq/ foldlog edge rabbitmq-in topologies.orders --queue shop.commands",
        ),
    )(rabbitmq_in)
    group.command(
        "rabbitmq-out",
        epilog=examples(
            "foldlog edge rabbitmq-out topologies.orders --url amqp://shop:secret@mq/",
            "foldlog edge rabbitmq-out topologies.orders --event OrderConfirmed --event OrderCancelled --batch 1",
        ),
    )(rabbitmq_out)
    group.command(
        epilog=examples(
            "foldlog edge webhook topologies.orders https://shop.example/hook --event OrderConfirmed",
            "FOLDLOG_WEBHOOK_SECRET=whsec_… foldlog edge webhook topologies.orders https://shop.example/hook",
        )
    )(webhook)
    app.add_typer(group, name="edge")


RabbitUrl = Annotated[
    str, typer.Option("--url", envvar="FOLDLOG_RABBITMQ", metavar="URL", help="RabbitMQ: amqp://user:password@host/.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event", metavar="NAME", help="Only this event; may be repeated. Default: what the context publishes, or all."
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Its name in the context: what it has told, and what it has parked, is under it."
    ),
]
From = Annotated[Start, typer.Option("--from", help="Where an edge starts that never was.")]
Batch = Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="So many events at once; 1: one by one.")]
Retries = Annotated[
    int,
    typer.Option(
        min=0, metavar="N", help="Try an event that is not taken so often again; then its aggregate is parked."
    ),
]
_RETRIES = 300  # at growing intervals: a day
LogFormatOption = Annotated[LogFormat, typer.Option(help="How log lines are written.")]


def rabbitmq_in(
    topology: TopologyName,
    url: RabbitUrl,
    queue: Annotated[str | None, typer.Option(metavar="NAME", help="The queue; default CONTEXT.commands.")] = None,
    prefetch: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="So many commands on their way at once, at most 64.")
    ] = 64,
    log_format: LogFormatOption = "text",
) -> None:
    """Take commands from a queue of RabbitMQ: each is acknowledged once Kafka has it.

    A message's id is its command's, so a repetition has no second effect. What cannot be a command goes to the queue
    NAME.dead-letters, with the reason as a header. One edge takes from a queue; others wait until it has gone.
    """
    running = _running()
    context = loading.topology(topology)
    with _logs(context.name, log_format):
        running.take(context, url, queue or f"{context.name}.commands", prefetch)


def rabbitmq_out(
    topology: TopologyName,
    url: RabbitUrl,
    exchange: Annotated[
        str | None, typer.Option(metavar="NAME", help="A topic exchange; default CONTEXT.events.")
    ] = None,
    event: Events = None,
    *,
    name: Name = None,
    start: From = Start.BEGINNING,
    batch: Batch = 100,
    retries: Retries = _RETRIES,
    log_format: LogFormatOption = "text",
) -> None:
    """Tell an exchange of RabbitMQ of events, as CloudEvents: each is committed once RabbitMQ has confirmed it.

    The routing key is the event's full name, the message's id the event's; after a crash an event may come twice. An
    event that RabbitMQ does not take is parked with those of its aggregate: `foldlog parked`.
    """
    running = _running()
    from foldlog.edges.rabbitmq_out import Exchange

    context = loading.topology(topology)
    to = exchange or f"{context.name}.events"
    own = name or f"to_rabbitmq_{re.sub('[^a-z0-9]+', '_', to.lower())}"
    wishes = _wishes(own, event, start, batch, retries)
    with _logs(context.name, log_format):
        running.tell(context, lambda: Exchange(url, to), wishes)


def webhook(
    topology: TopologyName,
    url: Annotated[str, typer.Argument(metavar="URL", help="Who is told, by POST.")],
    event: Events = None,
    *,
    secret: Annotated[
        str | None, typer.Option(envvar="FOLDLOG_WEBHOOK_SECRET", metavar="TEXT", help="Sign with it (whsec_…).")
    ] = None,
    name: Name = None,
    start: From = Start.BEGINNING,
    batch: Batch = 100,
    retries: Retries = _RETRIES,
    log_format: LogFormatOption = "text",
) -> None:
    """Tell a webhook of events, as CloudEvents: each aggregate's in order, each again until the answer is 2xx.

    The Idempotency-Key is the event's id. An event that is refused with 4xx, or tried too often, is parked with those
    of its aggregate: `foldlog parked`. Without a name of its own, each URL has one.
    """
    running = _running()
    from foldlog.edges.webhook import Webhook

    context = loading.topology(topology)
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    wishes = _wishes(name or f"to_webhook_{digest}", event, start, batch, retries)
    with _logs(context.name, log_format):
        running.tell(context, lambda: Webhook(url, secret), wishes)


def _wishes(name: str, events: list[str] | None, start: Start, most: int, retries: int) -> "Wishes":
    from foldlog.edges.outgoing import Wishes

    return Wishes(name, tuple(events or ()), start.value, most, retries)


def _logs(context: str, form: LogFormat) -> AbstractContextManager[None]:
    from foldlog.settings import load

    return logs.on_stderr(context, load().log_level, form)


def _running() -> ModuleType:
    try:
        from foldlog.edges import running
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}: install foldlog[edges]") from error
    return running


def http(
    topology: TopologyName,
    address: Annotated[
        str, typer.Option("--http", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = _ADDRESS,
    wait: Annotated[
        float,
        typer.Option(min=0, max=60, metavar="S", help="Wait so long for a reply; a request may say otherwise."),
    ] = 10.0,
) -> None:
    """Take commands over HTTP: checked, sent under their Idempotency-Key, answered with what came of them.

    Plain JSON and CloudEvents, one or many. Start as many as you like. There is no password: keep it on the loopback
    or behind a proxy.
    """
    try:
        from foldlog.edges import serving
        from foldlog.web.listening import listening
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}: install foldlog[edges]") from error
    from foldlog.client.asynchronous import AsyncClient

    context = loading.topology(topology)
    with closing(listening(address)) as server:
        serving.run(AsyncClient(context), server, wait, lambda: _say(context.name, server))


def _say(context: str, server: socket.socket) -> None:
    host, port = server.getsockname()[:2]
    output.note(f"taking commands of {context} at http://{host}:{port}; /docs shows them")
