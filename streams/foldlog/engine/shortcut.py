"""The short way of a decider's commands, where its module was compiled and the decider asks for nothing uncommon.

`deciding` says what a command means; the compiled module does the same for the commands whose course is the usual one
(no failure, no refusal, no repetition), several times as fast, and leaves every other to it.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from foldlog.contracts.codec import Codec
from foldlog.contracts.encoder import part
from foldlog.contracts.shapes import Field, Leaf, fields_of
from foldlog.core import partitioning
from foldlog.core.decider import Decider
from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.engine import passes
from foldlog.engine.aggregates import Aggregate
from foldlog.engine.batch import Received
from foldlog.engine.remembered import MOST, MOST_ADDED, MOST_BEFORE, REMEMBERED
from foldlog.engine.snapshots import CHECKPOINT
from foldlog.engine.work import FAULTS, FIRST_MS, LARGEST, LAST_MS, LONGEST_ID, LONGEST_KEY, OWN_HEADERS

if TYPE_CHECKING:
    from foldlog.engine.compiled import Commands, Events, Reading, Writing
    from foldlog.engine.deciding import Deciding

AVAILABLE = passes.AVAILABLE
if AVAILABLE:
    from foldlog.engine import compiled


def _keys_of(messages: Iterable[Received]) -> dict[int, list[bytes]]:
    """The keys of records, by partition."""
    found: dict[int, list[bytes]] = {}
    for message in messages:
        if (key := message.key()) is not None:
            found.setdefault(message.partition(), []).append(key)
    return found


keys_of: Callable[[Iterable[Received]], dict[int, list[bytes]]] = compiled.keys_of if AVAILABLE else _keys_of
partition_of: Callable[[bytes, int], int] = compiled.partition_of if AVAILABLE else partitioning.partition_of


def commands(kind: "Deciding", decider: Decider[Any, Any, Any], codec: Codec) -> "Commands | None":
    """The short way of a decider's commands; None where nothing was compiled."""
    if not AVAILABLE:
        return None
    return compiled.Commands(
        readings=_readings(decider.commands, codec),
        writings={event: _writing(event, codec) for event in decider.events},
        accepts=frozenset(decider.commands),
        headers=OWN_HEADERS,
        faults=FAULTS,
        decode=codec.decode,
        named=decider.key,
        decide=decider.decide,
        evolve=decider.evolve,
        handle=kind.handle,
        aggregate=Aggregate,
        reply=Reply,
        home=lambda key: partition_of(key, kind.count),
        blank=kind.blank,
        prefix=kind.prefix,
        places=kind.places.encode(),
        reserved=CHECKPOINT,
        first_ms=FIRST_MS,
        last_ms=LAST_MS,
        kept=REMEMBERED,
        most=MOST,
        most_added=MOST_ADDED,
        longest=LONGEST_ID,
        largest=LARGEST,
    )


def events(kind: "Deciding", decider: Decider[Any, Any, Any], codec: Codec) -> "Events | None":
    """The short way of a decider's events, where its log is folded again; None where nothing was compiled."""
    if not AVAILABLE:
        return None
    return compiled.Events(
        readings=_readings(decider.events, codec),
        evolve=decider.evolve,
        replay=kind.replay,
        aggregate=Aggregate,
        blank=kind.blank,
        places=kind.places.encode(),
        kept=REMEMBERED,
        most=MOST,
        most_added=MOST_ADDED,
    )


def encoding(record: type[Record], codec: Codec) -> Callable[[Any], bytes]:
    """How records of one type become bytes, the short way where there is one."""
    return compiled.Encoding(_writing(record, codec), codec.encode) if AVAILABLE else codec.encode


def packing(
    decider: Decider[Any, Any, Any], codec: Codec, pack: Callable[[Aggregate], bytes]
) -> Callable[[Aggregate], bytes]:
    """`pack`, the short way where there is one."""
    if not AVAILABLE:
        return pack
    return compiled.Packing(_writing(decider.state, codec), pack, LARGEST - len(LONGEST_KEY))


def unpacking(
    decider: Decider[Any, Any, Any], codec: Codec, unpack: Callable[[bytes], Aggregate]
) -> Callable[[bytes], Aggregate]:
    """`unpack`, the short way where there is one."""
    readings = _readings([decider.state], codec) if AVAILABLE else []
    return compiled.Unpacking(readings[0], unpack, Aggregate, MOST_BEFORE) if readings else unpack


def _writing(record: type[Record], codec: Codec) -> "Writing":
    fields = [
        (field.name, compiled.CODES[kind], None)
        if (kind := _kind(field)) is not None
        else (field.name, compiled.BY_FUNCTION, part(field.shape))
        for field in fields_of(record)
    ]
    return compiled.Writing(record, codec.frame(record), fields)


def _readings(records: Iterable[type[Record]], codec: Codec) -> "list[Reading]":
    """The records of our schemas whose fields are all read in the compiled module."""
    found = []
    for record in records:
        fields = fields_of(record)
        kinds = [kind for field in fields if (kind := _kind(field)) is not None]
        if len(kinds) == len(fields) and _is_positional(record, len(fields)):
            codes = [compiled.CODES[kind] for kind in kinds]
            found.append(compiled.Reading(record, codec.frame(record), codes))
    return found


def _kind(field: Field) -> type | None:
    shape = field.shape
    return shape.kind if isinstance(shape, Leaf) and shape.kind in compiled.CODES else None


def _is_positional(record: type[Record], count: int) -> bool:
    parameters = inspect.signature(record).parameters.values()
    return len(parameters) == count and all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters)
