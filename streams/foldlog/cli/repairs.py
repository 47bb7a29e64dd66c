"""What an operator orders: who asks, why, and the orders written together."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli.arguments import user
from foldlog.cli.letters import check_cause, repairs_of
from foldlog.core import topics
from foldlog.core.partitioning import partition_of
from foldlog.core.repair import Repair
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.cli.loading import Connection
    from foldlog.kafka.sending import Outgoing

Every = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Actor = Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Who asks; by default the user's name.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="A reason, kept with the order.")]
Wait = Annotated[float, typer.Option("--wait", min=0, metavar="S", help="Wait so long for the worker; 0 does not.")]

Order = tuple[int | None, bytes, Repair]  # its partition, else that of the key; the record's key


def maker(action: str, actor: str | None, why: str) -> Callable[..., Repair]:
    """Makes orders of one kind to processors, all by the same person at the same time."""
    who, now = actor or user() or "unknown", datetime.now(UTC)
    return lambda processor, **of: Repair(action, processor, who, now, why=why, **of)


def check_choice(names: Sequence[str] | None, cause: str | None, *, every: bool) -> None:
    """Says how to choose where nothing, or more than one way, was chosen; ConfigError where there is no such cause."""
    if bool(names) + every + (cause is not None) != 1:
        raise typer.BadParameter("say which: name them, or one of --cause and --all")
    check_cause(cause)


def write(connection: "Connection", context: str, orders: Iterable[Order], beside: Iterable["Outgoing"] = ()) -> None:
    """Writes orders, and records that go with them, in one transaction."""
    from foldlog.kafka.sending import Outgoing, write_together

    counts = repairs_of(connection.bootstrap, context)
    codec = connection.codec(Topology(context))
    codec.prepare()
    records = []
    for partition, key, repair in orders:
        own = topics.repairs(context, repair.processor)
        topic = own if own in counts else topics.repairs(context)
        to = partition_of(key, counts[topic]) if partition is None else partition
        records.append(Outgoing(topic, to, key, codec.encode(repair)))
    write_together(connection.bootstrap, [*beside, *records])
