"""`foldlog describe`: a context as text, as a picture, as JSON."""

from dataclasses import asdict
from enum import StrEnum
from textwrap import fill
from typing import Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyName, examples
from foldlog.cli.flow import flow, mermaid
from foldlog.core.topics import topics
from foldlog.core.topology import Topology


class Format(StrEnum):
    """How a context is shown."""

    TEXT = "text"
    MERMAID = "mermaid"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog describe topologies.orders",
            "foldlog describe topologies.orders --format mermaid > orders.mmd",
        )
    )(describe)


def describe(
    topology: TopologyName,
    style: Annotated[Format, typer.Option("--format", help="Tables, or a Mermaid flowchart.")] = Format.TEXT,
    as_json: Json = False,
) -> None:
    """Show the topics and processors of a context, and what each reads and writes. Needs no cluster."""
    context = loading.topology(topology)
    if as_json:
        declared = [asdict(topic) for topic in topics(context)]
        output.write_json(
            {
                "context": context.name,
                "topics": declared,
                "processors": [asdict(step) for step in flow(context)],
            }
        )
    elif style is Format.MERMAID:
        output.write(mermaid(context))
    else:
        _text(context)


def _text(context: Topology) -> None:
    steps = [
        (
            step.name,
            step.kind,
            "\n".join(step.reads),
            "\n".join((*step.writes, *([step.table] if step.table else []))),
            _wrapped(step.takes),
            _wrapped(step.gives),
        )
        for step in flow(context)
    ]
    output.write(f"context {context.name}\n\n")
    output.write_table(("processor", "kind", "reads", "writes", "takes", "gives"), steps)
    rows = [(t.name, str(t.partitions), t.config["cleanup.policy"], _kept(t.config)) for t in topics(context)]
    output.write("\n")
    output.write_table(("topic", "partitions", "cleanup", "kept"), rows, frozenset({"partitions"}))


def _wrapped(types: tuple[str, ...]) -> str:
    return fill(", ".join(types), 40, break_long_words=False)


def _kept(config: dict[str, str]) -> str:
    if config["cleanup.policy"] == "compact":
        return "last record of each key"
    days = int(config["retention.ms"]) // 86_400_000
    return "for ever" if days < 0 else f"{days} day{'s' if days > 1 else ''}"
