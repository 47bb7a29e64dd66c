"""What a person would ask of the run: as figures for `build/demo.json`, and as tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.text import Text

from foldlog.cli import output
from foldlog.cli.demo.checks import Actual, Comparison
from foldlog.cli.demo.readback import Log
from foldlog.core.plain import plain

TOP = 10
NUMBERS = frozenset({"orders", "days", "units", "money", "spent", "received", "shipped", "available", "refused"})
COUNTS = frozenset({"events", "by this run", "seconds"})


@dataclass(frozen=True)
class Run:
    """One run: what was read back, its logs and dead letters, the checks, seconds by phase and commands sent.

    `seconds_busy` is the time from the first order sent until the last saga ended.
    """

    actual: Actual
    logs: Mapping[str, Log]
    dead_letters: int
    comparison: Comparison
    phases: Mapping[str, float]
    commands: int
    seconds_busy: float

    @property
    def written(self) -> int:
        """The events that this run wrote."""
        return sum(log.written for log in self.logs.values())


def figures(run: Run) -> dict[str, Any]:
    """The content of `build/demo.json`: JSON types only, money as text."""
    return {
        "passed": run.comparison.passed,
        "checks": run.comparison.checks,
        "differences": list(run.comparison.differences),
        "orders": _outcomes(run.actual),
        "top_customers": _top_customers(run.actual),
        "stock": _stock(run.actual),
        "events": {name: log.events for name, log in run.logs.items()},
        "events_written": {name: log.written for name, log in run.logs.items()},
        "dead_letters": run.dead_letters,
        "commands_sent": run.commands,
        "commands_per_second": round(run.commands / run.seconds_busy),
        "events_per_second": round(run.written / run.seconds_busy),
        "seconds": {name: round(seconds, 2) for name, seconds in run.phases.items()},
        "seconds_total": round(sum(run.phases.values()), 2),
    }


def _outcomes(actual: Actual) -> list[dict[str, Any]]:
    """How the orders ended: confirmed, cancelled for each reason, and whatever else there is."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in actual.orders.values():
        total = found.setdefault((str(row["status"]), row["reason"] or ""), [0, 0, Decimal(0)])
        total[:] = total[0] + 1, total[1] + row["items"], total[2] + row["total"]
    names = ("status", "reason", "orders", "units", "money")
    ordered = sorted(found.items(), key=lambda item: (item[0][0] != "confirmed", item[0]))
    return [plain(dict(zip(names, (*key, *total), strict=True))) for key, total in ordered]


def _top_customers(actual: Actual) -> list[dict[str, Any]]:
    """Who spent most; of equals the lower number first."""
    best = sorted(actual.customers.items(), key=lambda item: (-item[1]["spent"], item[0]))[:TOP]
    columns = {
        "orders": "orders",
        "days": "order_days",
        "first": "first",
        "last": "last",
        "units": "units",
        "spent": "spent",
    }
    return [{"customer": key} | {name: plain(row[column]) for name, column in columns.items()} for key, row in best]


def _stock(actual: Actual) -> list[dict[str, Any]]:
    columns = ("received", "shipped", "available", "refused")
    return [{"month": key} | {name: row[name] for name in columns} for key, row in sorted(actual.stock.items())]


def show(found: Mapping[str, Any]) -> None:
    """The figures as tables, then every check."""
    _table("Orders", found["orders"])
    _table(f"The {len(found['top_customers'])} customers who spent most", found["top_customers"])
    _table("Stock by month of sale", found["stock"])
    logs = [
        {"log": name, "events": count, "by this run": found["events_written"][name]}
        for name, count in found["events"].items()
    ]
    _table("Events", [*logs, {"log": "dead letters", "events": found["dead_letters"], "by this run": ""}])
    phases = [{"phase": name, "seconds": f"{seconds:.1f}"} for name, seconds in found["seconds"].items()]
    _table("Time", [*phases, {"phase": "total", "seconds": f"{found['seconds_total']:.1f}"}])
    output.write(f"\n{found['commands_per_second']:,} commands/s and {found['events_per_second']:,} events/s, ")
    output.write("from the first order sent until the last fulfilment ended\n\n")
    show_checks(found)


def show_checks(found: Mapping[str, Any]) -> None:
    """A line a check: right, or wrong."""
    output.write("Checks against a plain recomputation from the file\n")
    console = output.out()
    for name, right in found["checks"].items():
        console.print(Text("  ✓ ", "green") + name if right else Text(f"  ✗ {name}", "bold red"))


def show_differences(differences: Iterable[str]) -> None:
    """What differs, in red on stderr."""
    for line in differences:
        output.err().print(Text(output.readable(line), "red"))


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    console = output.out()
    console.print()
    console.print(Text(title, "bold"))
    if rows:
        cells = [[f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()] for row in rows]
        output.write_table(list(rows[0]), cells, NUMBERS | COUNTS)
