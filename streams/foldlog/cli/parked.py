"""`foldlog parked`: keys that wait because a record of theirs failed, and what to do about them."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output, repairs, waiting
from foldlog.cli.arguments import Json, examples
from foldlog.cli.letters import check_cause, content
from foldlog.cli.repairs import Actor, DryRun, Every, Order, Wait, Why
from foldlog.cli.values import fields
from foldlog.cli.waiting import Head
from foldlog.core.errors import ConfigError
from foldlog.core.outcome import CAUSES
from foldlog.core.plain import plain
from foldlog.core.repair import DROP, RETRY, Parked, ParkedKey

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection

Target = Annotated[str, typer.Argument(metavar="CONTEXT.PROCESSOR", help="For example `orders.customers`.")]
Keys = Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Parked keys, as `list` prints them.")]
Cause = Annotated[str | None, typer.Option("--cause", help="Only keys that are parked for this cause.")]

_LOOK = 0.5  # s between two looks at what has become of a retry


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Keys of views, sagas, reactors and subscriptions that wait because a record of theirs failed.",
        epilog=examples("foldlog parked list orders"),
    )
    group.command("list", epilog=examples("foldlog parked list", "foldlog parked list orders.customers --json"))(
        list_keys
    )
    group.command(epilog=examples("foldlog parked show orders.customers 00042"))(show)
    group.command(
        epilog=examples(
            "foldlog parked retry orders.customers 00042",
            "foldlog parked retry orders.customers --cause fold-failed --dry-run",
            "foldlog parked retry orders.customers --all --why 'the rounding is mended'",
        )
    )(retry)
    group.command(
        epilog=examples(
            "foldlog parked drop orders.customers 00042 --sequence 1", "foldlog parked drop orders.customers 00042"
        )
    )(drop)
    app.add_typer(group, name="parked")


def list_keys(
    where: Annotated[
        str | None, typer.Argument(metavar="[CONTEXT[.PROCESSOR]]", help="All contexts by default.")
    ] = None,
    cause: Cause = None,
    as_json: Json = False,
) -> None:
    """List parked keys: how many records of each wait, since when, how often it was tried, and why it failed."""
    check_cause(cause)
    with loading.connect() as connection:
        names = waiting.places(connection, where)
        every = [(place, head) for place in names for head in waiting.heads(connection, place)]
    found = sorted((each for each in every if cause in (None, each[1].of.cause)), key=lambda each: each[1].of.since)
    if as_json:
        output.write_json([{"place": place, **plain(head.of)} for place, head in found])
        return
    if found:
        _table(found)
    output.note(f"{len(found):,} parked keys")


def show(target: Target, key: Annotated[str, typer.Argument(metavar="KEY")], as_json: Json = False) -> None:
    """Show a parked key: why its first record failed, and every record that waits, in order."""
    with loading.connect() as connection:
        (chosen,) = _chosen(connection, target, [key])
        head, found = chosen.of, waiting.records(connection, target, chosen)
        records = [(number, record, content(record.value, connection.registry)) for number, record in found]
    if as_json:
        output.write_json({**plain(head), "records": [_whole(*each) for each in records]})
        return
    output.write(
        f"{key}  since {head.since:%Y-%m-%d %H:%M:%S} UTC, tried {head.tries} times\n"
        f"cause   {head.cause}: {CAUSES.get(head.cause, 'not a cause that this version knows')}\n"
        f"reason  {output.readable(head.reason)}\n\n"
    )
    rows = [(str(n), f"{one.topic}:{one.partition}:{one.offset}", *_content(read)) for n, one, read in records]
    output.write_table(("sequence", "place", "type", "content"), rows, frozenset({"sequence"}))


def retry(
    target: Target,
    keys: Keys = None,
    *,
    every: Every = False,
    cause: Cause = None,
    wait: Wait = 30.0,
    dry_run: DryRun = False,
    actor: Actor = None,
    why: Why = "",
) -> None:
    """Handle what waits again, in order, by the code that runs now; a key whose records all succeed flows again.

    The worker that owns the key does it, between its other work. Exit 1 where a key is still parked at the end.
    """
    repairs.check_choice(keys, cause, every=every)
    with loading.connect() as connection:
        heads = _chosen(connection, target, keys, cause)
        _order(connection, target, heads, (RETRY, actor, why), dry_run=dry_run)
        if not dry_run and wait and heads:
            left = _left(connection, target, heads, wait)
            output.note(f"{len(heads) - len(left):,} of {len(heads):,} keys flow again")
            raise typer.Exit(1 if left else 0)


def drop(
    target: Target,
    keys: Keys = None,
    *,
    sequence: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only this record of one key.")] = None,
    every: Every = False,
    cause: Cause = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    why: Why = "",
) -> None:
    """Give up what waits, for good: the row or saga goes on without it, and a view differs from its log.

    With --sequence one record goes, and `retry` takes the others; without it all of a key's records go.
    """
    if sequence is not None and len(keys or ()) != 1:
        raise typer.BadParameter("--sequence is of one KEY")
    repairs.check_choice(keys, cause, every=every)
    with loading.connect() as connection:
        heads = _chosen(connection, target, keys, cause)
        _order(connection, target, heads, (DROP, actor, why), dry_run=dry_run, sequence=sequence)


def _order(
    connection: "Connection",
    target: str,
    heads: list[Head],
    how: tuple[str, str | None, str],
    *,
    dry_run: bool,
    sequence: int | None = None,
) -> None:
    (context, _, processor), (action, actor, why) = target.partition("."), how
    if dry_run:
        _table([(target, head) for head in heads])
        output.note(f"would {action} {len(heads):,} keys")
        return
    make = repairs.maker(action, actor, why)
    orders: list[Order] = [
        (partition, head.key.encode(), make(processor, key=head.key, sequence=sequence)) for partition, head in heads
    ]
    repairs.write(connection, context, orders)
    output.note(f"asked to {action} {len(heads):,} keys")


def _left(connection: "Connection", target: str, heads: list[Head], wait: float) -> list[Head]:
    """The keys that are parked after a retry; looks until each was tried, and says why they failed."""
    asked, until = {head.key: head.asked for _, head in heads}, time.monotonic() + wait
    while True:
        left = [head for head in waiting.heads(connection, target) if head.of.key in asked]
        pending = [of for _, of in left if not _failed_again(of, asked[of.key])]
        if not pending or time.monotonic() > until:
            break
        time.sleep(_LOOK)
    if pending:
        output.note(f"{len(pending):,} keys are not done after {wait:.0f} s: a worker does it when one runs")
    if left:
        _table([(target, head) for head in left])
    return left


def _failed_again(head: ParkedKey, asked: int) -> bool:
    """Whether the retry after so many others was made and failed: none is under way or about to begin."""
    soon = head.due is not None and head.due <= datetime.now(UTC)
    return head.asked > asked and head.tries > 0 and not soon


def _table(heads: list[tuple[str, Head]]) -> None:
    header = ("since", "place", "key", "waiting", "tries", "cause", "reason")
    rows = [
        (f"{of.since:%Y-%m-%d %H:%M:%S}", place, of.key, f"{of.next - of.first:,}", str(of.tries), of.cause, of.reason)
        for place, (_, of) in heads
    ]
    output.write_table(header, rows, frozenset({"waiting", "tries"}))


def _chosen(connection: "Connection", target: str, keys: list[str] | None, cause: str | None = None) -> list[Head]:
    """The parked keys that are meant: these, else all of the cause, else all; ConfigError names one not parked."""
    if target not in waiting.places(connection, target):
        raise ConfigError(f"`{target}` is not CONTEXT.PROCESSOR, for example orders.customers")
    heads = {head.of.key: head for head in waiting.heads(connection, target)}
    for key in keys or ():
        if key not in heads:
            raise ConfigError(f"{target} has not parked `{key}`: see `foldlog parked list {target}`")
    wanted = [heads[key] for key in dict.fromkeys(keys)] if keys else list(heads.values())
    return [head for head in wanted if cause in (None, head.of.cause)]


def _content(read: tuple[str, object] | str) -> tuple[str, str]:
    if isinstance(read, str):
        return "", f"cannot be decoded: {read}"
    name, inner = read
    if not isinstance(inner, dict):
        return name, str(plain(inner))
    return name, fields({field: value for field, value in inner.items() if field != "meta"})  # the engine's own field


def _whole(number: int, record: Parked, read: tuple[str, object] | str) -> dict[str, object]:
    """Everything; `key` and `value` are Base64, `type` and `content` null where the value cannot be decoded."""
    name, inner = read if isinstance(read, tuple) else (None, None)
    found = {"sequence": number, **plain(record), "type": name, "content": plain(inner)}
    return {**found, "not_decoded": None if name else read}
