"""`foldlog sql`: a query over the views of a context, without a server."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyName, examples
from foldlog.cli.values import cell
from foldlog.cli.view import Format
from foldlog.core.errors import ConfigError
from foldlog.core.plain import plain

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_NUMBERS = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "BIGNUM")  # beginnings and endings of DuckDB's names


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            """foldlog sql topologies.orders "select count(*), sum(spent) from customers" """.strip(),
            """foldlog sql topologies.orders "select status, count(*) from order_status group by status" --json""",
            "foldlog sql topologies.orders -f report.sql --format csv > report.csv",
            "foldlog sql topologies.orders < report.sql",
        )
    )(sql)


def sql(
    topology: TopologyName,
    statement: Annotated[
        str | None, typer.Argument(metavar="STATEMENT", help="The query, in DuckDB's SQL; default: standard input.")
    ] = None,
    *,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="Read the query from a file; `-` is stdin.")
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """Query the views of a context with SQL; each is a table of its name, for example `customers`.

    The views that the query names are read from their topics, up to the end that these have now, into a DuckDB in
    memory; there the first column is the row's key. Nothing that a query does changes a view.
    """
    query = _statement(statement, file)
    context = loading.topology(topology)

    from foldlog.query.notebook import loaded

    with loading.connect() as connection, loaded(connection, context, query, output.bar) as database:
        with database.checked():
            found = database.query(query)
            rows = found.fetchall()
        _print(found, rows, Format.JSON if as_json else style)


def _statement(statement: str | None, file: str | None) -> str:
    if statement is not None and file is not None:
        raise ConfigError("give the query as an argument or in a file, not both")
    if statement is not None and statement != "-":
        return statement
    if file in (None, "-"):
        if sys.stdin.isatty():
            raise ConfigError("there is no query: give it as an argument, with -f FILE or on standard input")
        return _text(sys.stdin.buffer.read(), "standard input")
    try:
        return _text(Path(file or "").read_bytes(), str(file))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place} is not UTF-8: byte {error.start}") from error


def _print(found: "DuckDBPyRelation", rows: list[tuple[Any, ...]], style: Format) -> None:
    names = _distinct(found.columns)
    if style is Format.JSON:
        output.write_json([dict(zip(names, map(_finite, plain(row)), strict=True)) for row in rows])
        return
    cells = [[cell(value) for value in row] for row in rows]
    if style is Format.CSV:
        output.write_csv(names, cells)
        return
    types = (str(kind) for kind in found.types)
    right = (name for name, kind in zip(names, types, strict=True) if kind.startswith(_NUMBERS) or kind.endswith("INT"))
    output.write_table(names, cells, frozenset(right))
    output.note(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}")


def _distinct(names: list[str]) -> list[str]:
    """The columns' names; one that was there before gets a number."""
    found: dict[str, None] = {}
    for name in names:
        free = (
            each for each in (name, *(f"{name}_{number}" for number in range(1, len(names) + 1))) if each not in found
        )
        found[next(free)] = None
    return list(found)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: _finite(inner) for name, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
        case _:
            return value
