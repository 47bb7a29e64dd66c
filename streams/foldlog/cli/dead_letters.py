"""`foldlog dead-letters`: the records that could not be handled, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, examples
from foldlog.cli.letters import check_cause, content, contexts, hexdump, letters, place
from foldlog.cli.values import fields
from foldlog.core.errors import ConfigError
from foldlog.core.outcome import CAUSES, DeadLetter
from foldlog.core.plain import plain

if TYPE_CHECKING:
    from foldlog.contracts.registry import Registry


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Records that could not be handled, and why.",
        epilog=examples("foldlog dead-letters list orders"),
    )
    group.command(
        "list",
        epilog=examples("foldlog dead-letters list", "foldlog dead-letters list orders --cause malformed --json"),
    )(list_letters)
    group.command(epilog=examples("foldlog dead-letters show orders orders.order.commands:2:117"))(show)
    app.add_typer(group, name="dead-letters")


def list_letters(
    context: Annotated[
        str | None, typer.Argument(metavar="[CONTEXT]", help="For example `orders`; all contexts by default.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help="Only this cause.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the latest.")] = 100,
    as_json: Json = False,
) -> None:
    """List dead letters: when, where the record stands, which processor refused it, and why."""
    check_cause(cause)
    with loading.connect() as connection:
        names = [context] if context else contexts(connection.bootstrap)
        every = (letter for name in names for letter in _read(connection, name))
        found = [letter for letter in every if cause in (None, letter.cause)]
    found.sort(key=lambda letter: letter.time)
    shown = found[-limit:]
    if as_json:
        output.write_json([_summary(letter) for letter in shown])
        return
    if shown:
        rows = [tuple(_summary(letter).values()) for letter in shown]
        output.write_table(("time", "place", "processor", "cause", "reason"), rows)
    count = f"{len(shown):,} of {len(found):,}" if len(shown) < len(found) else f"{len(found):,}"
    output.note(f"{count} dead letters")


def show(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="For example `orders`.")],
    at: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="The place, as `list` prints it.")],
    as_json: Json = False,
) -> None:
    """Explain one dead letter: its cause, key, headers, bytes, and its content where it can be decoded."""
    with loading.connect() as connection:
        found = [letter for letter in _read(connection, context) if place(letter) == at]
        if not found:
            raise ConfigError(f"{context} has no dead letter at `{at}`: see `foldlog dead-letters list {context}`")
        if as_json:
            output.write_json([_whole(letter, connection.registry) for letter in found])
        else:
            output.write("\n".join(_text(letter, connection.registry) for letter in found))


def _read(connection: loading.Connection, context: str) -> list[DeadLetter]:
    with output.bar(f"reading dead letters of {context}") as progress:
        return list(letters(connection, context, progress))


def _summary(letter: DeadLetter) -> dict[str, str]:
    return {
        "time": f"{letter.time:%Y-%m-%d %H:%M:%S}",
        "place": place(letter),
        "processor": letter.processor,
        "cause": letter.cause,
        "reason": letter.reason,
    }


def _whole(letter: DeadLetter, registry: "Registry") -> dict[str, object]:
    """Everything; `key` and `value` are Base64, `type` and `content` null where the value cannot be decoded."""
    read = content(letter.value, registry)
    name, inner = read if isinstance(read, tuple) else (None, None)
    found = {**plain(letter), "explanation": CAUSES.get(letter.cause)}
    return {**found, "type": name, "content": plain(inner), "not_decoded": None if name else read}


def _text(letter: DeadLetter, registry: "Registry") -> str:
    lines = [
        f"{place(letter)}  {letter.time:%Y-%m-%d %H:%M:%S} UTC",
        f"processor  {letter.processor}",
        f"cause      {letter.cause}: {CAUSES.get(letter.cause, 'not a cause that this version knows')}",
        f"reason     {output.readable(letter.reason)}",
        f"key        {_bytes(letter.key)}",
        *(f"header     {header.name}: {_bytes(header.value)}" for header in letter.headers),
    ]
    read = content(letter.value, registry)
    if isinstance(read, tuple):
        name, inner = read
        shown = fields(inner) if isinstance(inner, dict) else str(plain(inner))
        lines.append(f"content    {name} {output.readable(shown)}")
    else:
        lines.append(f"content    cannot be decoded: {read}")
    size = "null" if letter.value is None else f"{len(letter.value):,} bytes"
    return "\n".join((*lines, f"value      {size}", hexdump(letter.value or b""))).rstrip() + "\n"


def _bytes(value: bytes | None) -> str:
    return "null" if value is None else output.readable(value.decode(errors="backslashreplace"))
