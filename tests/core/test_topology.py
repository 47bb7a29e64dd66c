"""A context that could not run is refused when it is made, in a line that says why."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from foldlog.core import (
    Decider,
    Message,
    Meta,
    Reactor,
    Record,
    Saga,
    Sender,
    Serving,
    View,
)
from foldlog.core.errors import TopologyError
from tests.core.counter import (
    Add,
    Added,
    Other,
    Row,
    Seen,
    Total,
    counter,
    decide,
    echo,
    evolve,
    follow,
    make,
    show,
    step,
    totals,
)


class Louder(Added): ...


class Start(Record):
    counter: str


async def tell(event: Added, meta: Meta, send: Sender) -> None:
    await send(Message("ada", "added", str(event.amount), meta.event_id))


teller = Reactor("teller", counter, tell)


def decider(name: str) -> Decider[Any, Any, Any]:
    """A counter of another name."""
    return Decider(name, Total(), key=lambda c: c.counter, decide=decide, evolve=evolve)


def test_a_context_knows_its_processors_deciders_first() -> None:
    context = make(views=(totals,), sagas=(echo,), reactors=(teller,))
    assert context.processors == (counter, echo, totals, teller)
    assert context.processor("totals") is totals
    assert context.deciders_by_command == {Add: counter}


def test_types_are_read_from_the_annotations() -> None:
    assert (counter.commands, counter.events, counter.state) == ((Add,), (Added,), Total)
    assert (echo.steps, echo.commands, echo.sends, echo.state) == ((Added,), (), (Add,), Seen)
    assert (totals.events, totals.row) == ((Added,), Row)
    assert teller.events == (Added,)


def test_an_unknown_processor_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TopologyError, match="counting has no processor `total`; it has counter, totals"):
        make(views=(totals,)).processor("total")


@pytest.mark.parametrize("name", ["", "Counter", "1st", "a-b", "a.b", "_a", "é"])
def test_names_are_lower_case(name: str) -> None:
    with pytest.raises(TopologyError, match=f"name `{name}`: use lower case letters"):
        make(name=name)
    with pytest.raises(TopologyError, match=f"name `{name}`: use lower case letters"):
        make(deciders=(decider(name),))


@pytest.mark.parametrize(
    "name", ["commands", "events", "generations", "inbox", "parked", "rekeyed", "repairs", "replies", "snapshots"]
)
def test_names_of_the_engines_topics_are_reserved(name: str) -> None:
    with pytest.raises(TopologyError, match=f"name `{name}` is reserved"):
        make(deciders=(decider(name),))


def test_the_versions_of_a_view_begin_at_1() -> None:
    with pytest.raises(TopologyError, match="totals: versions begin at 1, not 0"):
        make(views=(replace(totals, version=0),))


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        (Serving(indexes=("version", "amount")), "totals: Row has no field `amount` to index; it has total, version"),
        (Serving(refresh_ms=0), "totals: refresh_ms must be from 1 to 3600000, not 0"),
        (Serving(refresh_ms=3_600_001), "totals: refresh_ms must be from 1 to 3600000, not 3600001"),
        (Serving(cache_mb=-1), "totals: cache_mb must not be negative, it is -1"),
    ],
)
def test_how_a_view_is_served_must_be_possible(serving: Serving, reason: str) -> None:
    with pytest.raises(TopologyError, match=re.escape(reason)):
        make(views=(replace(totals, serving=serving),))


def test_two_processors_of_one_name_are_refused() -> None:
    same = View("counter", counter, Row(), key=lambda e: e.counter, evolve=show)
    with pytest.raises(TopologyError, match="2 processors are called `counter`"):
        make(views=(same,))


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_has_at_least_one_partition(partitions: int) -> None:
    with pytest.raises(TopologyError, match=f"partitions must be at least 1, not {partitions}"):
        make(partitions=partitions)


def test_a_command_has_one_decider() -> None:
    with pytest.raises(TopologyError, match="Add is command of counter and command of second"):
        make(deciders=(counter, decider("second")))


def test_a_type_plays_one_part() -> None:
    def as_command(command: Added, state: Seen) -> list[Other]:
        return []

    def other(state: Seen, event: Other) -> Seen:
        return state

    both = Decider("both", Seen(), key=lambda c: c.counter, decide=as_command, evolve=other)
    with pytest.raises(TopologyError, match="Added is event of counter and command of both"):
        make(deciders=(counter, both))


def test_no_type_inherits_from_one_that_is_matched_too() -> None:
    def louder(state: Seen, event: Louder) -> Seen:
        return state

    def start(command: Start, state: Seen) -> list[Louder]:
        return []

    loud = Decider("loud", Seen(), key=lambda c: c.counter, decide=start, evolve=louder)
    with pytest.raises(TopologyError, match=r"Louder \(event of loud\) inherits from Added \(event of counter\)"):
        make(deciders=(counter, loud))


def test_a_source_is_of_the_same_context() -> None:
    with pytest.raises(TopologyError, match="totals: source `counter` is not a decider of counting"):
        make(deciders=(), views=(totals,))


def test_a_view_hears_only_what_its_sources_write() -> None:
    def foreign(row: Row, event: Added | Other) -> Row:
        return row

    view = View("foreign", counter, Row(), key=lambda e: e.counter, evolve=foreign)
    with pytest.raises(TopologyError, match="foreign: no source of it writes Other"):
        make(views=(view,))


def test_a_step_that_no_source_writes_is_the_sagas_own_command() -> None:
    def begin(state: Seen, step: Start | Added) -> Seen:
        return state

    def nothing(state: Seen, step: Start | Added) -> Sequence[Add]:
        return []

    saga = Saga("own", counter, Seen(), correlate=lambda s: s.counter, react=nothing, evolve=begin)
    assert make(sagas=(saga,)).sagas[0].commands == (Start,)


def test_what_a_saga_sends_has_a_decider() -> None:
    def stray(state: Seen, event: Added) -> list[Other]:
        return []

    saga = Saga("stray", counter, Seen(), correlate=lambda e: e.counter, react=stray, evolve=step)
    with pytest.raises(TopologyError, match="stray sends Other, which no decider of counting accepts"):
        make(sagas=(saga,))


def test_a_saga_ends_only_where_it_says_so() -> None:
    closing = Saga(
        "closing", counter, Seen(), lambda e: e.counter, react=follow, evolve=step, ended=lambda s: s.steps > 1
    )
    assert not echo.ended(Seen(99))
    assert closing.ended(Seen(2))
