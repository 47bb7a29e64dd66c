"""What a running worker shows: a live table on a terminal, a log line a processor every ten seconds elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from rich.live import Live
from rich.table import Table

from foldlog.cli import logs, output

if TYPE_CHECKING:
    from foldlog.engine.stats import ProcessorStats

    OnStats = Callable[[Sequence[ProcessorStats]], None]

LOG_S = 10.0
COLUMNS = ("processor", "kind", "state", "partitions", "records", "rate/s", "lag", "rows", "dead")
STANDBY = "standby"  # a column where there is any: the partitions of others that are kept warm
_RIGHT = frozenset(COLUMNS[4:])


@contextmanager
def shown(context: str, level: str = "info", form: str = "text") -> Iterator["OnStats"]:
    """Gives the function that the worker calls about once a second with the stats of its processors.

    Log lines of at least this level go to stderr, in one of `logs.FORMATS`; a table is shown beside text only.
    """
    console = output.err()
    if form == "json" or not console.is_terminal:
        with logs.on_stderr(context, level, form):
            yield logged()
        return
    # The live table first: it redirects stderr, so that log lines scroll above it.
    with Live(console=console, refresh_per_second=4) as live, logs.on_stderr(context, level, form, colors=True):
        yield lambda stats: live.update(table(context, stats))


def table(context: str, stats: "Sequence[ProcessorStats]") -> Table:
    """One row a processor; while it restores, its state has a percentage."""
    drawn = Table(title=f"foldlog run: {context}", title_justify="left", header_style="bold", box=None)
    standby = any(one.standby for one in stats)
    for name in (*COLUMNS, STANDBY) if standby else COLUMNS:
        drawn.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name in _RIGHT)
    for one in stats:
        numbers = (one.records, round(one.rate), one.lag, one.rows, one.dead_letters)
        cells = (one.processor, one.kind, state(one), _runs(one.partitions), *(f"{number:,}" for number in numbers))
        drawn.add_row(*cells, *((_standby(one),) if standby else ()), style="dim" if one.state == "stopped" else None)
    return drawn


def state(one: "ProcessorStats") -> str:
    """The state, with how far restoring has come."""
    if one.state != "restoring" or not one.to_restore:
        return one.state
    return f"restoring {100 * one.restored // one.to_restore}%"


def logged(every: float = LOG_S) -> "OnStats":
    """Logs the stats of each processor, at most once in `every` seconds."""
    last = float("-inf")

    def on_stats(stats: "Sequence[ProcessorStats]") -> None:
        nonlocal last
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        for one in stats:
            structlog.get_logger().info(
                one.processor,
                state=state(one),
                partitions=_runs(one.partitions),
                records=one.records,
                rate=round(one.rate),
                lag=one.lag,
                rows=one.rows,
                dead_letters=one.dead_letters,
                lag_s=round(one.lag_s, 3),
                processor=one.processor,
                kind=one.kind,
                epoch=one.epoch,
                **({"standby": _runs(one.standby), "standby_lag": one.standby_lag} if one.standby else {}),
            )

    return on_stats


def _standby(one: "ProcessorStats") -> str:
    """The partitions that are kept warm, with the records that they lack: `0-1 (12)`."""
    return f"{_runs(one.standby)} ({one.standby_lag:,})" if one.standby_lag else _runs(one.standby)


def _runs(partitions: Iterable[int]) -> str:
    """Neighbours drawn together: `0-3,7`."""
    runs: list[list[int]] = []
    for partition in sorted(partitions):
        if runs and partition == runs[-1][-1] + 1:
            runs[-1].append(partition)
        else:
            runs.append([partition])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs) or "none"
