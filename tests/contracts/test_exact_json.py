"""Records as JSON and back: no value changes on the way."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from foldlog.contracts.exact_json import from_json, to_json
from foldlog.core.record import Money, Record
from tests.contracts.specimen import Card, Cash, Colour, Defaults, Everything, Keyed, Line, Sku
from tests.contracts.values import everything


@given(everything.filter(lambda record: abs(record.ratio) != float("inf")))
def test_every_value_comes_back(record: Everything) -> None:
    written = msgspec.json.encode(to_json(record))
    assert from_json(Everything, json.loads(written)) == record


class Wallet(Record):
    balance: Money
    means: Card | Cash
    first: Line | None = None
    colour: Colour = Colour.RED


def test_what_it_looks_like() -> None:
    wallet = Wallet(Decimal("1E+3"), Card("42"), Line(Sku("a"), 1, Decimal("0.10")))
    assert to_json(wallet) == {
        "balance": "1000",
        "means": {"Card": {"number": "42"}},
        "first": {"sku": "a", "quantity": 1, "price": "0.10"},
        "colour": "RED",
    }
    assert to_json(Wallet(Decimal(0), Cash()))["means"] == {"Cash": {}}


class Measured(Record):
    ratio: float
    nested: tuple[dict[str, float], ...] = ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"^ratio: .* is no number that JSON has$"):
        to_json(Measured(value))
    with pytest.raises(ValueError, match=r"^nested: "):
        to_json(Measured(0.0, ({"a": value},)))


def test_a_field_that_is_not_there_has_its_default() -> None:
    assert from_json(Defaults, {"number": 7}) == Defaults(number=7)
    assert from_json(Keyed, {"first": "a"}) == Keyed(first="a")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "balance: is missing"),
        ({"balance": 1.5, "means": {"Cash": {}}}, "balance: is float, not str"),
        ({"balance": "much", "means": {"Cash": {}}}, "balance: "),
        ({"balance": "1", "means": {"Cheque": {}}}, "means: 'Cheque'"),
        ({"balance": "1", "means": "cash"}, "means: is str, not dict"),
        ({"balance": "1", "means": {"Card": {}}}, "means: number: is missing"),
        ({"balance": "1", "means": {"Cash": {}}, "first": []}, "first: is list, not dict"),
        ({"balance": "1", "means": {"Cash": {}}, "colour": "PINK"}, "colour: 'PINK'"),
        ({"balance": "1", "means": {"Cash": {}}, "colour": None}, "colour: None"),
    ],
)
def test_garbage_is_refused_by_name(data: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^{reason}"):
        from_json(Wallet, data)
