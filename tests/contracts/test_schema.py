"""Schemas are derived from records, and a record that Avro cannot say is refused by name."""

import json
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fastavro.schema import parse_schema

from foldlog.contracts.schema import Schema, engine_contract_schema, schema_of
from foldlog.core.errors import ContractError
from foldlog.core.outcome import DeadLetter, Reply
from foldlog.core.record import Money, Record, Scale
from tests.contracts.specimen import Card, Defaults, Everything, Post, Posted, Steps, contract

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Everything", schema_of(contract(Everything))),
        ("Defaults", schema_of(contract(Defaults))),
        ("Posted", schema_of(contract(Posted, "event"))),
        ("Steps", schema_of(contract(Steps, "process"))),
        ("Reply", engine_contract_schema(Reply)),
        ("DeadLetter", engine_contract_schema(DeadLetter)),
    ],
)
def test_the_schema_of_a_record(name: str, schema: Schema) -> None:
    assert schema == json.loads((GOLDEN / f"{name}.avsc").read_text())
    assert parse_schema(schema)


def test_the_envelope_is_the_last_field() -> None:
    assert schema_of(contract(Posted, "event"))["fields"][-1]["type"]["namespace"] == "foldlog"
    assert [field["name"] for field in schema_of(contract(Posted, "event"))["fields"]][-1] == "meta"
    assert [field["name"] for field in schema_of(contract(Steps, "process"))["fields"]][-1] == "process"
    assert [field["name"] for field in schema_of(contract(Post))["fields"]] == ["account", "amount", "note"]


def test_the_position_of_an_event_is_not_stored() -> None:
    meta = schema_of(contract(Posted, "event"))["fields"][-1]["type"]
    assert "position" not in [field["name"] for field in meta["fields"]]


class Empty(Record): ...


@pytest.mark.parametrize(
    ("hint", "what"),
    [
        (time, "time has no Avro type; allowed are str, int"),
        (Decimal, "Decimal has no Avro type"),
        (Annotated[Decimal, Scale(2, 4)], r"Annotated\[.*Scale.*\] has no Avro type"),
        (object, "object has no Avro type"),
        (Any, "Any has no Avro type"),
        (str | int, r"str \| int has no Avro type"),
        (Card | str, r"Card \| str has no Avro type"),
        (tuple[int, str], r"tuple\[int, str\] has no Avro type"),
        (dict[int, str], r"dict\[int, str\] has no Avro type"),
        (list, "list has no Avro type"),
        (set[str], r"set\[str\] has no Avro type"),
        (Literal[1, 2], r"Literal\[1, 2\] has no Avro type"),
        (tuple[Empty, ...], "Empty has no field; a sequence needs items with content"),
    ],
)
def test_a_type_that_avro_cannot_say_is_refused_by_name(hint: Any, what: str) -> None:
    odd = type("Odd", (Record,), {"__annotations__": {"field": hint}, "__module__": __name__})
    with pytest.raises(ContractError, match=rf"^Odd\.field: {what}"):
        schema_of(contract(odd))


def test_a_default_that_does_not_fit_is_refused_by_name() -> None:
    class Odd(Record):
        amount: Money = Decimal("0.001")

    with pytest.raises(ContractError, match=r"^the default of Odd.amount: 0.001 has more than 2 decimal places"):
        schema_of(contract(Odd))


def test_a_default_inside_a_default_must_be_of_the_first_branch() -> None:
    class Inner(Record):
        note: str | None

    class Odd(Record):
        inner: Inner = Inner("x")

    with pytest.raises(ContractError, match=r"^the default of Odd.inner: Avro states a default by a union's first"):
        schema_of(contract(Odd))


def test_the_engines_field_cannot_be_taken() -> None:
    class Odd(Record):
        meta: str

    assert schema_of(contract(Odd, "command"))
    with pytest.raises(ContractError, match=r"^shop.cart.Odd.meta: the engine adds a field of that name"):
        schema_of(contract(Odd, "event"))


def test_a_name_is_given_once() -> None:
    other = type("Card", (Record,), {"__annotations__": {"owner": str}, "__module__": __name__})
    odd = type("Odd", (Record,), {"__annotations__": {"a": Card, "b": other}, "__module__": __name__})
    with pytest.raises(ContractError, match=r"^shop.cart.Card names two types in one schema"):
        schema_of(contract(odd))


def test_a_name_that_avro_does_not_allow_is_refused() -> None:
    odd = type("Odd", (Record,), {"__annotations__": {"größe": str}, "__module__": __name__})
    with pytest.raises(ContractError, match=r"^Odd.größe: an Avro name has only"):
        schema_of(contract(odd))


def test_a_recursive_record_names_itself() -> None:
    fields = {field["name"]: field["type"] for field in schema_of(contract(Everything))["fields"]}
    assert fields["tree"]["fields"][1]["type"]["items"] == "shop.cart.Tree"
    assert fields["refund"] == ["null", "shop.cart.Cash", "shop.cart.Card"]
