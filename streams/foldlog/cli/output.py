"""What a person or a program reads: data on stdout, everything else on stderr."""

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

# rich draws about 2,000 rows a second; longer tables are laid out by hand.
DRAWN_ROWS = 1000

Report = Callable[[int, int], None]


def out() -> Console:
    """The console of data. Made anew, so that a redirected stdout is the one written to."""
    return Console(soft_wrap=True, highlight=False)


def err() -> Console:
    """The console of everything that is not data: progress, notes, errors."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """One line about what happens, on stderr."""
    err().print(escape(text))


def fail(text: str) -> None:
    """One red line `error: …` on stderr; line breaks inside are folded away."""
    err().print(f"[bold red]error:[/] {escape(' '.join(text.split()))}")


def write(text: str) -> None:
    """Text as it is, to stdout."""
    sys.stdout.write(text)


def write_json(value: object) -> None:
    """An indented JSON document."""
    write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_line(value: object) -> None:
    """A JSON document of one line, written out at once."""
    write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """RFC 4180 with a header and plain line feeds, the same bytes for the same rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write(buffer.getvalue())


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()) -> None:
    """A table; columns named in `right` are aligned to the right. A pipe gets whole lines, never folded cells."""
    console = out()
    if len(rows) > DRAWN_ROWS or not console.is_terminal:
        write("".join(_lines(header, rows, right)))
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in header:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table, soft_wrap=False)


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str]) -> Iterator[str]:
    columns = zip(header, *rows, strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    layout = "  ".join(
        f"{{:{'>' if name in right else '<'}{width}}}" for name, width in zip(header, widths, strict=True)
    )
    for row in (header, *rows):
        for line in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
            yield layout.format(*line).rstrip() + "\n"


@contextmanager
def bar(text: str) -> Iterator[Report]:
    """A progress bar on stderr, only on a terminal; gives a function of (done, total)."""
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(text), total=None)

        drawn = 0.0

        def report(done: int, total: int) -> None:
            nonlocal drawn
            if (now := time.monotonic()) - drawn > 0.1:  # called once a record
                drawn = now
                progress.update(task, completed=done, total=total or None)

        yield report


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """Progress of named steps, some counted in bytes; plain lines where stderr is not a terminal."""
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, object] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(escape(step), total=None)
                if not console.is_terminal:
                    note(step)
            progress.update(tasks[step], completed=done, total=total or None)  # type: ignore[arg-type]

        yield report
