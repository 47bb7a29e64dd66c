"""What contexts expect of each other's public events, held against what is published."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastavro.schema import parse_schema

from foldlog.contracts.decoder import refusals
from foldlog.contracts.schema import Schema
from foldlog.contracts.subjects import schemas
from foldlog.core.contract import contracts
from foldlog.core.record import Record
from foldlog.core.topology import Topology


def published(topology: Topology) -> dict[str, Schema]:
    """The public events of a context by full name."""
    known = schemas(topology)
    return {contract.name: known[contract.name] for contract in contracts(topology) if contract.part == "public"}


def expected(topology: Topology) -> Iterator[tuple[str, str, type[Record]]]:
    """What a context reads of others: its subscription, the event's full name, the record that it is read as."""
    for subscription in topology.consumes:
        for record in subscription.records:
            yield f"{topology.name}.{subscription.name}", f"{subscription.publisher}.{record.__name__}", record


def unreadable(schema: Schema, record: type[Record]) -> list[str]:
    """Why events of a schema cannot be read as a record, a reason each that names the field; empty where they can."""
    named: dict[str, Any] = {}
    return refusals(parse_schema(schema, named_schemas=named), named, record)


def broken(consumers: Sequence[Topology], written: Mapping[str, Sequence[Schema]]) -> list[str]:
    """What consumers cannot read of what is published, a line each that names the consumer.

    `written` has every schema, by full name, of which events are or may be: declared now, released, registered.
    """
    found: dict[str, None] = {}
    for topology in consumers:
        for consumer, event, record in expected(topology):
            if not written.get(event):
                found[f"{consumer} reads {event}, which nobody publishes"] = None
            for schema in written.get(event, ()):
                found |= dict.fromkeys(f"{consumer} cannot read {event}: {why}" for why in unreadable(schema, record))
    return list(found)
