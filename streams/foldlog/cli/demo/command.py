"""`foldlog demo`: a real order log through the whole pipeline, every total checked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, examples

if TYPE_CHECKING:
    from foldlog.cli.demo.report import Run

RESULT = Path("build/demo.json")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog=examples("foldlog demo", "foldlog demo --orders 500", "foldlog demo --json | jq .checks"))(demo)


def demo(
    orders: Annotated[
        int | None, typer.Option("--orders", min=1, metavar="N", help="Only the first N purchases of the log.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running that the demo started.")] = False,
    as_json: Json = False,
) -> None:
    """Send 69,659 real purchases through the orders context and check every total.

    Starts the cluster (or uses the running one), applies topics and schemas, runs a worker, sends the CDNOW purchase
    log, waits until every fulfilment has ended, and compares what the views and logs hold with a plain recomputation
    from the file. A second run changes nothing. The figures go to build/demo.json; exit 1 where a check fails.
    """
    from foldlog.cli.demo import report
    from foldlog.cli.demo.interrupts import Interrupts
    from foldlog.cli.demo.run import MODULE, run

    loading.topology(MODULE)  # first of all: a wrong working directory is left as it is
    output.keep(RESULT, None)
    with Interrupts().heard() as interrupts:
        done = run(orders, keep, interrupts)
    found = report.figures(done)
    output.keep(RESULT, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        output.write_json(found)
    else:
        report.show(found)
    _conclude(done)


def _conclude(done: "Run") -> None:
    from foldlog.cli.demo import report

    checks = done.comparison.checks
    failed = [name for name, right in checks.items() if not right]
    if failed:
        report.show_differences(done.comparison.differences)
        output.fail(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
        raise typer.Exit(1)
    output.note(f"all {len(checks)} checks hold; the figures are in {RESULT}")
    if done.written == 0:
        output.note("the log was complete already: this run wrote 0 events and changed nothing")
