"""`foldlog services`, `foldlog contracts`, `foldlog asyncapi`: what contexts tell each other."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyName, examples
from foldlog.core.errors import ConfigError

if TYPE_CHECKING:
    from foldlog.client.services import Consumer
    from foldlog.contracts.schema import Schema
    from foldlog.core.topology import Topology

Topologies = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TOPOLOGY]…", help="Modules of contexts, for example `topologies.banking topologies.risk`."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no cluster: only what the topologies declare.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog=examples("foldlog services", "foldlog services topologies.banking topologies.risk --offline --json")
    )(services)
    app.command(
        epilog=examples(
            "foldlog contracts topologies.banking topologies.risk",
            "foldlog contracts topologies.risk --registry",
        )
    )(contracts)
    app.command(
        epilog=examples(
            "foldlog asyncapi topologies.banking > banking.json", "foldlog asyncapi topologies.banking --server"
        )
    )(asyncapi)


def services(topologies: Topologies = None, offline: Offline = False, as_json: Json = False) -> None:
    """Show who publishes which event, in which version, and who consumes it.

    "orphaned": published, and nobody consumes it. "unknown": consumed, and nobody publishes it.
    """
    from foldlog.client.services import registered, services

    contexts = _contexts(topologies)
    if offline:
        found = services(contexts, {}, {})
    else:
        from foldlog.kafka.groups import readers

        with loading.connect() as connection:
            found = services(contexts, registered(connection.registry), readers(connection.bootstrap))
    if as_json:
        output.write_json([asdict(event) for event in found])
        return
    rows = [
        (
            event.name,
            str(event.version or "-"),
            "\n".join(consumer.name for consumer in event.consumers),
            "\n".join(_reads(consumer) for consumer in event.consumers),
            event.status,
        )
        for event in found
    ]
    output.write_table(("event", "version", "consumer", "reads", "status"), rows)


def contracts(
    topologies: Topologies = None,
    root: Annotated[Path, typer.Option("--root", help="Directory of the .avsc files.", file_okay=False)] = Path(
        "schemas"
    ),
    registry: Annotated[
        bool, typer.Option("--registry", help="Every registered version must be readable too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what consumers cannot read of the public events they subscribe to. Exit 1 where there is anything.

    A publisher is one of the given contexts, else what the files under --root say of it.
    """
    from foldlog.contracts.consumers import broken

    contexts = _contexts(topologies)
    if not contexts:
        raise ConfigError("give at least one context, for example topologies.banking topologies.risk")
    found = broken(contexts, _written(contexts, root, registry))
    if as_json:
        output.write_json(found)
    elif found:
        output.write("".join(f"{line}\n" for line in found))
    else:
        output.note("every consumer can read what it subscribes to")
    raise typer.Exit(1 if found else 0)


def asyncapi(
    topology: TopologyName,
    version: Annotated[str, typer.Option("--version", metavar="X.Y.Z", help="The document's version.")] = "0.0.0",
    server: Annotated[bool, typer.Option("--server", help="Name the cluster that is in use, too.")] = False,
) -> None:
    """Print the AsyncAPI 3 document of a context, with Kafka bindings: commands, public events, views."""
    from foldlog.contracts.asyncapi import Server, document

    context = loading.topology(topology)
    if not server:
        output.write_json(document(context, version))
        return
    with loading.connect() as connection:
        output.write_json(document(context, version, Server(connection.bootstrap, connection.registry.url)))


def _contexts(topologies: list[str] | None) -> "list[Topology]":
    return [loading.topology(module) for module in dict.fromkeys(topologies or ())]


def _written(contexts: "list[Topology]", root: Path, registry: bool) -> "dict[str, list[Schema]]":
    """Every schema that public events have or had, by full name."""
    from foldlog.contracts import files
    from foldlog.contracts.consumers import published

    given = {context.name for context in contexts}
    filed = files.load(root) if root.is_dir() else {}
    written = {name: [schema] for name, schema in filed.items() if name.partition(".")[0] not in given}
    for context in contexts:
        written |= {name: [schema] for name, schema in published(context).items()}
    if registry:
        from foldlog.client.services import registered

        with loading.connect() as connection:
            for name, versions in registered(connection.registry).items():
                written.setdefault(name, []).extend(versions.values())
    return written


def _reads(consumer: "Consumer") -> str:
    if consumer.reads is None:
        return "?"
    return ", ".join(map(str, consumer.reads)) or "-"
