"""The arguments and options that several commands share."""

import getpass
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


def user() -> str | None:
    """Whoever gives an order without saying who: the user of this terminal, None where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have none
        return None
