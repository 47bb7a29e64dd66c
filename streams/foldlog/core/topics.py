"""The topics of a context, with their whole configuration: the one place where a topic is named."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from foldlog.core.publication import Publication
from foldlog.core.reactor import Heard
from foldlog.core.topology import Topology

DAY_MS = 24 * 3600 * 1000

# A log is compacted only to drop a rewritten or erased version: rarely, late, and in segments whose keys
# fit the cleaner's map.
LOG = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.95",
    "min.compaction.lag.ms": str(7 * DAY_MS),
    "segment.bytes": str(256 << 20),
}
TABLE = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.5", "segment.bytes": str(64 << 20)}
COMMANDS = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}
# An inbox is emptied by the engine behind the committed offset, never by time.
INBOX = {"cleanup.policy": "delete", "retention.ms": "-1"}
# What a context has told others stays told: whoever subscribes later reads from the beginning.
PUBLIC = {"cleanup.policy": "delete", "retention.ms": "-1"}
REPLIES = {"cleanup.policy": "delete", "retention.ms": str(DAY_MS)}
# Above its sources' default of 1 MiB: a dead letter carries the whole record and says why.
DEAD_LETTERS = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(2 << 20)}

# What is parked is kept as dead letters are, until it is handled; the orders to handle it are kept for good.
PARKED = {**TABLE, "max.message.bytes": DEAD_LETTERS["max.message.bytes"]}
REPAIRS = DEAD_LETTERS

MAX_MESSAGE_BYTES = 1 << 20
COMMON = {"compression.type": "producer", "max.message.bytes": str(MAX_MESSAGE_BYTES)}


@dataclass(frozen=True)
class Topic:
    """A topic as it must be: name, partitions and configuration."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def commands(context: str, processor: str) -> str:
    """The topic of a decider's or saga's commands."""
    return f"{context}.{processor}.commands"


def events(context: str, decider: str) -> str:
    """The event log of a decider."""
    return f"{context}.{decider}.events"


def snapshots(context: str, decider: str) -> str:
    """The states of a decider's aggregates as of its last sweep, and a checkpoint a partition."""
    return f"{context}.{decider}.snapshots"


def table(context: str, processor: str) -> str:
    """The compacted topic of a saga's state, or of the rows of one generation of a view."""
    return f"{context}.{processor}"


def rekeyed(context: str, view: str) -> str:
    """The events of one generation of a view, moved to their row's partition."""
    return f"{context}.{view}.rekeyed"


def inbox(context: str, saga: str) -> str:
    """The steps of a saga, moved to its id's partition."""
    return f"{context}.{saga}.inbox"


def generations(context: str) -> str:
    """Which generation of each view its readers must read."""
    return f"{context}.generations"


def public(context: str, publication: str) -> str:
    """The public events of a publication."""
    return f"{context}.{publication}"


def heard(context: str, source: Heard) -> str:
    """The topic on which a decider or publication tells its events."""
    return (public if isinstance(source, Publication) else events)(context, source.name)


def replies(context: str) -> str:
    """The outcomes of commands whose senders asked for one."""
    return f"{context}.replies"


def dead_letters(context: str) -> str:
    """The records that could not be handled, with cause and place."""
    return f"{context}.dead-letters"


def parked(context: str, processor: str) -> str:
    """The keys of a processor that wait, and their records, in order."""
    return f"{context}.{processor}.parked"


def repairs(context: str, subscription: str = "") -> str:
    """What operators ask to be done about dead letters and parked keys.

    A subscription has a topic of its own for that: its partitions are those of another context.
    """
    return f"{context}.{subscription}.repairs" if subscription else f"{context}.repairs"


def topics(topology: Topology) -> tuple[Topic, ...]:
    """Every topic of a context."""
    return tuple(Topic(name, count, {**COMMON, **config}) for name, count, config in _topics(topology))


def _topics(topology: Topology) -> Iterator[tuple[str, int, dict[str, str]]]:
    context, count = topology.name, topology.partitions
    for decider in topology.deciders:
        yield commands(context, decider.name), count, COMMANDS
        yield events(context, decider.name), count, LOG
        yield snapshots(context, decider.name), count, TABLE
    for saga in topology.sagas:
        if saga.commands:
            yield commands(context, saga.name), count, COMMANDS
        yield inbox(context, saga.name), count, INBOX
        yield table(context, saga.name), count, TABLE
    for view in topology.views:
        yield rekeyed(context, view.generation), count, INBOX
        yield table(context, view.generation), count, TABLE
    for publication in topology.publishes:
        yield public(context, publication.name), count, PUBLIC
    for name, read in topology.parking.items():
        yield parked(context, name), read, PARKED
    for subscription in topology.consumes:
        yield repairs(context, subscription.name), topology.parking[subscription.name], REPAIRS
    yield repairs(context), count, REPAIRS
    yield replies(context), count, REPLIES
    if topology.views:
        yield generations(context), 1, TABLE
    yield dead_letters(context), 1, DEAD_LETTERS
