"""Versions of a saga's definition: what a saga under way goes on by, and whose steps are whose."""

from collections.abc import Iterator
from typing import Any

import pytest

from foldlog.core import Migration, Record, Saga, Topology
from foldlog.core.contract import Process, contracts
from foldlog.core.errors import StateError
from foldlog.engine.stepping import Definitions, Running
from tests.core.counter import Add, Added, Seen, counter
from tests.core.trip import agency, begin, step


class Begin(Record):
    counter: str


class Stop(Record):
    name: str


class Old(Record):
    steps: int = 0


def nothing(state: Old | Seen, step: Record) -> list[Add]:
    return []


def old(state: Old, step: Added | Stop) -> Old:
    return state


def new(state: Seen, step: Added | Begin) -> Seen:
    return state


def to_new(state: Old) -> Seen:
    return Seen(state.steps)


first: Saga[Any, Any, Old] = Saga("s", counter, Old(), lambda step: "old", nothing, old)


def second(*earlier: Saga[Any, Any, Any] | Migration) -> Saga[Any, Any, Seen]:
    return Saga("s", counter, Seen(), lambda step: "new", nothing, new, version=2, earlier=earlier)


def test_a_saga_that_begins_has_the_newest_version() -> None:
    assert Definitions(second(first)).blank == Running(Process(0, False, 2), Seen())


def test_a_saga_under_way_keeps_its_version() -> None:
    definitions, running = Definitions(second(first)), Running(Process(3, False, 1), Old(5))
    found, by = definitions.of(running)
    assert found is running
    assert by.steps == {Added, Stop}


def test_a_saga_of_a_migrated_version_is_one_of_the_newest_after_that() -> None:
    found, by = Definitions(second(Migration(1, to_new))).of(Running(Process(3, False, 1), Old(5)))
    assert found == Running(Process(3, False, 2), Seen(5))
    assert by.steps == {Added, Begin}


def test_an_unknown_version_stops_the_engine() -> None:
    with pytest.raises(StateError, match=r"runs by version 7 of its definition; known are \[1, 2\]"):
        Definitions(second(first)).of(Running(Process(3, False, 7), Seen()))


def test_the_newest_definition_that_knows_a_step_says_whose_it_is() -> None:
    definitions = Definitions(second(first))
    assert [definitions.id_of(each) for each in (Added("a", 1), Begin("a"), Stop("a"))] == ["new", "new", "old"]


def test_types_of_every_version_have_contracts() -> None:
    topology = Topology("t", deciders=(counter,), sagas=(second(first),))
    own = [(each.record, each.part) for each in contracts(topology) if each.owner == "s"]
    assert own == [(Begin, "command"), (Stop, "command"), (Seen, "process"), (Old, "process")]
    migrated = second(Migration(1, to_new))
    assert migrated.states == (Seen, Old)


def chain() -> Iterator[Saga[Any, Any, Any]]:
    from foldlog.core import stepwise
    from tests.core.trip import Trip

    first = stepwise("t", agency, Trip(), start=begin, correlate=lambda each: each.trip, steps=(step("flight"),))
    yield first
    yield stepwise(
        "t",
        agency,
        Trip(),
        start=begin,
        correlate=lambda each: each.trip,
        steps=(step("flight"), step("hotel")),
        version=2,
        earlier=(first,),
    )


def test_versions_of_a_stepwise_saga_share_its_timers_and_interventions() -> None:
    before, after = chain()
    assert set(before.commands) == set(after.commands)
    Topology("travel", deciders=(agency,), sagas=(after,))
