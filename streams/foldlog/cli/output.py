"""What a person or a program reads: data on stdout, everything else on stderr."""

import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from foldlog.core.errors import ConfigError

# rich draws about 2,000 rows a second; longer tables are laid out by hand.
DRAWN_ROWS = 1000

Report = Callable[[int, int], None]


def _console(*, stderr: bool) -> Console:
    """Made anew, so that a redirected stream is the one written to; data is never read as markup or emoji."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


def out() -> Console:
    """The console of data."""
    return _console(stderr=False)


def err() -> Console:
    """The console of everything that is not data: progress, notes, errors."""
    return _console(stderr=True)


def note(text: str) -> None:
    """One line about what happens, on stderr."""
    err().print(readable(text))


def fail(text: str) -> None:
    """One red line `error: …` on stderr; line breaks inside are folded away."""
    err().print(Text("error: ", "bold red") + Text(readable(re.sub(r"\s*[\r\n]\s*", " ", text)), "default"))


def readable(text: str) -> str:
    """The text with control characters escaped, but for line feeds: data must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


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
    console, rows = out(), [[readable(cell) for cell in row] for row in rows]
    if len(rows) > DRAWN_ROWS or not console.is_terminal:
        write("".join(_lines(header, rows, right)))
        return
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in header:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
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
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)

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
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, object] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=None)
                if not console.is_terminal:
                    note(step)
            progress.update(tasks[step], completed=done, total=total or None)  # type: ignore[arg-type]

        yield report


def keep(file: Path, text: str | None) -> None:
    """Writes a result, or removes it: what an earlier run found must not pass for this one's.

    Raises ConfigError where the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
