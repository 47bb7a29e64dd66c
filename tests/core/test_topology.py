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
    Publication,
    Reactor,
    Record,
    Saga,
    Sender,
    Serving,
    Subscription,
    Topology,
    View,
)
from foldlog.core.errors import TopologyError
from tests.core.counter import Add, Added, Row, Seen, Total, counter, decide, echo, evolve, follow, show, step, totals


class Other(Record):
    counter: str


class Louder(Added): ...


class Start(Record):
    counter: str


async def tell(event: Added, meta: Meta, send: Sender) -> None:
    await send(Message("ada", "added", str(event.amount), meta.event_id))


teller = Reactor("teller", counter, tell)


def decider(name: str) -> Decider[Any, Any, Any]:
    """A counter of another name."""
    return Decider(name, Total(), key=lambda c: c.counter, decide=decide, evolve=evolve)


def make(**parts: Any) -> Topology:
    return Topology(**{"name": "counting", "deciders": (counter,), **parts})


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


class CountChanged(Record):
    amount: int


class CountedElsewhere(Record):
    counter: str


def public(event: Added) -> CountChanged | None:
    return CountChanged(event.amount) if event.amount else None


def follow_others(event: CountedElsewhere, meta: Meta) -> Add | None:
    return Add(event.counter, meta.version)


told = Publication("told", counter, public)
heard = Subscription("heard", "elsewhere.counts", follow_others)


def test_what_is_published_and_consumed_are_processors_too() -> None:
    context = make(publishes=(told,), consumes=(heard,))
    assert context.processors == (counter, told, heard)
    assert (told.events, told.records) == ((Added,), (CountChanged,))
    assert (heard.records, heard.sends) == ((CountedElsewhere,), (Add,))


def test_a_private_event_is_not_published_as_it_is() -> None:
    def naked(event: Added) -> Added:
        return event

    with pytest.raises(TopologyError, match="Added is event of counter and public event of naked"):
        make(publishes=(Publication("naked", counter, naked),))


def test_a_translation_says_what_it_makes() -> None:
    def silent(event: Added):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(TopologyError, match="silent: needs a return annotation of Record types"):
        make(publishes=(Publication("silent", counter, silent),))


def test_a_publication_hears_only_what_its_sources_write() -> None:
    def other(event: Other) -> CountChanged:
        return CountChanged(1)

    with pytest.raises(TopologyError, match="other: no source of it writes Other"):
        make(publishes=(Publication("other", counter, other),))


def test_a_reactor_may_hear_what_its_context_publishes() -> None:
    async def shout(event: CountChanged, meta: Meta, send: Sender) -> None: ...

    loud = Reactor("loud", told, shout)
    assert make(publishes=(told,), reactors=(loud,)).processor("loud").events == (CountChanged,)  # type: ignore[union-attr]
    with pytest.raises(TopologyError, match="loud: source `told` is not a publication of counting"):
        make(reactors=(loud,))


@pytest.mark.parametrize("publisher", ["", "elsewhere", "Else.where", "a.b.c", "elsewhere.", "else where.counts"])
def test_a_publisher_is_a_context_and_a_publication(publisher: str) -> None:
    with pytest.raises(TopologyError, match=f"heard: publisher `{publisher}` is not CONTEXT.PUBLICATION"):
        make(consumes=(Subscription("heard", publisher, follow_others),))


def test_a_publisher_has_partitions() -> None:
    with pytest.raises(TopologyError, match="heard: partitions must be at least 1, not 0"):
        make(consumes=(replace(heard, partitions=0),))


def test_a_context_does_not_subscribe_to_itself() -> None:
    with pytest.raises(TopologyError, match=r"heard: counting.told is of its own context"):
        make(consumes=(Subscription("heard", "counting.told", follow_others),))


def test_what_a_subscription_sends_has_a_decider() -> None:
    def stray(event: CountedElsewhere) -> Other:
        return Other(event.counter)

    with pytest.raises(TopologyError, match="stray sends Other, which no decider of counting accepts"):
        make(consumes=(Subscription("stray", "elsewhere.counts", stray),))


def test_an_event_of_others_has_one_type_here() -> None:
    first = Subscription("first", "elsewhere.counts", follow_others)
    assert make(consumes=(first, heard)).consumes == (first, heard)

    class Again(Record):
        counter: str

    Again.__name__ = CountedElsewhere.__name__

    def again(event: Again) -> Add:
        return Add(event.counter, 1)

    again.__annotations__["event"] = Again
    with pytest.raises(TopologyError, match=r"again: elsewhere.counts.CountedElsewhere is declared twice"):
        make(consumes=(heard, Subscription("again", "elsewhere.counts", again)))
