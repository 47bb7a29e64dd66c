"""`foldlog run`: a worker for a context."""

from typing import Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import TopologyName, examples
from foldlog.core.topics import topics
from foldlog.core.topology import Topology


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog run topologies.orders --apply",
            "foldlog run topologies.orders --only order --only stock",
            "FOLDLOG_INSTANCE=worker-1 foldlog run topologies.orders",
        )
    )(run)


def run(
    topology: TopologyName,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this processor; may be repeated.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="First apply topics and push schemas.")] = False,
) -> None:
    """Run a worker until it is stopped. Start as many as you like: they share the partitions.

    On a terminal it shows rate, lag, rows and restoring progress of each processor; otherwise a line of each every
    ten seconds. Ctrl-C or SIGTERM finishes the batch in flight and leaves the group.
    """
    context = loading.topology(topology)
    names = frozenset(context.processor(name).name for name in only or ())
    with loading.connect() as connection:
        if apply:
            _apply(context, connection)
        _require(context, connection, topology)

    from foldlog.cli.live import shown
    from foldlog.engine import worker

    with shown(context.name, connection.settings.log_level) as on_stats:
        worker.run(context, connection.cluster, connection.settings, only=names, on_stats=on_stats)


def _apply(context: Topology, connection: loading.Connection) -> None:
    from foldlog.contracts.subjects import push
    from foldlog.kafka import admin

    bootstrap, replication = connection.bootstrap, connection.settings.replication_factor
    changes = admin.apply(bootstrap, topics(context), replication)
    push(context, connection.registry)
    output.note(f"{len(changes)} topic settings applied, schemas registered")


def _require(context: Topology, connection: loading.Connection, module: str) -> None:
    from foldlog.kafka import admin

    remedy = f"run `foldlog topics apply {module}`, or add --apply"
    admin.require(connection.bootstrap, topics(context), remedy)
