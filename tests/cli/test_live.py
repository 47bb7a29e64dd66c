"""What a running worker shows."""

import io
import re

import pytest
from rich.console import Console

from foldlog.cli.live import shown, table
from foldlog.engine.stats import ProcessorStats

RUNNING = ProcessorStats("order", "decider", (0, 1, 2, 5), "running", 12_345, 987.6, 42, 1_000, 3, 10, 10)
RESTORING = ProcessorStats("stock", "decider", (1,), "restoring", 0, 0.0, 7, 0, 0, 250, 1_000)
STARTING = ProcessorStats("customers", "view", (), "starting", 0, 0.0, 0, 0, 0, 0, 0)


def drawn(*stats: ProcessorStats) -> list[list[str]]:
    """The cells of each row of the table, as it is drawn."""
    console = Console(file=io.StringIO(), width=160)
    console.print(table("orders", stats))
    assert isinstance(console.file, io.StringIO)
    rows = console.file.getvalue().splitlines()[2:]
    return [re.split(r"\s{2,}", row.strip()) for row in rows]


def test_the_table_has_a_row_for_each_processor() -> None:
    assert drawn(RUNNING, RESTORING, STARTING) == [
        ["order", "decider", "running", "0-2,5", "12,345", "988", "42", "1,000", "3"],
        ["stock", "decider", "restoring 25%", "1", "0", "0", "7", "0", "0"],
        ["customers", "view", "starting", "none", "0", "0", "0", "0", "0"],
    ]


def test_without_a_terminal_the_stats_are_log_lines_and_not_every_second(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("orders") as on_stats:
        for _ in range(5):
            on_stats([RUNNING, RESTORING])
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert "order" in first
    assert "records=12345 " in first
    assert "lag=42" in first
    assert "state='restoring 25%'" in second
    assert captured.out == ""
