"""`foldlog topics`: the topics of a context as they must be."""

from dataclasses import asdict

import typer

from foldlog.cli import loading, output, publishers
from foldlog.cli.arguments import Json, TopologyName, examples
from foldlog.core.topics import topics


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Create and compare topics.",
        epilog=examples("foldlog topics diff topologies.orders"),
    )
    group.command(epilog=examples("foldlog topics apply topologies.orders"))(apply)
    group.command(
        epilog=examples("foldlog topics diff topologies.orders", "foldlog topics diff topologies.orders --json")
    )(diff)
    app.add_typer(group, name="topics")


def apply(topology: TopologyName, as_json: Json = False) -> None:
    """Create missing topics and set what differs. Partition counts and replication are never changed."""
    from foldlog.kafka import admin

    context = loading.topology(topology)
    declared = topics(context)
    with loading.connect() as connection:
        publishers.check(context, connection.bootstrap)
        changes = admin.apply(connection.bootstrap, declared, connection.settings.replication_factor)
    if as_json:
        output.write_json([{**asdict(change.difference), "done": change.done} for change in changes])
    elif changes:
        rows = [
            (c.difference.topic, c.done, c.difference.setting, c.difference.actual or "", c.difference.declared)
            for c in changes
        ]
        output.write_table(("topic", "done", "setting", "was", "declared"), rows)
    else:
        output.note(f"all {len(declared)} topics are as declared")


def diff(topology: TopologyName, as_json: Json = False) -> None:
    """Show what differs between the declared topics and the cluster. Exit 1 where something does."""
    from foldlog.kafka import admin

    declared = topics(loading.topology(topology))
    with loading.connect() as connection:
        found = admin.differences(connection.bootstrap, declared, connection.settings.replication_factor)
    if as_json:
        output.write_json([asdict(difference) for difference in found])
    elif found:
        rows = [(d.topic, d.setting, d.actual or "missing", d.declared) for d in found]
        output.write_table(("topic", "setting", "actual", "declared"), rows)
    else:
        output.note(f"all {len(declared)} topics are as declared")
    raise typer.Exit(1 if found else 0)
