"""`foldlog dead-letters retry`, `edit` and `drop`: what becomes of a record that could not be handled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output, repairs
from foldlog.cli.arguments import TopologyOption, examples
from foldlog.cli.letters import Letter, content, read
from foldlog.cli.repairs import Actor, DryRun, Every, Order, Why
from foldlog.cli.values import fields
from foldlog.core import topics
from foldlog.core.errors import ConfigError
from foldlog.core.record import replace
from foldlog.core.repair import DROP, EDIT, RETRY

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection
    from foldlog.kafka.sending import Outgoing

Context = Annotated[str, typer.Argument(metavar="CONTEXT", help="For example `orders`.")]
Places = Annotated[
    list[str] | None, typer.Argument(metavar="[TOPIC:PARTITION:OFFSET]...", help="Places, as `list` prints them.")
]
Cause = Annotated[str | None, typer.Option("--cause", help="All of this cause.")]
Processor = Annotated[str | None, typer.Option("--processor", metavar="NAME", help="Only letters of this processor.")]


def register(group: typer.Typer) -> None:
    """Adds the commands to the group."""
    group.command(
        epilog=examples(
            "foldlog dead-letters retry orders orders.order.commands:2:117",
            "foldlog dead-letters retry orders --cause unknown-schema --dry-run",
        )
    )(retry)
    group.command(
        epilog=examples(
            "foldlog dead-letters edit orders orders.order.commands:2:117 "
            """'{"type": "CancelOrder", "data": {"order": "17", "reason": "a typo"}}' --why 'wrong number'"""
        )
    )(edit)
    group.command(epilog=examples("foldlog dead-letters drop orders --cause malformed --why 'a test of the client'"))(
        drop
    )


def retry(
    context: Context,
    places: Places = None,
    *,
    every: Every = False,
    cause: Cause = None,
    processor: Processor = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    why: Why = "",
) -> None:
    """Have records handled again, as they were or as they were edited, by the code and schemas that run now.

    A command is sent again, with its id. What a view, saga or reactor put aside its worker handles anew, behind what
    came since. The order is kept with who gave it; what fails again is a new dead letter.
    """
    repairs.check_choice(places, cause, every=every)
    with loading.connect() as connection:
        chosen = _chosen(connection, context, places, cause, processor)
        for one in chosen:
            if one.bare:
                raise ConfigError(f"{one.place} was too large to be kept, so it cannot be handled again; drop it")
        if _shown(chosen, RETRY, dry_run=dry_run):
            return
        parking = _parking(connection, context)
        make = repairs.maker(RETRY, actor, why)
        sent = [_again(one, context) for one in chosen if one.letter.processor not in parking]
        orders: list[Order] = []
        for one in chosen:
            record = one.record if one.letter.processor in parking else None
            asked = make(one.letter.processor, letter=one.number, record=record)
            orders.append((one.letter.partition if record is not None else None, one.place.encode(), asked))
        repairs.write(connection, context, orders, sent)
    output.note(f"{len(chosen):,} dead letters retried")


def edit(
    context: Context,
    place: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="The place, as `list` prints it.")],
    command: Annotated[str, typer.Argument(metavar="JSON", help='`{"type": …, "data": {…}}`, as for `foldlog send`.')],
    *,
    topology: TopologyOption = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    why: Why = "",
) -> None:
    """Change a command that could not be handled; `retry` then takes the new one. What it was is kept, and who did it.

    Only commands can be changed: an event is history, and a view that cannot fold it has to be mended.
    """
    from foldlog.cli.lines import Lines

    with loading.connect() as connection:
        (one,) = _chosen(connection, context, [place])
        if one.letter.topic != topics.commands(context, one.letter.processor):
            raise ConfigError(f"{place} is no command: an event is history; mend the {one.letter.processor} instead")
        of, processor = loading.place(f"{context}.{one.letter.processor}", topology)
        codec = connection.codec(of)
        codec.prepare()
        text = command.replace("\n", " ").encode(errors="surrogatepass")
        line = next(Lines("JSON", of, processor, codec.encode).parse([text]), None)
        if line is None:
            raise ConfigError('JSON is empty: write {"type": …, "data": {…}}')
        record = replace(one.record, key=line.outgoing.key.encode(), value=line.outgoing.value)
        before, after = (_text(value, connection) for value in (one.record.value, record.value))
        output.write(f"was  {before}\nis   {after}\n")
        if not dry_run:
            asked = repairs.maker(EDIT, actor, why)(one.letter.processor, letter=one.number, record=record)
            repairs.write(connection, context, [(None, one.place.encode(), asked)])
    output.note(f"would edit {place}" if dry_run else f"edited; now `foldlog dead-letters retry {context} {place}`")


def drop(
    context: Context,
    places: Places = None,
    *,
    every: Every = False,
    cause: Cause = None,
    processor: Processor = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    why: Why = "",
) -> None:
    """Settle dead letters without handling them: `list` leaves them out. Their bytes stay on the topic."""
    repairs.check_choice(places, cause, every=every)
    with loading.connect() as connection:
        chosen = _chosen(connection, context, places, cause, processor)
        if _shown(chosen, DROP, dry_run=dry_run):
            return
        make = repairs.maker(DROP, actor, why)
        orders = [(None, one.place.encode(), make(one.letter.processor, letter=one.number)) for one in chosen]
        repairs.write(connection, context, orders)
    output.note(f"{len(chosen):,} dead letters dropped")


def _chosen(
    connection: "Connection",
    context: str,
    places: Sequence[str] | None,
    cause: str | None = None,
    processor: str | None = None,
) -> list[Letter]:
    """The letters that are meant and not settled: at these places, else all of the cause, else all.

    ConfigError names a place that has none.
    """
    known = [one for one in read(connection, context) if processor in (None, one.letter.processor)]
    for place in places or ():
        there = [one for one in known if one.place == place]
        if not there:
            raise ConfigError(f"{context} has no dead letter at `{place}`: see `foldlog dead-letters list {context}`")
        if all(one.settled for one in there):
            last = there[-1].repairs[-1]
            raise ConfigError(f"{place} was {there[-1].status} at {last.time:%Y-%m-%d %H:%M:%S} UTC by {last.actor}")
    found = [one for one in known if not one.settled and (not places or one.place in places)]
    return [one for one in found if cause in (None, one.letter.cause)]


def _shown(chosen: list[Letter], action: str, *, dry_run: bool) -> bool:
    """Shows what would be done where only that is asked for; True where nothing is left to do."""
    if dry_run and chosen:
        rows = [(one.place, one.letter.processor, one.letter.cause, one.status) for one in chosen]
        output.write_table(("place", "processor", "cause", "status"), rows)
    if dry_run or not chosen:
        output.note(f"would {action} {len(chosen):,} dead letters" if dry_run else f"nothing to {action}")
    return dry_run or not chosen


def _parking(connection: "Connection", context: str) -> set[str]:
    """The processors whose workers take orders; what is left are deciders, to whom commands are sent."""
    from foldlog.cli import waiting

    return {place.partition(".")[2] for place in waiting.places(connection, None) if place.startswith(f"{context}.")}


def _again(one: Letter, context: str) -> "Outgoing":
    """A command as it was sent, with the id that it had; ConfigError where the letter is none: its reader is gone."""
    from foldlog.engine.work import FORWARDED
    from foldlog.kafka.sending import Outgoing

    if one.letter.topic != topics.commands(context, one.letter.processor):
        raise ConfigError(f"{one.place}: {context} has no {one.letter.processor} that could handle it; drop it instead")
    headers = [(header.name, header.value) for header in one.record.headers]
    if not any(name == FORWARDED for name, _ in headers):
        headers.append((FORWARDED, one.place.encode()))
    return Outgoing(one.letter.topic, one.letter.partition, one.record.key, one.record.value, headers)


def _text(value: bytes | None, connection: "Connection") -> str:
    found = content(value, connection.registry)
    if isinstance(found, str):
        return f"cannot be decoded: {found}"
    name, inner = found
    return f"{name} {output.readable(fields(inner))}" if isinstance(inner, dict) else name
