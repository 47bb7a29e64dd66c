"""What the checkers work on: plain values, read from the topics once everything is quiet."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.core import Meta, Record, Topology, topics
from foldlog.core.contract import Checkpoint, Process, Snapshot
from foldlog.core.outcome import DeadLetter
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.kafka import reading
from tests.chaos.bank import Account, Transfer
from tests.chaos.history import Told

Table = dict[str, bytes]


class Event(NamedTuple):
    """An event as a read_committed reader meets it, in the order of its partition.

    `cause` is the id of its command, which is a place where it was sent without; `command` is the id by which its
    sender knows it, then its correlation.
    """

    partition: int
    offset: int
    key: str
    id: str
    account: str
    version: int
    cause: str
    command: str
    record: Record


class Letter(NamedTuple):
    """A dead letter: the place of the record that is in it, and the name that the suite gave that record, if any."""

    place: str
    name: str | None


class Kept(NamedTuple):
    """The newest snapshot of an account in a partition."""

    version: int
    state: Account


class Step(NamedTuple):
    """A transfer as the saga's topic has it."""

    status: str
    ended: bool


@dataclass(frozen=True)
class Collected:
    """Everything that the checkers look at; `tables` are the views' topics, each row in JSON.

    `arrived` counts the records that Kafka has of each id of a client. A client may have sent fewer: where a record's
    time runs out, librdkafka gives its idempotent producer a new epoch, under which what was on its way is sent again.
    `snapshots` are by partition and account, `checkpoints` the positions of the newest ones by partition.
    """

    told: dict[str, Told]
    arrived: Counter[str]
    events: tuple[Event, ...]
    tables: dict[str, Table]
    transfers: dict[str, Step]
    letters: tuple[Letter, ...]
    snapshots: dict[tuple[int, str], Kept]
    checkpoints: dict[int, int]


def collect(topology: Topology, cluster: Cluster, codec: Codec, told: dict[str, Told]) -> Collected:
    """Reads what is committed; raises DecodeError for an event or row that no codec can read."""
    context, bootstrap = topology.name, cluster.bootstrap
    steps = _table(bootstrap, topics.table(context, "transfer"))
    kept = list(reading.read(bootstrap, topics.snapshots(context, "account")))
    return Collected(
        told=told,
        arrived=Counter(_clients(reading.read(bootstrap, topics.commands(context, "account")))),
        events=tuple(_events(reading.read(bootstrap, topics.events(context, "account")), codec)),
        tables={
            view.name: {key: plain(codec.decode(value)) for key, value in _table(bootstrap, f"{context}.{view.name}")}
            for view in topology.views
        },
        transfers=dict(_transfers(steps, codec)),
        letters=tuple(_letters(reading.read(bootstrap, topics.dead_letters(context)), codec)),
        snapshots=dict(_snapshots(kept, codec)),
        checkpoints=dict(_checkpoints(kept, codec)),
    )


def plain(row: Record) -> bytes:
    """A record without schema ids: its fields in their order, as JSON."""
    return msgspec.json.encode(row)


def _table(bootstrap: str, topic: str) -> list[tuple[str, bytes]]:
    found = reading.latest(reading.read(bootstrap, topic))
    return [(key, entry.value) for key, entry in found.items() if entry.value is not None]


def _clients(entries: Iterable[reading.Entry]) -> Iterator[str]:
    """The ids of what clients sent; what the engine moved to another partition is not sent again, nor is a saga's."""
    for entry in entries:
        headers = {name: value.decode() for name, value in entry.headers if value is not None and name != "garbage"}
        id_ = headers.get("command-id") or headers.get("correlation-id") or ""
        if id_ and "forwarded-from" not in headers and not id_.startswith("transfer:"):
            yield id_


def _events(entries: Iterable[reading.Entry], codec: Codec) -> Iterator[Event]:
    for entry in entries:
        record, meta = codec.decode_with(entry.value or b"")
        assert isinstance(meta, Meta)
        command = meta.correlation if ".commands:" in meta.causation else meta.causation
        key = (entry.key or b"").decode()
        where = entry.partition, entry.offset, key
        yield Event(*where, meta.event_id, meta.aggregate_id, meta.version, meta.causation, command, record)


def _transfers(rows: Iterable[tuple[str, bytes]], codec: Codec) -> Iterator[tuple[str, Step]]:
    for key, value in rows:
        transfer, process = codec.decode_with(value)
        assert isinstance(transfer, Transfer)
        assert isinstance(process, Process)
        yield key, Step(transfer.status, process.ended)


def _snapshots(entries: Iterable[reading.Entry], codec: Codec) -> Iterator[tuple[tuple[int, str], Kept]]:
    for entry in entries:
        if entry.key != CHECKPOINT:
            state, snapshot = codec.decode_with(entry.value or b"")
            assert isinstance(state, Account)
            assert isinstance(snapshot, Snapshot)
            yield (entry.partition, (entry.key or b"").decode()), Kept(snapshot.version, state)


def _checkpoints(entries: Iterable[reading.Entry], codec: Codec) -> Iterator[tuple[int, int]]:
    for entry in entries:
        if entry.key == CHECKPOINT:
            checkpoint = codec.decode(entry.value or b"")
            assert isinstance(checkpoint, Checkpoint)
            yield entry.partition, checkpoint.position


def _letters(entries: Iterable[reading.Entry], codec: Codec) -> Iterator[Letter]:
    for entry in entries:
        letter = codec.decode(entry.value or b"")
        assert isinstance(letter, DeadLetter)
        names = [header.value.decode() for header in letter.headers if header.name == "garbage" and header.value]
        yield Letter(f"{letter.topic}:{letter.partition}:{letter.offset}", names[0] if names else None)
