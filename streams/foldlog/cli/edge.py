"""`foldlog edge`: where other systems meet a context."""

import socket
from contextlib import closing
from typing import Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import TopologyName, examples
from foldlog.core.errors import ConfigError

_ADDRESS = "127.0.0.1:8480"


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
    app.add_typer(group, name="edge")


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
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}: install foldlog[edges]") from error
    from foldlog.client.asynchronous import AsyncClient

    context = loading.topology(topology)
    with closing(serving.listening(address)) as server:
        serving.run(AsyncClient(context), server, wait, lambda: _say(context.name, server))


def _say(context: str, server: socket.socket) -> None:
    host, port = server.getsockname()[:2]
    output.note(f"taking commands of {context} at http://{host}:{port}; /docs shows them")
