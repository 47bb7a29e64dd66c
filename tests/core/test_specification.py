"""given/when/then holds a context to its word: it passes where it should and fails where it should."""

import pytest

from foldlog.core.specification import meta_of
from foldlog.testing import fold, given
from tests.core.counter import Add, Added, Row, Seen, Total, counter, echo, totals

two = Added("a", 2)


def test_a_decider_answers_with_events() -> None:
    given(counter, two).when(Add("a", 3)).then(Added("a", 3))


def test_nothing_may_follow() -> None:
    given(counter).when(Add("a", 0)).then()


def test_a_rejection_has_a_reason() -> None:
    given(counter).when(Add("a", -1)).then_rejected("add 0 or more")
    given(counter).when(Add("a", -1)).then_rejected()


def test_a_saga_answers_with_commands_from_the_state_before_the_step() -> None:
    given(echo).when(two).then(Add("echo", 2))
    given(echo, two).when(two).then()


def test_another_outcome_fails_and_shows_both() -> None:
    with pytest.raises(AssertionError, match=r"(?s)expected .*amount=4.*but got .*amount=3"):
        given(counter).when(Add("a", 3)).then(Added("a", 4))


def test_an_event_too_many_fails() -> None:
    with pytest.raises(AssertionError, match="but got"):
        given(counter).when(Add("a", 3)).then()
    with pytest.raises(AssertionError, match="but got"):
        given(counter).when(Add("a", 0)).then(Added("a", 0))


def test_an_unexpected_rejection_fails_with_its_reason() -> None:
    with pytest.raises(AssertionError, match="rejected: a: add 0 or more, not -1"):
        given(counter).when(Add("a", -1)).then()


def test_an_expected_rejection_that_does_not_come_fails() -> None:
    with pytest.raises(AssertionError, match="not rejected; got"):
        given(counter).when(Add("a", 1)).then_rejected()


def test_a_rejection_for_another_reason_fails() -> None:
    with pytest.raises(AssertionError, match="`too late` is not in"):
        given(counter).when(Add("a", -1)).then_rejected("too late")


def test_fold_is_the_state_of_a_decider_a_saga_and_a_view() -> None:
    assert fold(counter, two, two) == Total(4)
    assert fold(echo, two, two) == Seen(2)
    assert fold(totals, two, two) == Row(4, version=2)


def test_fold_of_nothing_is_the_initial_state() -> None:
    assert fold(counter) == Total()


def test_a_deleted_row_is_none_and_starts_again() -> None:
    assert fold(totals, two, Added("a", 13)) is None
    assert fold(totals, two, Added("a", 13), two) == Row(2, version=3)


def test_meta_counts_versions_from_one() -> None:
    assert meta_of(3, "a").event_id == "a@3"
    assert fold(totals, two).version == 1
