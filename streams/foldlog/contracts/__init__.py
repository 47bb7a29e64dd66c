"""Contracts: records as Avro in Confluent framing, their schemas as files and in the registry."""
