"""`foldlog query`: the views of a context over HTTP."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import TopologyName, examples
from foldlog.client.connection import connect
from foldlog.core.errors import ConfigError
from foldlog.core.topology import Topology
from foldlog.core.view import View

if TYPE_CHECKING:
    from foldlog.query.service import Service

_ADDRESS = "127.0.0.1:8470"


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Answer questions about views over HTTP.",
        epilog=examples("foldlog query serve topologies.orders"),
    )
    group.callback()(_group)
    group.command(
        epilog=examples(
            "foldlog query serve topologies.orders",
            "foldlog query serve topologies.orders --view customers --http 0.0.0.0:8470",
            "foldlog query serve topologies.orders --no-sql",
            "curl 'http://127.0.0.1:8470/views/customers?spent=gte:100&sort=-spent&limit=10'",
        )
    )(serve)
    app.add_typer(group, name="query")


def _group() -> None:
    """Keeps `serve` a command of its own while it is the only one."""


def serve(
    topology: TopologyName,
    views: Annotated[
        list[str] | None, typer.Option("--view", metavar="NAME", help="Only this view; may be repeated.")
    ] = None,
    http: Annotated[
        str, typer.Option("--http", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = _ADDRESS,
    *,
    sql: Annotated[bool, typer.Option(help="Answer statements of SQL; else rows, lists and changes alone.")] = True,
) -> None:
    """Follow the views of a context into a file, and answer questions about them: rows, lists, SQL, live changes.

    Start as many as you like, anywhere: each has a copy of its own and reads the topics alone, so workers are not
    disturbed. A restart reads only what is new. There is no password: keep it on the loopback or behind a proxy.
    """
    try:
        from foldlog.query.serving import run
        from foldlog.web.listening import listening
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}: install foldlog[query]") from error
    from contextlib import closing

    from foldlog.engine.identity import Identity
    from foldlog.query.service import Service

    context = loading.topology(topology)
    chosen = _chosen(context, views)
    with connect() as connection, closing(listening(http)) as server:
        settings, identity = connection.settings, Identity(connection.settings, "replicas")
        try:
            path = identity.directory / f"{context.name}.duckdb"
            service = Service(
                bootstrap=connection.bootstrap,
                topology=context,
                views=chosen,
                codec=connection.codec(context),
                settings=settings,
                path=path,
            )
            host, port = server.getsockname()[:2]
            run(service, server, lambda: _say(service, f"http://{host}:{port}"), sql=sql)
        finally:
            identity.release()


def _chosen(context: Topology, names: list[str] | None) -> tuple[View[Any, Any], ...]:
    if not context.views:
        raise ConfigError(f"{context.name} has no views")
    found = [context.processor(name) for name in dict.fromkeys(names or [view.name for view in context.views])]
    for processor in found:
        if not isinstance(processor, View):
            raise ConfigError(f"{processor.name} is a {loading.kind(processor)}, not a view")
    return tuple(processor for processor in found if isinstance(processor, View))


def _say(service: "Service", url: str) -> None:
    views = ", ".join(sorted(service.views))
    output.note(f"answering at {url} about {views}; {url}/docs shows what can be asked")
