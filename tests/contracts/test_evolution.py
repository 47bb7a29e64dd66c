"""Schemas evolve: readers of one version read the other, and what they could not read is refused before."""

import io
import json
from collections.abc import Callable
from copy import deepcopy
from enum import Enum
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro.schema import parse_schema

from foldlog.contracts.changes import breaking
from foldlog.contracts.decoder import decoder
from foldlog.contracts.encoder import encoder
from foldlog.contracts.reading import Unexpected
from foldlog.contracts.registry import Registry
from foldlog.contracts.schema import Schema, schema_of
from foldlog.contracts.subjects import compatibility, publish, push, subjects
from foldlog.core.errors import ContractError
from foldlog.core.record import Money, Record
from foldlog.core.topology import Topology
from tests.contracts.specimen import banking, contract, fresh_name

FRAME = b"\0\0\0\0\1"


class Before(Record):
    sku: str
    obsolete: dict[str, tuple[int, ...]] = {}  # noqa: RUF012 — msgspec copies it
    price: Money | None = None


class After(Record):
    note: str | None
    sku: str
    price: Money | None = None
    quantity: int = 1
    tags: tuple[str, ...] = ("new",)


def read_as(reader: type[Record], written: Record) -> Record:
    named: dict[str, Any] = {}
    schema = parse_schema(schema_of(contract(type(written))), named_schemas=named)
    found: Record = decoder(schema, named, reader)(FRAME + encoder(type(written))(written))
    return found


def test_new_readers_fill_in_what_old_writers_did_not_have() -> None:
    assert read_as(After, Before("a", {"x": (1, 2), "y": ()})) == After(None, "a", None, 1, ("new",))


def test_old_readers_pass_over_what_new_writers_add() -> None:
    assert read_as(Before, After("hello", "a", None, 5, ("x", "y"))) == Before("a")


def test_a_field_that_was_not_written_and_has_no_default_is_unexpected() -> None:
    class Demanding(Record):
        sku: str
        customer: str

    with pytest.raises(Unexpected, match=r"shop.cart.Before was written without `customer`, which has no default"):
        read_as(Demanding, Before("a"))


def test_a_field_of_another_type_is_unexpected() -> None:
    class Counted(Record):
        sku: int

    with pytest.raises(Unexpected, match=r"^string was written where int is read$"):
        read_as(Counted, Before("a"))


def test_another_scale_is_unexpected_not_another_amount() -> None:
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4}
    schema = parse_schema({"type": "record", "name": "Price", "fields": [{"name": "price", "type": amount}]})

    class Price(Record):
        price: Money

    with pytest.raises(Unexpected, match=r"^decimal\(18, 4\) was written where decimal\(18, 2\) is read$"):
        decoder(schema, {}, Price)(FRAME + b"\x02\x01")


def test_a_symbol_of_a_later_version_is_unknown_or_unexpected() -> None:
    symbols = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
    schema = parse_schema({"type": "record", "name": "Paint", "fields": [{"name": "colour", "type": symbols}]})

    class Open(Enum):
        UNKNOWN = 0
        RED = 1

    class Closed(Enum):
        RED = 1

    class Paint(Record):
        colour: Open

    class Strict(Record):
        colour: Closed

    assert decoder(schema, {}, Paint)(FRAME + b"\x00") == Paint(Open.RED)
    assert decoder(schema, {}, Paint)(FRAME + b"\x02") == Paint(Open.UNKNOWN)
    with pytest.raises(Unexpected, match="'BLUE' is none of RED"):
        decoder(schema, {}, Strict)(FRAME + b"\x02")


def test_every_type_of_a_dropped_field_is_passed_over() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "next", "type": ["null", "Inner"]}]}
    dropped: dict[str, tuple[Any, Any]] = {
        "a": ("null", None), "b": ("boolean", True), "c": ("int", -70), "d": ("long", 1 << 40), "e": ("float", 0.5),
        "f": ("double", 0.5), "g": ("bytes", b"abc"), "h": ("string", "abc"),
        "i": ({"type": "fixed", "name": "F", "size": 3}, b"abc"),
        "j": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B"),
        "k": ({"type": "array", "items": ["null", "string"]}, ["a", None]),
        "l": ({"type": "map", "values": "long"}, {"a": 1, "b": 200}), "m": (inner, {"next": {"next": None}}),
    }  # fmt: skip
    fields = [{"name": name, "type": kind} for name, (kind, _) in dropped.items()]
    named: dict[str, Any] = {}
    writer = {"type": "record", "name": "Old", "fields": [*fields, {"name": "sku", "type": "string"}]}
    schema = parse_schema(writer, named_schemas=named)
    data = io.BytesIO()
    fastavro.schemaless_writer(data, schema, {"sku": "x", **{name: value for name, (_, value) in dropped.items()}})
    assert decoder(schema, named, Before)(FRAME + data.getvalue()) == Before("x")


