"""The ways of an event to the rows of a view: directly, and through what sagas send upon it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from foldlog.core.decider import Decider
from foldlog.core.saga import Saga
from foldlog.core.topics import commands, events, inbox
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.kafka.marks import Place


@dataclass(frozen=True)
class Step:
    """A processor on the way: its group, what it reads, what it moves to other partitions first, where it writes.

    It commits its offsets in one transaction with what it writes, or moves.
    """

    group: str
    inputs: tuple[Place, ...]
    moved: tuple[Place, ...]
    outputs: tuple[Place, ...]


FollowUps = tuple[tuple[Step, ...], tuple[Step, ...]]
"""Sagas, and the aggregates that they command."""


def folding(topology: Topology, view: View[Any, Any], topic: str) -> Step:
    """The step of a generation of a view, whose rows are in `topic`."""
    logs = [events(topology.name, source.name) for source in view.sources]
    # The group, too, is called by context and generation.
    return Step(topic, _places(topology, logs), _places(topology, [f"{topic}.rekeyed"]), _places(topology, [topic]))


def follow_up(topology: Topology, view: View[Any, Any], log: str) -> FollowUps | None:
    """The sagas that an event of a log moves and that send commands to sources of a view, then these sources.

    None where there are none. Of a saga it is what it sends upon this one event that is followed, not what it sends
    when the answers come.
    """
    told = [decider for decider in topology.deciders if events(topology.name, decider.name) == log]
    sagas = [saga for saga in topology.sagas if any(decider in saga.sources for decider in told)]
    reached = {saga.name: _reached(topology, saga, view) for saga in sagas}
    movers = tuple(_moved(topology, saga, reached[saga.name]) for saga in sagas if reached[saga.name])
    handlers = dict.fromkeys(decider for found in reached.values() for decider in found)
    return (movers, tuple(_handling(topology, decider) for decider in handlers)) if movers else None


def _reached(topology: Topology, saga: Saga[Any, Any, Any], view: View[Any, Any]) -> list[Decider[Any, Any, Any]]:
    targets = [topology.deciders_by_command[kind] for kind in saga.sends]
    return [source for source in view.sources if source in targets]


def _moved(topology: Topology, saga: Saga[Any, Any, Any], to: Iterable[Decider[Any, Any, Any]]) -> Step:
    name = topology.name
    return Step(
        f"{name}.{saga.name}",
        _places(topology, [events(name, source.name) for source in saga.sources]),
        _places(topology, [inbox(name, saga.name)]),
        _places(topology, [commands(name, decider.name) for decider in to]),
    )


def _handling(topology: Topology, decider: Decider[Any, Any, Any]) -> Step:
    name = topology.name
    read, written = [commands(name, decider.name)], [events(name, decider.name)]
    return Step(f"{name}.{decider.name}", _places(topology, read), (), _places(topology, written))


def _places(topology: Topology, names: Iterable[str]) -> tuple[Place, ...]:
    return tuple((name, number) for name in names for number in range(topology.partitions))
