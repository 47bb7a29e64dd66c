"""The service registry: which context publishes which event, who consumes it, and in which version.

It is not kept anywhere: the topologies at hand say what is declared, the schema registry which public events there
are and in which versions, the committed offsets of consumer groups who reads them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from foldlog.contracts.consumers import expected, published, unreadable
from foldlog.contracts.schema import ENGINE, Schema
from foldlog.core.record import Record
from foldlog.core.topology import Topology

if TYPE_CHECKING:
    from foldlog.contracts.registry import Registry

Status = Literal["consumed", "orphaned", "unknown"]
Versions = Mapping[int, Schema]
Known = Mapping[str, Versions]


@dataclass(frozen=True)
class Consumer:
    """A subscription, `context.name`; `reads` are the registered versions that it can read, None where unknown."""

    name: str
    reads: tuple[int, ...] | None


@dataclass(frozen=True)
class PublicEvent:
    """One public event; `version` is the newest registered one, None where there is none.

    `status` is "consumed", "orphaned" (published, and nobody consumes it) or "unknown" (consumed, and nobody
    publishes it).
    """

    name: str
    topic: str
    version: int | None
    consumers: tuple[Consumer, ...]
    status: Status


def registered(registry: "Registry") -> dict[str, dict[int, Schema]]:
    """The public events in the registry, by full name, each with its versions.

    A public event is known by its subject `context.publication-context.publication.Event` and its last field, Meta:
    rows and states have subjects of that form too.
    """
    found = {}
    for subject in registry.subjects():
        topic, _, name = subject.partition("-")
        if topic.count(".") == 1 and name.rpartition(".")[0] == topic:
            versions = registry.versions(subject)
            if versions and _is_event(versions[max(versions)]):
                found[name] = versions
    return found


def services(topologies: Sequence[Topology], known: Known, readers: Mapping[str, set[str]]) -> list[PublicEvent]:
    """Every public event that is declared, registered or consumed, by name.

    `known` are the registered events with their versions, `readers` the consumer groups of each topic.
    """
    declared = {name for topology in topologies for name in published(topology)}
    wanted = [expectation for topology in topologies for expectation in expected(topology)]
    names = {*declared, *known, *(event for _, event, _ in wanted)}
    return [
        _event(name, name in declared or name in known, known.get(name, {}), wanted, readers) for name in sorted(names)
    ]


def _event(
    name: str,
    is_published: bool,
    versions: Versions,
    wanted: Iterable[tuple[str, str, type[Record]]],
    readers: Mapping[str, set[str]],
) -> PublicEvent:
    topic = name.rpartition(".")[0]
    declared = {consumer: record for consumer, event, record in wanted if event == name}
    groups = readers.get(topic, set()) - {consumer for consumer, event, _ in wanted if event != name}
    consumers = tuple(_consumers(declared, groups, versions))
    status: Status = "unknown" if not is_published else "consumed" if consumers else "orphaned"
    return PublicEvent(name, topic, max(versions, default=None), consumers, status)


def _consumers(declared: Mapping[str, type[Record]], groups: set[str], versions: Versions) -> Iterator[Consumer]:
    for name in sorted({*declared, *groups}):
        record = declared.get(name)
        readable = (number for number, schema in versions.items() if record and not unreadable(schema, record))
        yield Consumer(name, tuple(readable) if record else None)


def _is_event(schema: Schema) -> bool:
    last = schema.get("fields", [{}])[-1:] or [{}]
    kind = last[0].get("type")
    return isinstance(kind, dict) and (kind.get("namespace"), kind.get("name")) == (ENGINE, "Meta")
