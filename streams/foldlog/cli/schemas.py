"""`foldlog schemas`: the Avro contracts of a context, thin over foldlog.contracts."""

from pathlib import Path
from typing import Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyName, examples
from foldlog.core.topology import Topology

Root = Annotated[Path, typer.Option("--root", help="Directory of the .avsc files.", file_okay=False)]
ROOT = Path("schemas")


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True, help="Avro contracts.", epilog=examples("foldlog schemas check topologies.orders")
    )
    group.command(epilog=examples("foldlog schemas write topologies.orders"))(write)
    group.command(
        epilog=examples(
            "foldlog schemas check topologies.orders",
            "foldlog schemas check topologies.orders --against v1.0.0 --registry",
        )
    )(check)
    group.command(epilog=examples("foldlog schemas push topologies.orders"))(push)
    app.add_typer(group, name="schemas")


def write(topology: TopologyName, root: Root = ROOT, as_json: Json = False) -> None:
    """Write a .avsc file for each record of the context; files of types that are gone are removed."""
    from foldlog.contracts import files

    _print([str(path) for path in files.write(loading.topology(topology), root)], as_json, "nothing changed")


def check(
    topology: TopologyName,
    root: Root = ROOT,
    registry: Annotated[
        bool, typer.Option("--registry", help="Also ask the registry whether each schema may follow its versions.")
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="REVISION", help="Compare with the files of this git revision too; repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the .avsc files that are stale, missing, left over or incompatible. Exit 1 where there are any."""
    from foldlog.contracts import files, history

    context = loading.topology(topology)
    found = files.check(context, root)
    for revision in against or ():
        found += history.incompatible(root, context.name, revision)
    if registry:
        found += _incompatible(context)
    _print(found, as_json, "all schema files are as declared")
    raise typer.Exit(1 if found else 0)


def push(topology: TopologyName, as_json: Json = False) -> None:
    """Register the schemas; an incompatible one is refused (FULL_TRANSITIVE)."""
    from foldlog.contracts import subjects

    context = loading.topology(topology)
    with loading.connect() as connection:
        ids = subjects.push(context, connection.registry)
    if as_json:
        output.write_json(ids)
    else:
        output.write_table(("id", "subject"), [(str(ids[subject]), subject) for subject in sorted(ids)])


def _incompatible(context: Topology) -> list[str]:
    from foldlog.contracts import subjects

    with loading.connect() as connection:
        return subjects.compatibility(context, connection.registry)


def _print(lines: list[str], as_json: bool, nothing: str) -> None:
    if as_json:
        output.write_json(lines)
    elif lines:
        output.write("".join(f"{line}\n" for line in lines))
    else:
        output.note(nothing)
