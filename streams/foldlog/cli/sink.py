"""`foldlog sink`: a view kept in another system."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from foldlog.cli import loading, logs, output
from foldlog.cli.arguments import TopologyOption, examples
from foldlog.cli.run import LogFormat
from foldlog.core.errors import ConfigError
from foldlog.core.topology import Topology
from foldlog.core.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from foldlog.sinks.running import Progress
    from foldlog.sinks.target import Consistency, Target

    OnProgress = Callable[[Progress], None]

LOG_S = 10.0

ViewName = Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")]
Once = Annotated[bool, typer.Option("--once", help="End at the end that the topic has now.")]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="First remove what the sink has written, and fill it anew.")]
SyncMs = Annotated[
    int, typer.Option(min=1, max=3_600_000, metavar="MS", help="Make a transaction this often while records come.")
]
LogFormatOption = Annotated[LogFormat, typer.Option(help="How log lines are written.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Keep a view in another system, with exactly-once effect.",
        epilog=examples("foldlog sink postgres orders.customers --url postgresql://shop@db/shop"),
    )
    group.command(
        epilog=examples(
            "foldlog sink postgres orders.customers --url postgresql://shop@db/shop",
            "FOLDLOG_POSTGRES=postgresql://shop@db/shop foldlog sink postgres orders.customers --once",
            "foldlog sink postgres orders.customers --index last --index spent --schema reports",
        )
    )(postgres)
    group.command(
        epilog=examples(
            "foldlog sink redis orders.customers --url redis://cache:6379/0",
            "foldlog sink redis orders.customers --url redis://cache:6379/0 --ttl 3600 --prefix customer:",
        )
    )(redis)
    group.command(
        epilog=examples(
            "foldlog sink parquet orders.customers lake/customers",
            "foldlog sink parquet orders.customers lake/customers --sync-ms 60000",
        )
    )(parquet)
    app.add_typer(group, name="sink")


def postgres(
    target: ViewName,
    url: Annotated[
        str, typer.Option(envvar="FOLDLOG_POSTGRES", metavar="URL", help="The database: postgresql://user@host/name.")
    ],
    schema: Annotated[str | None, typer.Option(metavar="NAME", help="The tables' schema; default the context.")] = None,
    index: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Index it; may be repeated.")] = None,
    *,
    sync_ms: SyncMs = 100,
    once: Once = False,
    rebuild: Rebuild = False,
    topology: TopologyOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Keep a view as a table of PostgreSQL, until it is stopped.

    The table and its columns are made from the view's row. Rows and the topic's offsets are written in the same
    transaction, so whatever is killed, the table is the view. A second process for the same table takes over, and the
    first ends. New fields of the row become new columns.
    """
    from foldlog.sinks.postgres_view import PostgresView
    from foldlog.sinks.target import Consistency

    context, view = _view(target, topology)
    table_ = PostgresView(url, schema or context.name, view.name, view.row, index or ())
    _run(context, view, table_, Consistency(sync_ms), once=once, rebuild=rebuild, form=log_format)


def redis(
    target: ViewName,
    url: Annotated[str, typer.Option(envvar="FOLDLOG_REDIS", metavar="URL", help="The server: redis://host:6379/0.")],
    prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What each key begins with; default `CONTEXT.VIEW:`.")
    ] = None,
    ttl: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="A row expires so long after it was written.")
    ] = None,
    *,
    sync_ms: SyncMs = 100,
    once: Once = False,
    rebuild: Rebuild = False,
    topology: TopologyOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Keep a view as keys of Redis, each row's JSON under `CONTEXT.VIEW:KEY`, until it is stopped.

    Rows and the topic's offsets are written in the same MULTI. A second process for the same prefix takes over, and
    the first ends. With --ttl Redis is a cache: a row that was not written for so long is gone.
    """
    from foldlog.sinks.redis_view import RedisView
    from foldlog.sinks.target import Consistency

    context, view = _view(target, topology)
    prefix = prefix if prefix is not None else f"{target}:"
    keys = RedisView(url, f"{target} {prefix}", prefix, ttl)
    _run(context, view, keys, Consistency(sync_ms), once=once, rebuild=rebuild, form=log_format)


def parquet(
    target: ViewName,
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where the files are; it is made.")],
    *,
    sync_ms: SyncMs = 10_000,
    once: Once = False,
    rebuild: Rebuild = False,
    topology: TopologyOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Keep the changes of a view as Parquet files, until it is stopped.

    `manifest.json` names the files that count and the topic's offsets that they lead to; it is replaced whole. The last
    change of a key is its row: `foldlog.sinks.parquet_view.read_rows(DIRECTORY)` gives the rows.
    """
    from foldlog.sinks.parquet_view import ParquetView
    from foldlog.sinks.target import Consistency

    context, view = _view(target, topology)
    files = ParquetView(directory, target, view.row)
    consistency = Consistency(sync_ms, batch_records=100_000)
    _run(context, view, files, consistency, once=once, rebuild=rebuild, form=log_format)


def _view(target: str, topology: str | None) -> tuple[Topology, View[Any, Any]]:
    context, processor = loading.place(target, topology)
    if not isinstance(processor, View):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a view")
    return context, processor


def _run(
    context: Topology,
    view: View[Any, Any],
    target: "Target",
    consistency: "Consistency",
    *,
    once: bool,
    rebuild: bool,
    form: LogFormat,
) -> None:
    from foldlog.kafka.generations import resolve
    from foldlog.sinks.running import Sink
    from foldlog.sinks.source import Source

    with loading.connect() as connection, _shown(context.name, view.name, target.name, form) as on_progress:
        decode = connection.codec(context).decode
        source = Source(
            connection.bootstrap,
            lambda: resolve(connection.bootstrap, context.name, view.name),
            lambda value: (decode(value), None),
        )
        sink = Sink(source, target, consistency, on_progress)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sink.stop.set())
        if rebuild:
            target.clear()
        sink.run(once=once)
    output.note(f"{sink.records:,} records of {source.topic} in {sink.transactions:,} transactions to {target.name}")


@contextmanager
def _shown(context: str, view: str, target: str, form: LogFormat) -> Iterator["OnProgress"]:
    """A bar on a terminal, a line every ten seconds elsewhere; the bar first, since it redirects what is logged."""
    said = float("-inf")
    with output.bar(f"{context}.{view} to {target}") as report, logs.on_stderr(context, "info", form):

        def on_progress(progress: "Progress") -> None:
            nonlocal said
            report(progress.records, progress.records + progress.lag)
            if time.monotonic() - said > LOG_S and not output.err().is_terminal:
                said = time.monotonic()
                structlog.get_logger().info(view, target=target, **progress._asdict())

        yield on_progress
