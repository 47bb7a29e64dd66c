"""`foldlog dead-letters`: the records that could not be handled, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output, settling
from foldlog.cli.arguments import Json, examples
from foldlog.cli.letters import Letter, check_cause, content, contexts, hexdump, latest, read
from foldlog.cli.values import fields
from foldlog.core.errors import ConfigError
from foldlog.core.outcome import CAUSES
from foldlog.core.plain import plain
from foldlog.core.repair import EDIT, Repair

if TYPE_CHECKING:
    from foldlog.contracts.registry import Registry

COLUMNS = ("time", "place", "processor", "cause", "reason")


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Records that could not be handled, why, and what to do about them.",
        epilog=examples("foldlog dead-letters list orders"),
    )
    group.command(
        "list",
        epilog=examples("foldlog dead-letters list", "foldlog dead-letters list orders --cause malformed --json"),
    )(list_letters)
    group.command(epilog=examples("foldlog dead-letters show orders orders.order.commands:2:117"))(show)
    settling.register(group)
    app.add_typer(group, name="dead-letters")


def list_letters(
    context: Annotated[
        str | None, typer.Argument(metavar="[CONTEXT]", help="For example `orders`; all contexts by default.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help="Only this cause.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the latest.")] = 100,
    every: Annotated[bool, typer.Option("--all", help="Also those that were retried or dropped.")] = False,
    as_json: Json = False,
) -> None:
    """List dead letters: when, where the record stands, which processor refused it, and why.

    Those that were retried or dropped are left out, unless --all asks for them.
    """
    check_cause(cause)
    with loading.connect() as connection:
        names = [context] if context else contexts(connection.bootstrap)
        known = (letter for name in names for letter in read(connection, name))
        wanted = (one for one in known if cause in (None, one.letter.cause) and (every or not one.settled))
        shown, found = latest(wanted, limit)
    if as_json:
        output.write_json([_summary(one) for one in shown])
        return
    if shown:
        output.write_table(COLUMNS, [tuple(_summary(one)[name] for name in COLUMNS) for one in shown])
    count = f"{len(shown):,} of {found:,}" if len(shown) < found else f"{found:,}"
    output.note(f"{count} dead letters")


def show(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="For example `orders`.")],
    at: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="The place, as `list` prints it.")],
    as_json: Json = False,
) -> None:
    """Explain one dead letter: its cause, key, headers, bytes, its content where it can be decoded, its repairs."""
    with loading.connect() as connection:
        found = [one for one in read(connection, context) if one.place == at]
        if not found:
            raise ConfigError(f"{context} has no dead letter at `{at}`: see `foldlog dead-letters list {context}`")
        if as_json:
            output.write_json([_whole(one, connection.registry) for one in found])
        else:
            output.write("\n".join(_text(one, connection.registry) for one in found))


def _summary(one: Letter) -> dict[str, str]:
    return {
        "time": f"{one.letter.time:%Y-%m-%d %H:%M:%S}",
        "place": one.place,
        "processor": one.letter.processor,
        "cause": one.letter.cause,
        "status": one.status,
        "reason": one.letter.reason,
    }


def _whole(one: Letter, registry: "Registry") -> dict[str, object]:
    """Everything; `key` and `value` are Base64, `type` and `content` null where the value cannot be decoded."""
    decoded = content(one.letter.value, registry)
    name, inner = decoded if isinstance(decoded, tuple) else (None, None)
    found = {**plain(one.letter), "status": one.status, "explanation": CAUSES.get(one.letter.cause)}
    history = [plain(repair) for repair in one.repairs]
    return {
        **found,
        "type": name,
        "content": plain(inner),
        "not_decoded": None if name else decoded,
        "repairs": history,
    }


def _text(one: Letter, registry: "Registry") -> str:
    letter = one.letter
    lines = [
        f"{one.place}  {letter.time:%Y-%m-%d %H:%M:%S} UTC",
        f"processor  {letter.processor}",
        f"cause      {letter.cause}: {CAUSES.get(letter.cause, 'not a cause that this version knows')}",
        f"reason     {output.readable(letter.reason)}",
        f"status     {one.status}",
        *(f"repair     {_repair(repair, registry)}" for repair in one.repairs),
        f"key        {_bytes(letter.key)}",
        *(f"header     {header.name}: {_bytes(header.value)}" for header in letter.headers),
        f"content    {_shown(letter.value, registry)}",
    ]
    size = "null" if letter.value is None else f"{len(letter.value):,} bytes"
    return "\n".join((*lines, f"value      {size}", hexdump(letter.value or b""))).rstrip() + "\n"


def _repair(repair: Repair, registry: "Registry") -> str:
    """Who did what, when and why; of an edit, what the content is since then."""
    text = f"{repair.action} by {repair.actor} at {repair.time:%Y-%m-%d %H:%M:%S} UTC"
    if repair.why:
        text += f": {repair.why}"
    if repair.action == EDIT and repair.record is not None:
        text += f"\n           key {_bytes(repair.record.key)}, content {_shown(repair.record.value, registry)}"
    return output.readable(text)


def _shown(value: bytes | None, registry: "Registry") -> str:
    decoded = content(value, registry)
    if isinstance(decoded, str):
        return f"cannot be decoded: {decoded}"
    name, inner = decoded
    return f"{name} {output.readable(fields(inner) if isinstance(inner, dict) else str(plain(inner)))}"


def _bytes(value: bytes | None) -> str:
    return "null" if value is None else output.readable(value.decode(errors="backslashreplace"))
