"""Commands that a processor sends to a decider of its context."""

from hashlib import blake2b

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.meta import Meta
from foldlog.core.partitioning import partition_of
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.engine.batch import Output
from foldlog.engine.work import LONGEST_ID, fitting


def sent_command(topology: Topology, codec: Codec, command: Record, id_: str, meta: Meta) -> Output:
    """A command to the decider of its type, caused by what `meta` is of: correlation and actor go on."""
    decider = topology.deciders_by_command[type(command)]
    key = decider.key(command).encode()
    headers: list[tuple[str, bytes | None]] = [
        ("command-id", id_.encode()),
        ("correlation-id", meta.correlation.encode()),
    ]
    if meta.actor:
        headers.append(("actor", meta.actor.encode()))
    partition = partition_of(key, topology.partitions)
    topic = topics.commands(topology.name, decider.name)
    return fitting(Output(topic, partition, key, codec.encode(command), headers))


def derived_id(sender: str, cause: str, step: str = "") -> str:
    """The id of a command: it follows from its cause, so that a repetition is known; a digest stands for a long one."""
    named = f"{sender}:{cause}{step}"
    if len(named) <= LONGEST_ID:
        return named
    return f"{sender}:{blake2b(cause.encode(), digest_size=16).hexdigest()}{step}"
