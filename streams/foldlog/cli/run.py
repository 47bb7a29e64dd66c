"""`foldlog run`: a worker for a context."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
import typer

from foldlog.cli import loading, output, publishers
from foldlog.cli.arguments import TopologyName, examples
from foldlog.core.errors import FoldlogError
from foldlog.core.topics import topics
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cluster import Cluster
    from foldlog.engine.processes import Command
    from foldlog.engine.stats import ProcessorStats
    from foldlog.settings import Settings

LogFormat = Literal["text", "json"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog run topologies.orders --apply",
            "foldlog run topologies.orders --only order --only stock",
            "foldlog run topologies.orders --processes 4 --standbys 1",
            "FOLDLOG_INSTANCE=worker-1 foldlog run topologies.orders",
            "FOLDLOG_HTTP=127.0.0.1:9180 foldlog run topologies.orders --log-format json",
        )
    )(run)


def run(
    topology: TopologyName,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this processor; may be repeated.")
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="First apply topics and push schemas.")] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="How log lines are written; else as FOLDLOG_LOG_FORMAT says: text.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="So many worker processes.")] = 1,
    standbys: Annotated[
        int | None,
        typer.Option(
            min=0, max=100, metavar="N", help="Keep warm what would be ours if N others went away: FOLDLOG_STANDBYS."
        ),
    ] = None,
    reports: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Run a worker until it is stopped. Start as many as you like: they share the partitions.

    On a terminal it shows rate, lag, rows and restoring progress of each processor; otherwise a line of each every
    ten seconds. Ctrl-C or SIGTERM finishes the batch in flight and leaves the group.
    """
    context = loading.topology(topology)
    names = frozenset(context.processor(name).name for name in only or ())
    with loading.connect() as connection:
        given = {"log_format": log_format, "standbys": standbys}
        settings = connection.settings.model_copy(update={k: v for k, v in given.items() if v is not None})
        if reports < 0:  # else the parent has looked
            publishers.check(context, connection.bootstrap)
        if apply:
            _apply(context, connection, settings.log_format)
        if reports < 0:
            _require(context, connection, topology)
            needed = frozenset(each.name for each in context.consumes if not names or each.name in names)
            publishers.check(context, connection.bootstrap, needed=needed)
        unread = _unread(context, connection) if reports < 0 else {}

    if processes > 1:
        start = _several(_command(topology, names, settings), processes, settings)
    else:
        start = _one(context, connection.cluster, names, settings, reports)
    _show(context.name, settings, unread, start)


Start = Callable[[Callable[[list["ProcessorStats"]], None]], None]


def _show(context: str, settings: "Settings", unread: dict[str, str], start: Start) -> None:
    from foldlog.cli.live import shown

    with shown(context, settings.log_level, settings.log_format) as on_stats, _errors(settings.log_format):
        for generation, live in unread.items():
            remedy = f"foldlog rebuild {context}.{generation.partition('.')[0]}"
            structlog.get_logger().warning("not read yet", rows=generation, readers_have=live, then=remedy)
        start(on_stats)


def _one(context: Topology, cluster: "Cluster", names: frozenset[str], settings: "Settings", reports: int) -> Start:
    from foldlog.engine import worker
    from foldlog.engine.reports import reporting

    return lambda on_stats: worker.run(
        context, cluster, settings, only=names, on_stats=reporting(reports) if reports >= 0 else on_stats
    )


def _several(command: "Command", count: int, settings: "Settings") -> Start:
    from foldlog.engine import processes

    return lambda on_stats: processes.run(command, count, settings, on_stats, _say)


def _unread(context: Topology, connection: loading.Connection) -> dict[str, str]:
    """The generations that are folded here though readers have another, with the one that they have."""
    from foldlog.kafka.generations import current

    later = [view for view in context.views if view.version > 1]
    found = {view.generation: current(connection.bootstrap, context.name, view.name).live for view in later}
    return {generation: live for generation, live in found.items() if generation != live}


def _command(topology: str, names: frozenset[str], settings: "Settings") -> "Command":
    """The command line of one of several processes, given where it reports."""
    chosen = [word for name in sorted(names) for word in ("--only", name)]
    line = [sys.executable, "-m", "foldlog.cli.main", "run", topology, *chosen]
    line += ["--log-format", settings.log_format, "--standbys", str(settings.standbys)]
    return lambda descriptor: [*line, "--reports", str(descriptor)]


def _say(name: str, line: str) -> None:
    """A line of one of several processes, above the live table where there is one; a line of JSON says itself whose."""
    told = line if line.startswith("{") else f"[{name}] {line}"
    sys.stderr.write(f"{output.readable(told)}\n")


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
