"""`foldlog schemas`: the Avro contracts of a context, thin over foldlog.contracts."""

from pathlib import Path
from typing import Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyName, examples

Root = Annotated[Path, typer.Option("--root", help="Directory of the .avsc files.", file_okay=False)]
ROOT = Path("schemas")


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True, help="Avro contracts.", epilog=examples("foldlog schemas check topologies.orders")
    )
    group.command(epilog=examples("foldlog schemas write topologies.orders"))(write)
    group.command(epilog=examples("foldlog schemas check topologies.orders"))(check)
    group.command(epilog=examples("foldlog schemas push topologies.orders"))(push)
    app.add_typer(group, name="schemas")


def write(topology: TopologyName, root: Root = ROOT, as_json: Json = False) -> None:
    """Write a .avsc file for each record of the context; files of types that are gone are removed."""
    from foldlog.contracts import files

    _print([str(path) for path in files.write(loading.topology(topology), root)], as_json, "nothing changed")


def check(topology: TopologyName, root: Root = ROOT, as_json: Json = False) -> None:
    """List the .avsc files that are stale or missing. Exit 1 where there are any."""
    from foldlog.contracts import files

    found = files.check(loading.topology(topology), root)
    _print(found, as_json, "all schema files are as declared")
    raise typer.Exit(1 if found else 0)


def push(topology: TopologyName, as_json: Json = False) -> None:
    """Register the schemas; an incompatible one is refused (FULL_TRANSITIVE)."""
    from foldlog.contracts import files
    from foldlog.contracts.registry import Registry

    context = loading.topology(topology)
    registered = files.push(context, Registry(loading.connect().cluster.registry))
    _print([str(subject) for subject in registered or ()], as_json, "all schemas are registered")


def _print(lines: list[str], as_json: bool, nothing: str) -> None:
    if as_json:
        output.write_json(lines)
    elif lines:
        output.write("".join(f"{line}\n" for line in lines))
    else:
        output.note(nothing)
