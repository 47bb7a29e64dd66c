"""The arguments and options that several commands share."""

from typing import Annotated

import typer

TopologyName = Annotated[
    str, typer.Argument(metavar="TOPOLOGY", help="Module of a context, for example `topologies.orders`.")
]
TopologyOption = Annotated[
    str | None,
    typer.Option("--topology", metavar="MODULE", help="Module of the context; default `topologies.CONTEXT`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "\n\n".join(("[bold]Examples[/]", *(f"$ [cyan]{line}[/]" for line in lines)))
