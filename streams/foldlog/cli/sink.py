"""`foldlog sink`: a view or an event log kept in another system."""

from pathlib import Path
from typing import Annotated

import typer

from foldlog.cli.arguments import TopologyOption, examples
from foldlog.cli.run import LogFormat
from foldlog.cli.sinking import How, aggregate, in_files, refresh_ms, run, view

ViewName = Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")]
DatabaseUrl = Annotated[
    str, typer.Option(envvar="FOLDLOG_POSTGRES", metavar="URL", help="The database: postgresql://user@host/name.")
]
Once = Annotated[bool, typer.Option("--once", help="End at the end that the topic has now.")]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="First remove what the sink has written, and fill it anew.")]
SyncMs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=3_600_000,
        metavar="MS",
        help="Make a transaction this often while records come; default as declared, else 100; files, Iceberg: 10000.",
    ),
]
LogFormatOption = Annotated[LogFormat, typer.Option(help="How log lines are written.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Keep a view or an event log in another system, with exactly-once effect.",
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
    group.command(
        epilog=examples(
            "foldlog sink iceberg orders.customers --uri http://catalog:8181 --warehouse lake",
            "foldlog sink iceberg orders.customers --uri sqlite:///lake/catalog.db --warehouse file:///data/lake",
            "foldlog sink iceberg orders.customers --catalog prod --table shop.customers --sync-ms 60000",
        )
    )(iceberg)
    group.command(
        "postgres-events",
        epilog=examples(
            "foldlog sink postgres-events orders.order --url postgresql://shop@db/shop",
            "foldlog sink postgres-events orders.order --url postgresql://shop@db/shop --cache redis://cache:6379/0",
        ),
    )(postgres_events)
    app.add_typer(group, name="sink")


def postgres(
    target: ViewName,
    url: DatabaseUrl,
    schema: Annotated[str | None, typer.Option(metavar="NAME", help="The tables' schema; default the context.")] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Index it, beside those that the view declares; may be repeated."),
    ] = None,
    *,
    sync_ms: SyncMs = None,
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

    context, of = view(target, topology)
    table = PostgresView(url, schema or context.name, of.name, of.row, (*of.serving.indexes, *(index or ())))
    run(context, of, table, Consistency(refresh_ms(of, sync_ms)), How(once, rebuild, log_format))


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
    sync_ms: SyncMs = None,
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

    context, of = view(target, topology)
    prefix = prefix if prefix is not None else f"{target}:"
    keys = RedisView(url, f"{target} {prefix}", prefix, ttl)
    run(context, of, keys, Consistency(refresh_ms(of, sync_ms)), How(once, rebuild, log_format))


def parquet(
    target: ViewName,
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where the files are; it is made.")],
    *,
    sync_ms: SyncMs = None,
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

    context, of = view(target, topology)
    files = ParquetView(directory, target, of.row)
    run(context, of, files, in_files(of, sync_ms), How(once, rebuild, log_format))


def iceberg(
    target: ViewName,
    catalog: Annotated[
        str, typer.Option(metavar="NAME", help="The catalog's name in PyIceberg's configuration.")
    ] = "default",
    uri: Annotated[
        str | None, typer.Option(metavar="URI", help="The catalog: http://host:8181, sqlite:///catalog.db.")
    ] = None,
    warehouse: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Where the tables are: a name, s3://…, file:///….")
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="NAMESPACE.TABLE", help="The table; default `CONTEXT.VIEW`.")
    ] = None,
    *,
    sync_ms: SyncMs = None,
    once: Once = False,
    rebuild: Rebuild = False,
    topology: TopologyOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Keep a view as a table of an Iceberg catalog, until it is stopped.

    Each batch is one commit: rows, deletions, and the topic's offsets in the snapshot's summary. What is not given is
    taken from PyIceberg's own configuration. A second process for the same table takes over, and the first ends.
    """
    from foldlog.sinks.iceberg_view import IcebergView

    context, of = view(target, topology)
    given = {"uri": uri, "warehouse": warehouse}
    options = {name: value for name, value in given.items() if value is not None}
    rows = IcebergView(catalog, options, table if table is not None else target, target, of.row)
    run(context, of, rows, in_files(of, sync_ms), How(once, rebuild, log_format))


def postgres_events(
    target: Annotated[
        str, typer.Argument(metavar="CONTEXT.AGGREGATE", help="Whose events, for example `orders.order`.")
    ],
    url: DatabaseUrl,
    schema: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tables' schema; default `CONTEXT_events`.")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            envvar="FOLDLOG_REDIS", metavar="URL", help="The Redis whose cached events go when new ones come."
        ),
    ] = None,
    *,
    sync_ms: Annotated[
        int, typer.Option(min=1, max=3_600_000, metavar="MS", help="Make a transaction this often while records come.")
    ] = 100,
    once: Once = False,
    rebuild: Rebuild = False,
    topology: TopologyOption = None,
    log_format: LogFormatOption = "text",
) -> None:
    """Mirror the events of an aggregate in tables of PostgreSQL, until it is stopped.

    `events` is indexed by aggregate and version, by type and by time. `foldlog.sinks.event_store` reads it; nobody
    appends to a log that mirrors a topic.
    """
    from foldlog.sinks.event_cache import EventCache
    from foldlog.sinks.event_mirror import PostgresEvents
    from foldlog.sinks.target import Consistency

    context, of = aggregate(target, topology)
    cached = EventCache(cache, of) if cache else None
    tables = PostgresEvents(url, schema or f"{context.name}_events", of, cached)
    run(context, of, tables, Consistency(sync_ms), How(once, rebuild, log_format))
