"""`foldlog export`: a view as Parquet files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples
from foldlog.core.errors import ConfigError
from foldlog.core.view import View

if TYPE_CHECKING:
    from foldlog.query.exporting import Exported


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog export orders.customers --parquet customers/",
            "foldlog export orders.customers --parquet customers/ --full",
        )
    )(export)


def export(
    target: Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")],
    parquet: Annotated[Path, typer.Option("--parquet", metavar="DIR", help="The directory; it is made where missing.")],
    *,
    full: Annotated[bool, typer.Option("--full", help="Write all rows anew and drop the files before.")] = False,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Write the rows of a view to Parquet files: all at first, after that what has changed since.

    A file has the columns of the row, `_offset` and `_deleted`; of a key, the row with the highest offset counts. The
    file `manifest.json` says how far the files are. It is written last, so an export that is cut off leaves the one
    before as it was.
    """
    context, processor = loading.place(target, topology)
    if not isinstance(processor, View):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a view; only views can be exported")

    from foldlog.query.exporting import export as write

    with loading.connect() as connection:
        done = write(connection, context, processor, parquet, output.bar, full=full)
    if as_json:
        output.write_json(_json(done))
        return
    rows = [(file.name, f"{file.rows - file.deleted:,}", f"{file.deleted:,}") for file in done.manifest.files]
    output.write_table(("file", "rows", "deletions"), rows, frozenset({"rows", "deletions"}))
    output.note(f"{target}: {_said(done)}")


def _said(done: "Exported") -> str:
    if done.file is None:
        return "nothing has changed"
    return f"{done.file.name} has {f'all rows: {done.full}' if done.full else 'what has changed'}"


def _json(done: "Exported") -> dict[str, object]:
    import msgspec

    files = msgspec.to_builtins(done.manifest.files)
    return {"written": done.file and done.file.name, "full": done.full or None, "files": files}
