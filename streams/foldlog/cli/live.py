"""What a running worker shows: a live table on a terminal, a log line every ten seconds elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from foldlog.cli import output

if TYPE_CHECKING:
    from foldlog.engine.stats import ProcessorStats

    OnStats = Callable[[Sequence[ProcessorStats]], None]

LOG_S = 10.0
COLUMNS = ("processor", "kind", "state", "partitions", "records", "rate/s", "lag", "rows", "dead letters")
_RIGHT = frozenset(COLUMNS[4:])


@contextmanager
def shown(context: str) -> Iterator["OnStats"]:
    """Gives the function that the worker calls about once a second with the stats of its processors."""
    console = output.err()
    if not console.is_terminal:
        yield _log()
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield lambda stats: live.update(table(context, stats))


def table(context: str, stats: "Sequence[ProcessorStats]") -> Table:
    """One row a processor; while it restores, its state is a percentage."""
    drawn = Table(title=f"foldlog run: {context}", title_justify="left", header_style="bold")
    for name in COLUMNS:
        drawn.add_column(name, justify="right" if name in _RIGHT else "left")
    for one in stats:
        drawn.add_row(*_cells(one), style="dim" if one.state == "stopped" else None)
    return drawn


def line(one: "ProcessorStats") -> str:
    """A processor's stats as one line of a log."""
    return (
        f"{one.processor} {state(one)} partitions={_partitions(one)} records={one.records} rate={one.rate:.0f} "
        f"lag={one.lag} rows={one.rows} dead_letters={one.dead_letters}"
    )


def state(one: "ProcessorStats") -> str:
    """The state, with how far restoring has come."""
    if one.state != "restoring" or not one.to_restore:
        return one.state
    return f"restoring {100 * one.restored // one.to_restore}%"


def _cells(one: "ProcessorStats") -> tuple[str, ...]:
    numbers = (f"{one.records:,}", f"{one.rate:,.0f}", f"{one.lag:,}", f"{one.rows:,}", f"{one.dead_letters:,}")
    return one.processor, one.kind, state(one), _partitions(one), *numbers


def _partitions(one: "ProcessorStats") -> str:
    return ",".join(str(partition) for partition in one.partitions) or "none"


def _log() -> "OnStats":
    last = 0.0

    def on_stats(stats: "Sequence[ProcessorStats]") -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_S:
            last = time.monotonic()
            for one in stats:
                output.note(f"{time.strftime('%H:%M:%S')} {line(one)}")

    return on_stats
