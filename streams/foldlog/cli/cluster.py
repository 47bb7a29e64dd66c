"""`foldlog up`, `down` and `status`: the cluster of this directory."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import output
from foldlog.cli.arguments import Json, examples

if TYPE_CHECKING:
    from foldlog.cluster import Server


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog=examples("foldlog up", "foldlog up --docker", "foldlog up --json | jq -r .bootstrap"))(up)
    app.command(epilog=examples("foldlog down", "foldlog down --wipe"))(down)
    app.command(epilog=examples("foldlog status", "foldlog status --json"))(status)


def up(
    docker: Annotated[bool, typer.Option("--docker", help="Use Docker compose.")] = False,
    as_json: Json = False,
) -> None:
    """Start Kafka and the registry, or find the running ones. Data is kept between runs."""
    from foldlog import cluster
    from foldlog.settings import load

    settings = load()
    with output.steps() as progress:
        found = cluster.up(
            settings.home,
            docker=docker,
            progress=progress,
            bootstrap=settings.bootstrap,
            registry=settings.registry,
        )
    if as_json:
        output.write_json(asdict(found))
    else:
        output.write(f"Kafka     {found.bootstrap}\nregistry  {found.registry}\n")


def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete all data of the cluster.")] = False,
    as_json: Json = False,
) -> None:
    """Stop what `up` started. An existing cluster named by the settings is never touched."""
    from foldlog import cluster
    from foldlog.settings import load

    stopped = cluster.down(load().home, wipe=wipe)
    if as_json:
        output.write_json({"stopped": stopped, "wiped": wipe})
    else:
        output.note(("stopped" if stopped else "nothing was running") + (", data deleted" if wipe else ""))


def status(as_json: Json = False) -> None:
    """Show which cluster this is and how its servers are. Exit 1 unless both respond."""
    from foldlog import cluster
    from foldlog.settings import load

    settings = load()
    found = cluster.status(settings.home, bootstrap=settings.bootstrap, registry=settings.registry)
    if as_json:
        output.write_json(asdict(found))
    else:
        output.note(f"{found.kind} cluster, {'running' if found.running else 'not running'}")
        header = ("server", "address", "pid", "state", "memory MB", "data MB", "log")
        output.write_table(header, [_row(s) for s in found.servers], frozenset({"pid", "memory MB", "data MB"}))
    raise typer.Exit(0 if found.running else 1)


def _row(server: "Server") -> tuple[str, ...]:
    state = "responding" if server.responding else "not responding" if server.alive else "down"
    sizes = ("" if size is None else f"{size:.0f}" for size in (server.memory_mb, server.data_mb))
    return (server.name, server.address or "", str(server.pid or ""), state, *sizes, server.log or "")
