"""What a context publishes and subscribes to is refused like the rest of it, in a line that says why."""

from dataclasses import replace

import pytest

from foldlog.core import (
    Meta,
    Publication,
    Reactor,
    Record,
    Sender,
    Subscription,
)
from foldlog.core.errors import TopologyError
from tests.core.counter import Add, Added, Other, counter, make


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
