"""Generations of a view: which topic its readers must read now.

A view of another version is folded into a topic of its own beside the one that is read. One record of the context's
`generations` topic says which is live, so readers change over at once, and back at once.
"""

from collections.abc import Mapping

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from foldlog.core import topics
from foldlog.core.errors import ClusterError, ConfigError
from foldlog.kafka.connection import client_config, partition_counts
from foldlog.kafka.reading import latest, read

_ANSWER = 30.0  # s


class Generations(msgspec.Struct, frozen=True):
    """Of one view: the generation that readers must read, and the one before, None where there was none."""

    live: str
    before: str | None = None


def resolve(bootstrap: str, context: str, view: str) -> str:
    """The topic with the rows of a view as readers must see them now.

    Raises ConfigError where no topic of the view exists, ClusterError where Kafka does not answer.
    """
    return topics.table(context, current(bootstrap, context, view).live)


def current(bootstrap: str, context: str, view: str) -> Generations:
    """Which generation of a view is live; the oldest that has a topic where nobody has said. Errors as `resolve`."""
    counts = partition_counts(bootstrap)
    if topics.generations(context) in counts:
        entry = latest(read(bootstrap, topics.generations(context))).get(view)
        if entry is not None:
            return msgspec.json.decode(entry.value or b"", type=Generations)
    found = existing(counts, context, view)
    if not found:
        raise ConfigError(f"there is no topic {context}.{view}: run `foldlog topics apply topologies.{context}`")
    return Generations(found[0])


def existing(counts: Mapping[str, int], context: str, view: str) -> list[str]:
    """The generations of a view that have a topic, the oldest first; `counts` are the topics of the cluster."""
    first, later = topics.table(context, view), topics.table(context, f"{view}.g")
    endings = (name.removeprefix(later) for name in counts if name.startswith(later))
    numbers = sorted(int(ending) for ending in endings if ending.isdecimal())
    return [view] * (first in counts) + [f"{view}.g{number}" for number in numbers]


def point(bootstrap: str, context: str, view: str, to: str) -> Generations:
    """Makes a generation the live one, for every reader at once; ClusterError where Kafka does not take it."""
    before = current(bootstrap, context, view)
    return before if before.live == to else _write(bootstrap, context, view, Generations(to, before.live))


def forget(bootstrap: str, context: str, view: str) -> Generations:
    """Takes back that there was a generation before the live one; errors as `point`."""
    return _write(bootstrap, context, view, Generations(current(bootstrap, context, view).live))


def _write(bootstrap: str, context: str, view: str, now: Generations) -> Generations:
    failures = list[KafkaError]()

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer({**client_config(bootstrap), "enable.idempotence": True, "acks": "all"})
    producer.produce(topics.generations(context), msgspec.json.encode(now), view.encode(), on_delivery=delivered)
    if producer.flush(_ANSWER) or failures:
        reason = failures[0].str() if failures else f"no answer in {_ANSWER:.0f} s"
        raise ClusterError(f"{topics.generations(context)}: {reason}")
    return now
