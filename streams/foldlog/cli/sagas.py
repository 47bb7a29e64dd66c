"""`foldlog sagas`: where sagas stand, what they wait for, how they came there; and an operator's way to move one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples, user
from foldlog.cli.timeline import Shown, cells, details, print_details, summary
from foldlog.core.errors import ConfigError, ContractError, DecodeError
from foldlog.core.plain import plain
from foldlog.core.saga import Saga
from foldlog.core.steps import Action, Progress, Status
from foldlog.core.topics import table
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.contracts.codec import Codec
    from foldlog.kafka.reading import Entry

Target = Annotated[str, typer.Argument(metavar="CONTEXT.SAGA", help="Which saga, for example `orders.fulfilment`.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of one saga.")]
StepName = Annotated[
    str | None, typer.Option("--step", metavar="NAME", help="Which step; needed where several wait at once.")
]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the saga where it turns back.")]
Actor = Annotated[str | None, typer.Option(help="Who; default: the user of this terminal.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Sagas: where they stand, what they wait for, and how to move one that is stuck.",
        epilog=examples("foldlog sagas list orders.fulfilment", "foldlog sagas show orders.fulfilment 00017"),
    )
    group.command(
        "list",
        epilog=examples(
            "foldlog sagas list orders.fulfilment --status open", "foldlog sagas list orders.fulfilment --json"
        ),
    )(list_sagas)
    group.command(epilog=examples("foldlog sagas show orders.fulfilment 00017"))(show)
    group.command(
        epilog=examples(
            "foldlog sagas retry travel.trips 00017 --step hotel", "foldlog sagas retry travel.trips 00017 --json"
        )
    )(retry)
    group.command(epilog=examples("foldlog sagas skip travel.trips 00017"))(skip)
    group.command(epilog=examples('foldlog sagas compensate travel.trips 00017 --reason "the customer is ill"'))(
        compensate
    )
    app.add_typer(group, name="sagas")


def list_sagas(
    target: Target,
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, those that moved last.")] = 100,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """List sagas, the one that moved last at the end: status, steps taken, the next timer.

    The status of a saga that is made of steps is new, running, completed, compensating, compensated or failed; that of
    any other is open or ended.
    """
    context, saga = _saga(target, topology)
    known = get_args(Status) if issubclass(saga.state, Progress) else ("open", "ended")
    if status is not None and status not in known:
        raise ConfigError(f"--status {status}: {target} has {', '.join(known)}")
    with loading.connect() as connection:
        found = [each for each in _read(connection, context, saga) if status in (None, each.status)]
    found.sort(key=lambda each: (each.moved, each.id))
    shown = found[-limit:]
    if as_json:
        output.write_json([summary(each) for each in shown])
        return
    if shown:
        header = ("id", "status", "steps", "last step", "moved", "next timer")
        output.write_table(header, [cells(each) for each in shown], frozenset({"steps"}))
    count = f"{len(shown):,} of {len(found):,}" if len(shown) < len(found) else f"{len(found):,}"
    output.note(f"{count} sagas")


def show(target: Target, id_: Id, topology: TopologyOption = None, as_json: Json = False) -> None:
    """Show one saga: its state, its timers, its latest steps with time and cause; exit 1 where there is none."""
    context, saga = _saga(target, topology)
    with loading.connect() as connection:
        found = next(_read(connection, context, saga, id_), None)
        if found is None:
            raise ConfigError(f"{target} has no `{id_}`")
        told = details(found, connection.codec(context).decode)
    if as_json:
        output.write_json(told)
    else:
        print_details(told)


def retry(
    target: Target,
    id_: Id,
    *,
    step: StepName = None,
    reason: Reason = None,
    actor: Actor = None,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Send the command of a step again, or of a compensation that failed; its attempts count anew."""
    _intervene(target, id_, _Wanted("retry", step, reason, actor), topology, as_json=as_json)


def skip(
    target: Target,
    id_: Id,
    *,
    step: StepName = None,
    reason: Reason = None,
    actor: Actor = None,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Pass over a step, or over a compensation that failed: what it did stays done."""
    _intervene(target, id_, _Wanted("skip", step, reason, actor), topology, as_json=as_json)


def compensate(
    target: Target,
    id_: Id,
    *,
    reason: Reason = None,
    actor: Actor = None,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Turn a running saga back: what succeeded is undone, the latest first, and so is what succeeds after this."""
    _intervene(target, id_, _Wanted("compensate", None, reason, actor), topology, as_json=as_json)


class _Wanted(NamedTuple):
    """What an operator wants, and who that is."""

    action: Action
    step: str | None
    reason: str | None
    actor: str | None


def _intervene(target: str, id_: str, wanted: _Wanted, topology: str | None, *, as_json: bool) -> None:
    """Sends it and tells the reply, with --json whatever it is; ConfigError where it was not accepted."""
    from foldlog.client.client import Client
    from foldlog.core.stepwise import intervention

    context, saga = _saga(target, topology)
    command = intervention(saga, id_, wanted.action, wanted.step, wanted.reason)
    with Client(context) as client:
        reply = client.send(command, actor=wanted.actor or user())
    if as_json:
        output.write_json({"saga": target, "id": id_, "action": wanted.action, **plain(reply)})
    if reply.status != "accepted":
        raise ConfigError(f"{target} {id_}: {reply.status}: {reply.reason}")
    if not as_json:
        output.note(f"{target} {id_}: accepted as step {reply.version}; `foldlog sagas show {target} {id_}` shows it")


def _saga(target: str, topology: str | None) -> tuple[Topology, Saga[Any, Any, Any]]:
    context, processor = loading.place(target, topology)
    if not isinstance(processor, Saga):
        known = ", ".join(f"{context.name}.{saga.name}" for saga in context.sagas) or "none"
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a saga; sagas here: {known}")
    return context, processor


def _read(
    connection: loading.Connection, context: Topology, saga: Saga[Any, Any, Any], id_: str | None = None
) -> Iterator[Shown]:
    from foldlog.kafka.reading import latest, read

    topic = table(context.name, saga.name)
    with output.bar(f"reading {topic}") as progress:
        entries = latest(read(connection.bootstrap, topic, key=id_, progress=progress))
    codec = connection.codec(context)
    for name in entries if id_ is None else (id_,):
        if name in entries and entries[name].value is not None:
            yield _shown(codec, topic, name, entries[name])


def _shown(codec: "Codec", topic: str, name: str, entry: "Entry") -> Shown:
    try:
        state, process = codec.decode_with(entry.value or b"")
    except DecodeError as error:
        raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error
    return Shown(name, state, process)
