"""Any Confluent client with only the .avsc text reads what foldlog writes, and is read."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from foldlog.contracts import files
from foldlog.contracts.codec import Codec
from foldlog.core.topology import Topology
from tests.contracts.specimen import Post, Sample

sample = Sample()


@pytest.fixture
def avsc(bank: Topology, tmp_path: Path) -> dict[str, Any]:
    files.write(bank, tmp_path)
    return files.load(tmp_path)


def test_a_foreign_producer_is_read(
    bank: Topology, foreign: SchemaRegistryClient, codec: Codec, avsc: dict[str, Any]
) -> None:
    options = {
        "auto.register.schemas": False,
        "subject.name.strategy": topic_record_subject_name_strategy,
    }
    schema = json.dumps(avsc[f"{bank.name}.account.Post"])
    serialize = AvroSerializer(foreign, schema, conf=options)
    context = SerializationContext(f"{bank.name}.account.commands", MessageField.VALUE)
    message = serialize({"account": "ada", "amount": Decimal("12.34"), "note": None}, context)
    assert message == codec.encode(Post("ada", Decimal("12.34")))
    assert codec.decode(message) == Post("ada", Decimal("12.34"))


def test_a_foreign_consumer_reads_an_event_with_its_meta_as_columns(
    bank: Topology, foreign: SchemaRegistryClient, codec: Codec, avsc: dict[str, Any]
) -> None:
    read = AvroDeserializer(foreign, json.dumps(avsc[f"{bank.name}.account.Posted"]))
    context = SerializationContext(f"{bank.name}.account.events", MessageField.VALUE)
    found: Any = read(codec.encode(sample.event, sample.meta), context)
    assert found == {
        "account": "ada",
        "amount": Decimal("-12.50"),
        "note": "rent",
        "meta": {
            "event_id": "ada@7",
            "aggregate_id": "ada",
            "version": 7,
            "time": sample.meta.time,
            "causation": "c-1",
            "correlation": "k-1",
            "actor": "ops",
            "tenant": None,
        },
    }
