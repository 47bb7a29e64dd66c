"""`foldlog view`: the rows of a view, read from its compacted topic."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.after import contained
from foldlog.cli.arguments import TopologyOption, examples
from foldlog.cli.values import cell
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.plain import plain
from foldlog.core.record import Record
from foldlog.core.view import View
from foldlog.core.window import key_of

if TYPE_CHECKING:
    from foldlog.contracts.codec import Codec
    from foldlog.kafka.reading import Entry


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog view orders.customers",
            "foldlog view orders.customers 00042 --format json",
            "foldlog view orders.customers 00042 --after orders.order.events:0:17",
            "foldlog view orders.customers --format csv > customers.csv",
        )
    )(view)


def view(
    target: Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only the rows of this key.")] = None,
    *,
    style: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.TABLE,
    after: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="Wait until the view contains this event: a reply's position."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="With --after: give up after S seconds.")] = 30.0,
    topology: TopologyOption = None,
) -> None:
    """Print the rows of a view, sorted by key; with KEY only that row, and exit 1 where there is none.

    A view with windows has a row for each window of a key: KEY is the key, or `KEY@START` of one window. CSV has a
    header, is the same bytes for the same rows, and holds nested values as JSON; JSON is a list, or one object for a
    KEY of one row. Decimals are printed in full.
    """
    from foldlog.kafka.generations import resolve
    from foldlog.kafka.reading import latest, read

    context, processor = loading.place(target, topology)
    if not isinstance(processor, View):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a view; try `foldlog inspect {target} ID`")
    with loading.connect() as connection:
        topic = resolve(connection.bootstrap, context.name, processor.name)
        if after is not None:
            contained(connection.bootstrap, context, processor, topic, token=after, seconds=timeout)
        with output.bar(f"reading {topic}") as progress:
            home = None if key is None else processor.home(key)
            entries = latest(read(connection.bootstrap, topic, key=home, progress=progress))
        if key is not None:
            names = (key, *(name for name in entries if processor.window and key_of(name) == key))
            entries = {name: entries[name] for name in names if name in entries}
            if not entries:
                raise ConfigError(f"{target} has no row `{key}`")
        codec = connection.codec(context)
        rows = {name: _row(codec, topic, entries[name]) for name in sorted(entries)}
    _print(rows, processor.row, style, one=key in rows)


def _row(codec: "Codec", topic: str, entry: "Entry") -> Record:
    try:
        return codec.decode(entry.value or b"")
    except DecodeError as error:
        raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error


def _print(rows: dict[str, Record], row: type[Record], style: Format, *, one: bool) -> None:
    fields = row.__struct_fields__
    name = "key" if "key" not in fields else "_key"
    if style is Format.JSON:
        found = [{name: key, **plain(record)} for key, record in rows.items()]
        output.write_json(found[0] if one else found)
        return
    cells = [(key, *(cell(getattr(record, field)) for field in fields)) for key, record in rows.items()]
    if style is Format.CSV:
        output.write_csv((name, *fields), cells)
    else:
        output.write_table((name, *fields), cells, _numbers(rows))
        output.note(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}")


def _numbers(rows: dict[str, Record]) -> frozenset[str]:
    """The columns that hold numbers, by the look of the first row."""
    from decimal import Decimal

    first = next(iter(rows.values()), None)
    if first is None:
        return frozenset()
    values = ((name, getattr(first, name)) for name in first.__struct_fields__)
    return frozenset(name for name, value in values if isinstance(value, (int, float, Decimal)))
