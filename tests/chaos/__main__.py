"""`python -m tests.chaos`: the bank under fire, once or for several seeds in a row."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from foldlog.core.errors import FoldlogError
from tests.chaos.clocks import library
from tests.chaos.ground import ground
from tests.chaos.report import as_json, show
from tests.chaos.run import Outcome, Plan, run
from tests.chaos.schedule import NAMES, schedule

Names = Annotated[list[str] | None, typer.Option(metavar="FAULT", help=f"One of {', '.join(NAMES)}; may be repeated.")]


def main(  # noqa: PLR0917 — each is an option
    seconds: Annotated[float, typer.Option(min=1.0, help="How long faults go on.")] = 180.0,
    seed: Annotated[int, typer.Option(help="The schedule's seed; the first of several with --runs.")] = 7,
    runs: Annotated[int, typer.Option(min=1, help="Seeds in a row, on one cluster.")] = 1,
    without: Names = None,
    only: Names = None,
    json: Annotated[Path | None, typer.Option(help="Write the outcomes there, too.")] = None,
    plan: Annotated[bool, typer.Option(help="Print the schedule and do nothing.")] = False,
) -> None:
    """Real faults against a real cluster; exit code 1 where a promise was broken, 2 where the run could not begin."""
    console = Console()
    left_out = tuple(without or ())
    try:
        plans = [_plan(one, seconds, left_out, tuple(only or ())) for one in range(seed, seed + runs)]
        if plan:
            for fault in [fault for one in plans for fault in one.faults]:
                console.print(str(fault), highlight=False)
            return
        if "clock-moved" not in left_out:
            library()
        outcomes = _all(console, plans)
    except (FoldlogError, ValueError) as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(2) from error
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(as_json(outcomes))
    raise typer.Exit(not all(outcome.good for outcome in outcomes))


def _plan(seed: int, seconds: float, without: tuple[str, ...], only: tuple[str, ...]) -> Plan:
    return Plan(seed, seconds, schedule(seed, seconds, without, only), without)


def _all(console: Console, plans: list[Plan]) -> list[Outcome]:
    """Every seed in turn; the histories of those that failed are kept."""
    histories = Path(tempfile.mkdtemp(prefix="foldlog-chaos-history-"))
    outcomes: list[Outcome] = []

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with ground(lambda step, _done, total: None if total else tell(step)) as made:
        for plan in plans:
            console.rule(f"seed {plan.seed}")
            for fault in plan.faults:
                console.print(str(fault), style="dim", highlight=False)
            directory = histories / f"seed-{plan.seed}"
            outcomes.append(run(made, directory, plan, tell))
            show(console, outcomes[-1], directory, plan.without)
            if outcomes[-1].good:
                shutil.rmtree(directory)
    if all(outcome.good for outcome in outcomes):
        shutil.rmtree(histories)
    return outcomes


if __name__ == "__main__":
    typer.run(main)