BASE: Schema = {
    "type": "record", "name": "Item", "namespace": "shop",
    "fields": [
        {"name": "sku", "type": "string"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "size", "type": {"type": "enum", "name": "Size", "symbols": ["S", "L"]}, "default": "S"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "fields": [{"name": "n", "type": "long"}]}}, "default": []},
    ],
}  # fmt: skip


LONG = {"name": "extra", "type": "long"}
# What is done to the fields of BASE: to sku, price, size, note, lines.
CHANGES: dict[str, Callable[[list[Any]], Any]] = {
    "same": lambda fields: None,
    "default": lambda fields: fields.append({**LONG, "default": 0}),
    "removed-default": lambda fields: fields.pop(3),
    "required": lambda fields: fields.append(LONG),
    "removed": lambda fields: fields.pop(0),
    "retyped": lambda fields: fields[0].update(type="long"),
    "optional": lambda fields: fields[0].update(type=["null", "string"]),
    "branch": lambda fields: fields[3].update(type=["null", "string", "long"]),
    "symbol": lambda fields: fields[2]["type"]["symbols"].append("XL"),
    "nested": lambda fields: fields[4]["type"]["items"]["fields"].append(LONG),
    "renamed": lambda fields: fields[4]["type"]["items"].update(name="Row"),
    "scale": lambda fields: fields[1]["type"].update(scale=4),
}


def changed(change: str) -> Schema:
    schema = deepcopy(BASE)
    CHANGES[change](schema["fields"])
    return schema


REASONS = {
    "same": [],
    "default": [],
    "removed-default": [],
    "required": ["shop.Item.extra: added without a default"],
    "removed": ["shop.Item.sku: removed, and it had no default"],
    "retyped": ["shop.Item.sku: string became long"],
    "optional": ["shop.Item.sku: string became null | string"],
    "branch": ["shop.Item.note: null | string became null | string | long"],
    "symbol": ["shop.Item.size: shop.Size got XL; an enum may grow only if it has a member UNKNOWN"],
    "nested": ["shop.Line.extra: added without a default"],
    "renamed": ["shop.Item.lines: shop.Line became shop.Row"],
    "scale": ["shop.Item.price: bytes decimal(18, 2) became bytes decimal(18, 4)"],
}


@pytest.mark.parametrize("change", REASONS)
def test_a_breaking_change_has_a_reason(change: str) -> None:
    assert breaking(BASE, changed(change)) == REASONS[change]


@pytest.mark.parametrize("change", [change for change in REASONS if change not in ("scale", "renamed")])
def test_the_registry_is_of_the_same_mind(change: str, registry: Registry, foreign: SchemaRegistryClient) -> None:
    subject = f"{fresh_name()}-shop.Item"
    publish({subject: BASE}, registry)
    agreed = foreign.test_compatibility_all_versions(subject, Text(json.dumps(changed(change))))
    assert agreed == (REASONS[change] == [])


@pytest.mark.parametrize("change", [change for change, reasons in REASONS.items() if reasons])
def test_an_incompatible_schema_is_not_registered(change: str, registry: Registry) -> None:
    subject = f"{fresh_name()}-shop.Item"
    publish({subject: BASE}, registry)
    with pytest.raises(ContractError) as caught:
        publish({subject: changed(change)}, registry)
    assert str(caught.value) == f"{subject}: {REASONS[change][0]}"
    assert registry.lookup(subject, changed(change)) is None


def test_a_registry_refuses_foreign_incompatible_schemas_by_itself(
    registry: Registry, foreign: SchemaRegistryClient
) -> None:
    subject = f"{fresh_name()}-shop.Item"
    publish({subject: BASE}, registry)
    with pytest.raises(SchemaRegistryError, match="409"):
        foreign.register_schema(subject, Text(json.dumps(changed("required"))))


def test_every_version_counts_not_only_the_last(registry: Registry) -> None:
    subject = f"{fresh_name()}-shop.Item"
    publish({subject: BASE}, registry)
    publish({subject: changed("removed-default")}, registry)
    again = changed("removed-default")
    again["fields"].append({"name": "note", "type": "long", "default": 0})
    assert registry.compatible(subject, again) == ["shop.Item.note: null | string became long"]


def test_a_context_is_pushed_once_and_again(registry: Registry) -> None:
    topology = banking(fresh_name())
    seen: list[tuple[str, int]] = []
    ids = push(topology, registry, lambda subject, schema_id: seen.append((subject, schema_id)))
    assert ids == dict(seen) == push(topology, registry)
    assert ids.keys() == subjects(topology).keys()
    assert compatibility(topology, registry) == []


def test_an_incompatible_context_is_told_with_subject_field_and_reason(registry: Registry, bank: Topology) -> None:
    subject = f"{bank.name}.account.events-{bank.name}.account.Posted"
    schema = deepcopy(subjects(bank)[subject])
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "account"]
    other = f"{fresh_name()}-{subject}"
    publish({other: schema}, registry)
    place = f"{bank.name}.account.Posted.account"
    assert registry.compatible(other, subjects(bank)[subject]) == [f"{place}: added without a default"]
