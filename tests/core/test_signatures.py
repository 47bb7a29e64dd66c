"""What a handler accepts and returns is what its annotations say."""

from collections.abc import Sequence
from typing import Optional, TypeVar, Union

import pytest

from foldlog.core import Meta, Record
from foldlog.core.errors import TopologyError
from foldlog.core.signatures import accepted, records, returned, wants_meta


class Open(Record):
    account: str


class Post(Record):
    account: str


Command = Open | Post
Bound = TypeVar("Bound", bound=Open)


def decide(command: Command, state: Post) -> list[Open]:
    return []


def with_meta(command: Open, state: Post, meta: Meta) -> tuple[Open | Post, ...]:
    return ()


def bare(command, state):  # type: ignore[no-untyped-def]
    return []


def of_text(command: str) -> Sequence[str]:
    return []


def unreadable(command: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821
    return None


def test_a_union_is_flattened_in_its_order() -> None:
    assert accepted(decide, 0) == (Open, Post)
    assert accepted(decide, 1) == (Post,)


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (Open, (Open,)),
        (Open | None, (Open,)),
        (Optional[Open], (Open,)),  # noqa: UP045 — the old spelling is in use
        (Union[Open, Post], (Open, Post)),  # noqa: UP007 — as above
        (Bound, (Open,)),
        (str, ()),
        (None, ()),
    ],
)
def test_records_are_found_in_any_spelling_of_a_union(hint: object, found: tuple[type[Record], ...]) -> None:
    assert records(hint) == found


def test_what_a_handler_returns_is_in_its_sequence() -> None:
    assert returned(decide) == (Open,)
    assert returned(with_meta) == (Open, Post)
    assert returned(of_text) == ()


def test_meta_is_asked_for_by_annotation() -> None:
    assert wants_meta(with_meta)
    assert not wants_meta(decide)


def test_a_parameter_without_records_is_refused_by_name() -> None:
    with pytest.raises(TopologyError, match=r"of_text: parameter `command` needs an annotation of Record types"):
        accepted(of_text, 0)
    with pytest.raises(TopologyError, match=r"bare: parameter `state` needs an annotation"):
        accepted(bare, 1)


def test_a_missing_parameter_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"of_text: needs at least 2 parameters, has 1"):
        accepted(of_text, 1)


def test_a_missing_return_annotation_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"bare: the return annotation is missing"):
        returned(bare)


def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"unreadable: annotations cannot be read: name 'Missing'"):
        accepted(unreadable, 0)
