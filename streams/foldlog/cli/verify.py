"""`foldlog verify`: whether a view is the fold of its log."""

from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples
from foldlog.cli.values import fields
from foldlog.core.errors import ConfigError
from foldlog.core.plain import plain
from foldlog.core.view import View

if TYPE_CHECKING:
    from foldlog.core.record import Record
    from foldlog.query.verifying import Difference, Report

_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog=examples("foldlog verify orders.customers", "foldlog verify orders.customers --json"))(verify)


def verify(
    target: Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")],
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Fold the log of a view anew and compare with the live view, row by row; exit 1 where one differs.

    It is folded by the code that is here. Workers may run and commands flow: rows are compared as of a position that
    the view has committed. A difference
    names the key, the place of the row, the last event of the key and both rows.
    """
    context, processor = loading.place(target, topology)
    if not isinstance(processor, View):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a view; only views can be verified")

    from foldlog.query.verifying import verify as check

    with loading.connect() as connection:
        report = check(connection, context, processor, output.bar)
    if as_json:
        output.write_json(_json(report))
    else:
        _print(target, report)
    if report.differences:
        raise typer.Exit(1)


def _print(target: str, report: "Report") -> None:
    differences = report.differences
    if differences:
        header = ("key", "row at", "last event", "version", "live", "folded", "why")
        output.write_table(header, [_cells(each) for each in differences[:_SHOWN]], frozenset({"version"}))
        if len(differences) > _SHOWN:
            output.note(f"and {len(differences) - _SHOWN:,} more; --json has all")
    verdict = f"{len(differences):,} differ" if differences else "all are the fold of the log"
    output.note(f"{target}: {report.rows:,} rows, {report.events:,} events: {verdict}")


def _cells(difference: "Difference") -> tuple[str, ...]:
    version = "" if difference.version is None else str(difference.version)
    rows = _text(difference.live), _text(difference.folded)
    return difference.key, difference.place or "", difference.last or "", version, *rows, difference.reason


def _text(row: "Record | None") -> str:
    return "no row" if row is None else fields(row)


def _json(report: "Report") -> dict[str, object]:
    return {
        "rows": report.rows,
        "events": report.events,
        "rounds": report.rounds,
        "differences": [
            {
                "key": each.key,
                "row_at": each.place,
                "last_event": each.last,
                "version": each.version,
                "live": plain(each.live),
                "folded": plain(each.folded),
                "reason": each.reason or None,
            }
            for each in report.differences
        ],
    }
