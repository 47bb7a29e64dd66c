"""`foldlog inspect`: an aggregate as it was at each version, or where a saga stands."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples
from foldlog.cli.values import cell, fields
from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.meta import Meta
from foldlog.core.plain import plain
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.topics import events, table
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.kafka.reading import Entry

Version = tuple[Record, Meta]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog inspect orders.order 00017",
            "foldlog inspect orders.order 00017 --at 2",
            "foldlog inspect orders.fulfilment 00017 --json",
        )
    )(inspect)


def inspect(
    target: Annotated[
        str, typer.Argument(metavar="CONTEXT.AGGREGATE", help="Which aggregate or saga: `orders.order`.")
    ],
    key: Annotated[str, typer.Argument(metavar="ID", help="The id of the aggregate or saga.")],
    at: Annotated[
        int | None,
        typer.Option(min=0, metavar="VERSION", help="The state at this version; 0 is before all events."),
    ] = None,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Show the events of an aggregate, what caused each, and the state folded from them; exit 1 for an unknown id.

    Of a saga: its state, how many steps it took and whether it has ended.
    """
    context, processor = loading.place(target, topology)
    match processor:
        case Decider():
            _aggregate(context, processor, key, at, as_json)
        case Saga() if at is not None:
            raise ConfigError(f"{target} is a saga: it keeps its last state only, so there is no --at")
        case Saga():
            _saga(context, processor, key, as_json)
        case _:
            kind = loading.kind(processor)
            raise ConfigError(f"{target} is a {kind}, not an aggregate or saga; try `foldlog view CONTEXT.VIEW KEY`")


def _aggregate(context: Topology, decider: Decider[Any, Any, Any], key: str, at: int | None, as_json: bool) -> None:
    from foldlog.core.folding import fold

    log = _history(context, decider, key)
    if not log:
        raise ConfigError(f"{context.name}.{decider.name} has no `{key}`")
    versions = [meta.version for _, meta in log]
    if at is not None and at > versions[-1]:
        raise ConfigError(f"{context.name}.{decider.name} `{key}` is at version {versions[-1]}; there is no {at}")
    shown = [(event, meta) for event, meta in log if at is None or meta.version <= at]
    state, version = fold(decider, shown), shown[-1][1].version if shown else 0
    if as_json:
        found = [_event(event, meta) for event, meta in shown]
        output.write_json({"id": key, "version": version, "state": plain(state), "events": found})
    else:
        rows = [_cells(event, meta) for event, meta in shown]
        header = ("version", "time", "event", "fields", "caused by", "actor")
        output.write_table(header, rows, frozenset({"version"}))
        output.write(f"\nstate at version {version} of {versions[-1]}\n")
        _print_state(state)


def _history(context: Topology, decider: Decider[Any, Any, Any], key: str) -> list[Version]:
    """The events of one aggregate in the order of their versions; warns where the log has a gap or a repeat."""
    topic = events(context.name, decider.name)
    with loading.connect() as connection:
        entries = _last_of_each_version(topic, list(_entries(connection, topic, key)))
        decode_with = connection.codec(context).decode_with
        log = [_decoded(decode_with, topic, entries[version]) for version in sorted(entries)]
    found = [event for event in log if event is not None]
    if found and found[-1][1].version != len(found):
        output.note(f"warning: {topic} has {len(found)} events of `{key}` up to version {found[-1][1].version}")
    return found


def _entries(connection: loading.Connection, topic: str, key: str) -> Iterator[tuple[int, "Entry"]]:
    """The versions of one aggregate, whose keys are `id@version`; an id may hold an @ itself."""
    from foldlog.kafka.reading import read

    prefix = f"{key}@".encode()
    with output.bar(f"reading {topic}") as progress:
        for entry in read(connection.bootstrap, topic, key=key, progress=progress):
            name, _, version = (entry.key or b"").rpartition(b"@")
            if name + b"@" == prefix and version.isdigit():
                yield int(version), entry


def _last_of_each_version(topic: str, entries: list[tuple[int, "Entry"]]) -> dict[int, "Entry"]:
    found: dict[int, Entry] = {}
    for version, entry in entries:
        if version in found and entry.value is not None:
            offsets = f"{found[version].offset} and {entry.offset}"
            output.note(f"warning: {topic}:{entry.partition} has version {version} twice, at {offsets}")
        found[version] = entry
    return found


def _decoded(decode_with: Any, topic: str, entry: "Entry") -> tuple[Record, Any] | None:
    """The record with its envelope; None for a deleted one."""
    if entry.value is None:
        return None
    try:
        record, envelope = decode_with(entry.value)
    except DecodeError as error:
        raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error
    return record, envelope


def _event(event: Record, meta: Meta) -> dict[str, object]:
    return {"type": type(event).__name__, "data": plain(event), "meta": plain(meta)}


def _cells(event: Record, meta: Meta) -> tuple[str, ...]:
    time = f"{meta.time:%Y-%m-%d %H:%M:%S}"
    return str(meta.version), time, type(event).__name__, fields(event), meta.causation, meta.actor or ""


def _saga(context: Topology, saga: Saga[Any, Any, Any], key: str, as_json: bool) -> None:
    from foldlog.kafka.reading import latest, read

    topic = table(context.name, saga.name)
    with loading.connect() as connection:
        with output.bar(f"reading {topic}") as progress:
            entry = latest(read(connection.bootstrap, topic, key=key, progress=progress)).get(key)
        decoded = entry and _decoded(connection.codec(context).decode_with, topic, entry)
    if decoded is None:
        raise ConfigError(f"{context.name}.{saga.name} has no `{key}`")
    state, process = decoded
    if as_json:
        output.write_json({"id": key, "steps": process.steps, "ended": process.ended, "state": plain(state)})
    else:
        output.write(f"{'ended' if process.ended else 'open'} after {process.steps} steps\n")
        _print_state(state)


def _print_state(state: Record) -> None:
    rows = [(name, cell(getattr(state, name))) for name in state.__struct_fields__]
    output.write_table(("field", "value"), rows)
