"""What a run is told as: a table, lines of what is wrong, and JSON."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome

MOST = 12  # lines a checker


def show(console: Console, outcome: Outcome, directory: Path, without: tuple[str, ...]) -> None:
    """Faults, figures and checks of one run; where something is wrong, how to replay it."""
    console.print(_faults(outcome), _figures(outcome))
    for note in outcome.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    for name, lines in outcome.violations.items():
        console.print(f"{'[red]violated[/]' if lines else '[green]holds[/]   '} {name}", highlight=False)
        for line in [*lines[:MOST], *([f"… {len(lines) - MOST} more"] if len(lines) > MOST else [])]:
            console.print(f"  {line}", style="red", highlight=False, markup=False, soft_wrap=True)
    if outcome.good:
        console.print(f"[green]seed {outcome.seed}: {sum(outcome.seen.values())} faults, no violation[/]")
        return
    broken = ", ".join(name for name, lines in outcome.violations.items() if lines)
    why = (
        f"violated: {broken}"
        if broken
        else "nothing is violated, but not every fault could be brought about and healed"
    )
    console.print(f"[red]seed {outcome.seed} FAILED[/] ({why}); histories and logs: {directory}", soft_wrap=True)
    console.print(f"replay: {replay(outcome, without)}", soft_wrap=True)


def replay(outcome: Outcome, without: tuple[str, ...]) -> str:
    """The command that gives the same schedule."""
    left_out = "".join(f" --without {name}" for name in without)
    return f"python -m tests.chaos --seconds {outcome.seconds:g} --seed {outcome.seed}{left_out}"


def as_json(outcomes: list[Outcome]) -> bytes:
    """All of it, for machines."""
    return msgspec.json.format(msgspec.json.encode([_plain(outcome) for outcome in outcomes]), indent=2)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "good": outcome.good,
        "faults": dict(outcome.seen),
        "done": outcome.done,
        "violations": outcome.violations,
        "figures": outcome.figures,
        "notes": outcome.notes,
    }


def _faults(outcome: Outcome) -> Table:
    table = Table("fault", "tried", "observed", "failed", title=f"seed {outcome.seed}", title_justify="left", box=None)
    tried = Counter(one.fault.name for one in outcome.done)
    failed = Counter(one.fault.name for one in outcome.done if one.failed)
    for name in sorted(tried):
        table.add_row(name, str(tried[name]), str(outcome.seen[name]), str(failed[name] or ""))
    table.add_row("all", str(tried.total()), str(outcome.seen.total()), str(failed.total() or ""), style="bold")
    return table


def _figures(outcome: Outcome) -> Table:
    table = Table("figure", "", box=None)
    for name, value in outcome.figures.items():
        table.add_row(name, f"{value:,}")
    return table
