"""`foldlog run`: a worker for a context."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import structlog
import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import TopologyName, examples
from foldlog.core.errors import FoldlogError
from foldlog.core.topics import topics
from foldlog.core.topology import Topology

LogFormat = Literal["text", "json"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog run topologies.orders --apply",
            "foldlog run topologies.orders --only order --only stock",
            "FOLDLOG_INSTANCE=worker-1 foldlog run topologies.orders",
            "FOLDLOG_HTTP=127.0.0.1:9180 foldlog run topologies.orders --log-format json",
        )
    )(run)


def run(
    topology: TopologyName,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this processor; may be repeated.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="First apply topics and push schemas.")] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="How log lines are written; else as FOLDLOG_LOG_FORMAT says: text.")
    ] = None,
) -> None:
    """Run a worker until it is stopped. Start as many as you like: they share the partitions.

    On a terminal it shows rate, lag, rows and restoring progress of each processor; otherwise a line of each every
    ten seconds. Ctrl-C or SIGTERM finishes the batch in flight and leaves the group.
    """
    context = loading.topology(topology)
    names = frozenset(context.processor(name).name for name in only or ())
    with loading.connect() as connection:
        form = log_format or connection.settings.log_format
        if apply:
            _apply(context, connection, form)
        _require(context, connection, topology)

    from foldlog.cli.live import shown
    from foldlog.engine import worker

    with shown(context.name, connection.settings.log_level, form) as on_stats, _errors(form):
        worker.run(context, connection.cluster, connection.settings, only=names, on_stats=on_stats)


@contextmanager
def _errors(form: str) -> Iterator[None]:
    """A worker's end in error is a log line too, where programs read them: none on stderr is anything else."""
    try:
        yield
    except FoldlogError as error:
        if form != "json":
            raise
        structlog.get_logger().error("the worker ends", error=str(error))
        raise typer.Exit(1) from error


def _apply(context: Topology, connection: loading.Connection, form: str) -> None:
    from foldlog.contracts.subjects import push
    from foldlog.kafka import admin

    bootstrap, replication = connection.bootstrap, connection.settings.replication_factor
    changes = admin.apply(bootstrap, topics(context), replication)
    push(context, connection.registry)
    if form == "text":
        output.note(f"{len(changes)} topic settings applied, schemas registered")


def _require(context: Topology, connection: loading.Connection, module: str) -> None:
    from foldlog.kafka import admin

    remedy = f"run `foldlog topics apply {module}`, or add --apply"
    admin.require(connection.bootstrap, topics(context), remedy)
