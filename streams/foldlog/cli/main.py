"""The entry point: which commands there are, and how an error ends."""

import os
import sys
from typing import Annotated

import typer

from foldlog import __version__
from foldlog.cli import (
    bench,
    cluster,
    dead_letters,
    describe,
    edge,
    export,
    inspect,
    output,
    parked,
    query,
    rebuild,
    run,
    sagas,
    schemas,
    send,
    services,
    settings,
    sink,
    sql,
    topics,
    verify,
    view,
)
from foldlog.cli.arguments import examples
from foldlog.cli.demo import command as demo
from foldlog.core.errors import FoldlogError

app = typer.Typer(
    name="foldlog",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        output.write(f"foldlog {__version__}\n")
        raise typer.Exit


@app.callback(epilog=examples("foldlog up", "foldlog run topologies.orders --apply", "foldlog view orders.customers"))
def foldlog(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Event sourcing and CQRS, native to Kafka: everything is a fold over a keyed, partitioned log."""


for module in (
    cluster,
    demo,
    bench,
    run,
    topics,
    schemas,
    send,
    view,
    rebuild,
    sql,
    export,
    query,
    verify,
    sink,
    inspect,
    sagas,
    dead_letters,
    parked,
    describe,
    services,
    edge,
    settings,
):
    module.register(app)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 error or difference, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="foldlog")
    except FoldlogError as error:
        output.fail(str(error))
        sys.exit(1)
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()


def _close_stdout() -> None:
    """The reader has gone: what is still buffered has nowhere to go, and the interpreter must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
