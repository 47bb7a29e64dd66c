"""The flow of a context: which processor reads and writes which topic, derived from its types."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from foldlog.core import topics as names
from foldlog.core.decider import Decider
from foldlog.core.publication import Publication
from foldlog.core.reactor import Reactor
from foldlog.core.record import Record
from foldlog.core.saga import Saga
from foldlog.core.subscription import Subscription
from foldlog.core.topology import Processor, Reader, Topology
from foldlog.core.view import View


@dataclass(frozen=True)
class Step:
    """One processor: its topics, and the record types it takes from them and puts into them.

    `via` is the topic of its own through which events reach their key's partition, and `table` the compacted topic
    that holds its rows or state.
    """

    name: str
    kind: str
    reads: tuple[str, ...]
    via: str | None
    writes: tuple[str, ...]
    table: str | None
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def flow(topology: Topology) -> tuple[Step, ...]:
    """Every processor of a context, deciders first."""
    return tuple(_step(topology, processor) for processor in topology.processors)


def _step(topology: Topology, processor: Processor) -> Step:
    context = topology.name
    match processor:
        case Decider():
            return _decider(context, processor)
        case Saga():
            return _saga(topology, processor)
        case View(name=name, generation=rows):
            logs, via, table = _logs(context, processor), names.rekeyed(context, rows), names.table(context, rows)
            return Step(name, "view", logs, via, (), table, _types(processor.events), (processor.row.__name__,))
        case Reactor():
            logs = _logs(context, processor)
            return Step(processor.name, "reactor", logs, None, (), None, _types(processor.events), ())
        case Publication(name=name):
            logs, gives = _logs(context, processor), _types(processor.records)
            to = (names.public(context, name),)
            return Step(name, "publication", logs, None, to, None, _types(processor.events), gives)
        case Subscription(name=name, publisher=publisher):
            takes, gives = _types(processor.records), _types(processor.sends)
            return Step(name, "subscription", (publisher,), None, _targets(topology, processor), None, takes, gives)


def _decider(context: str, decider: Decider[Any, Any, Any]) -> Step:
    return Step(
        decider.name,
        "decider",
        (names.commands(context, decider.name),),
        None,
        (names.events(context, decider.name),),
        None,
        _types(decider.commands),
        _types(decider.events),
    )


def _saga(topology: Topology, saga: Saga[Any, Any, Any]) -> Step:
    context = topology.name
    own = (names.commands(context, saga.name),) if saga.commands else ()
    return Step(
        saga.name,
        "saga",
        (*own, *_logs(context, saga)),
        names.inbox(context, saga.name),
        _targets(topology, saga),
        names.table(context, saga.name),
        _types(saga.steps),
        _types(saga.sends),
    )


def _targets(topology: Topology, sender: Saga[Any, Any, Any] | Subscription[Any, Any]) -> tuple[str, ...]:
    deciders = (topology.deciders_by_command[kind] for kind in sender.sends)
    return tuple(dict.fromkeys(names.commands(topology.name, decider.name) for decider in deciders))


def _logs(context: str, reader: Reader) -> tuple[str, ...]:
    return tuple(names.heard(context, source) for source in reader.sources)


def _types(kinds: tuple[type[Record], ...]) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in kinds)


def mermaid(topology: Topology) -> str:
    """A Mermaid flowchart: rounded processors, cylindrical topics; routing topics are left out."""
    return "\n".join(("flowchart LR", *_topics(topology), *_edges(topology), *_CLASSES)) + "\n"


# The shape says what a node is; the colours are readable on GitHub's light and dark pages.
_CLASSES = (
    "  classDef topic fill:#e8eef7,stroke:#4a6fa5,color:#1b2a41",
    "  classDef decider fill:#fde9c9,stroke:#c77d0a,color:#3d2a06",
    "  classDef saga fill:#f6d9e4,stroke:#b03a6b,color:#3f0f24",
    "  classDef view fill:#d9f0df,stroke:#2f855a,color:#0f2e1c",
    "  classDef reactor fill:#e6def5,stroke:#6b46c1,color:#251547",
    "  classDef publication fill:#d5eef0,stroke:#1f7a83,color:#0b2f33",
    "  classDef subscription fill:#d5eef0,stroke:#1f7a83,color:#0b2f33",
)


def _topics(topology: Topology) -> Iterator[str]:
    steps = flow(topology)
    shown = (topic for step in steps for topic in (*step.reads, *step.writes, step.table) if topic is not None)
    for topic in dict.fromkeys(shown):
        yield f'  {_node(topic)}[("{topic}")]:::topic'
    for step in steps:
        shape = f'{{{{"{step.name}"}}}}' if step.kind == "saga" else f'("{step.name}")'
        yield f"  {step.kind}_{step.name}{shape}:::{step.kind}"


def _edges(topology: Topology) -> Iterator[str]:
    for step in flow(topology):
        node = f"{step.kind}_{step.name}"
        yield from (f"  {_node(topic)} --> {node}" for topic in step.reads)
        # A command that a saga sends is dotted: it closes a loop, and the eye must be able to leave it out.
        arrow = "-.->" if step.kind == "saga" else "-->"
        yield from (f"  {node} {arrow} {_node(topic)}" for topic in step.writes)
        if step.table is not None:
            yield f"  {node} --> {_node(step.table)}"


def _node(topic: str) -> str:
    return "topic_" + topic.replace(".", "_").replace("-", "_")
