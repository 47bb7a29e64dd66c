"""The best few and the number of different ones, whatever the order of arrival."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.core import Distinct, Record, top
from foldlog.core.ranking import EXACT


class Sale(Record):
    order: str
    total: int


sales = st.lists(st.builds(Sale, st.sampled_from("abcdef"), st.integers(0, 5)), max_size=12)


def best(*sales: Sale) -> tuple[Sale, ...]:
    """The three largest, one sale after the other."""
    return reduce(lambda found, sale: top(3, found, sale, by=lambda sale: sale.total), sales, ())


def counted(*values: str) -> Distinct:
    return reduce(Distinct.add, values, Distinct())


def test_the_largest_come_first() -> None:
    assert best(Sale("a", 1), Sale("b", 3), Sale("c", 2), Sale("d", 9)) == (Sale("d", 9), Sale("b", 3), Sale("c", 2))


def test_of_equals_the_first_by_their_fields_is_the_better() -> None:
    assert best(Sale("d", 1), Sale("c", 1), Sale("b", 1), Sale("a", 1), Sale("a", 1)) == (
        Sale("a", 1),
        Sale("b", 1),
        Sale("c", 1),
    )


@given(st.data(), sales)
def test_the_best_do_not_depend_on_the_order(data: st.DataObject, sales: list[Sale]) -> None:
    assert best(*data.draw(st.permutations(sales))) == best(*sales)


@given(st.lists(st.text(max_size=3), max_size=100))
def test_a_few_values_are_counted_exactly(values: list[str]) -> None:
    assert counted(*values).count == len(set(values))


@pytest.mark.parametrize("many", [EXACT - 1, EXACT, 1000, 20_000])
def test_many_values_are_estimated(many: int) -> None:
    found = counted(*map(str, range(many)))
    assert found.count == many if many < EXACT else abs(found.count - many) < 0.2 * many
    assert len(found.hashes) <= EXACT


@given(st.lists(st.text(max_size=2)), st.lists(st.text(max_size=2)))
def test_merging_counts_the_values_of_both(one: list[str], other: list[str]) -> None:
    assert counted(*one) | counted(*other) == counted(*other, *one)


def test_merging_many_values_is_counting_them_together() -> None:
    numbers = [str(number) for number in range(2000)]
    assert counted(*numbers[:1500]) | counted(*numbers[500:]) == counted(*reversed(numbers))
