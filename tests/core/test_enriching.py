"""Enrichment: a row of another view stands beside the event."""

from dataclasses import replace
from typing import Any

import pytest

from foldlog.core import Lookup, Meta, Record, Topology, View
from foldlog.core.errors import TopologyError
from foldlog.testing import fold, rows
from tests.core.counter import Added, Row, counter, totals


class Seen(Record):
    amount: int = 0
    total: int = -1
    version: int = 0


def look(seen: Seen, event: Added, found: Row | None) -> Seen:
    return Seen(seen.amount + event.amount, found.total if found else -1)


def look_with_meta(seen: Seen, event: Added, found: Row | None, meta: Meta) -> Seen:
    return Seen(seen.amount + event.amount, found.total if found else -1, meta.version)


def enriched(evolve: Any = look, other: View[Any, Any] = totals) -> View[Any, Any]:
    lookup = Lookup(other, key=lambda event: None if event.amount == 0 else event.counter)
    return View("enriched", counter, Seen(), key=lambda event: event.counter, evolve=evolve, lookup=lookup)


def test_an_event_finds_the_row_of_its_key() -> None:
    assert fold(enriched(), Added("a", 1), Added("a", 2), beside={"a": Row(7)}) == Seen(3, 7)
    assert rows(enriched(), Added("a", 1), Added("b", 2), beside={"a": Row(7)}) == {"a": Seen(1, 7), "b": Seen(2, -1)}


def test_an_event_without_a_key_finds_nothing() -> None:
    assert fold(enriched(), Added("a", 0), beside={"a": Row(7)}) == Seen(0, -1)


def test_meta_comes_last() -> None:
    assert fold(enriched(look_with_meta), Added("a", 1), Added("a", 1), beside={"a": Row(7)}) == Seen(2, 7, 2)


def test_a_context_has_what_its_views_look_into() -> None:
    Topology("counting", (counter,), (totals, enriched()))
    with pytest.raises(TopologyError, match="looks up `totals`, which is no other view of its context"):
        Topology("counting", (counter,), (enriched(),))


def of_another_type(seen: Seen, event: Added, found: Seen | None) -> Seen:
    return seen


def of_a_row_that_must_be(seen: Seen, event: Added, found: Row) -> Seen:
    return seen


@pytest.mark.parametrize("evolve", [of_another_type, of_a_row_that_must_be])
def test_what_is_found_may_be_missing_and_is_of_the_other_views_row(evolve: Any) -> None:
    with pytest.raises(TopologyError, match=r"enriched: the third parameter of evolve must be a `Row \| None`"):
        Topology("counting", (counter,), (totals, replace(enriched(), evolve=evolve)))
