"""AsyncAPI 3 documents: what a context takes, tells and shows, for people and generators of other languages.

https://www.asyncapi.com/docs/reference/specification/v3.0.0 with the Kafka bindings 0.5.0. Private topics (logs,
snapshots, inboxes) are left out: only what others may build on is in the document.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from foldlog.contracts.schema import Schema, schema_of
from foldlog.contracts.subjects import engine_name, schemas
from foldlog.core import topics
from foldlog.core.contract import Contract, consumed, contracts
from foldlog.core.outcome import Reply
from foldlog.core.topics import Topic
from foldlog.core.topology import Topology

Json = dict[str, Any]

_BINDING = "0.5.0"
_AVRO = "application/vnd.apache.avro+json;version=1.9.0"
# The key of each kind of record, and what the context does with it.
_KEYS = {"command": "aggregate or saga id", "public": "aggregate id", "row": "row key"}


class Server(NamedTuple):
    """Where the context runs: Kafka's `host:port` and the registry's URL."""

    kafka: str
    registry: str


class _Channel(NamedTuple):
    """One topic: what the context does with it, and its messages by full name with their schemas."""

    topic: str
    action: str
    key: str
    messages: dict[str, Schema]


def document(topology: Topology, version: str, server: Server | None = None) -> Json:
    """The AsyncAPI document of a context: commands and subscriptions are received, events and rows are sent."""
    channels = [*_own(topology), *_others(topology)]
    configured = {topic.name: topic for topic in topics.topics(topology)}
    found: Json = {
        "asyncapi": "3.0.0",
        "info": {
            "title": topology.name,
            "version": version,
            "description": f"The bounded context {topology.name}: its commands, public events and views on Kafka.",
        },
        "defaultContentType": "avro/binary",
        **({"servers": {"kafka": _server(server)}} if server else {}),
        "channels": {each.topic: _channel(each, configured.get(each.topic)) for each in channels},
        "operations": {f"{each.action}.{each.topic}": _operation(topology, each) for each in channels},
        "components": {
            "messages": {name: _message(name, each) for each in channels for name in each.messages},
        },
    }
    return found


def _own(topology: Topology) -> Iterator[_Channel]:
    """What is this context's: commands, public events, rows; the replies come last."""
    known = schemas(topology)
    by_topic: dict[str, list[Contract]] = {}
    for contract in contracts(topology):
        if contract.part in _KEYS:
            by_topic.setdefault(_topic(topology, contract), []).append(contract)
    for topic, found in by_topic.items():
        part = found[0].part
        action = "receive" if part == "command" else "send"
        yield _Channel(topic, action, _KEYS[part], {each.name: known[each.name] for each in found})
    reply = engine_name(Reply)
    yield _Channel(topics.replies(topology.name), "send", "command id", {reply: known[reply]})


def _others(topology: Topology) -> Iterator[_Channel]:
    """What other contexts publish, as this one reads it."""
    by_topic: dict[str, dict[str, Schema]] = {}
    for contract in consumed(topology):
        by_topic.setdefault(_topic(topology, contract), {})[contract.name] = schema_of(contract)
    for topic, messages in by_topic.items():
        yield _Channel(topic, "receive", _KEYS["public"], messages)


def _topic(topology: Topology, contract: Contract) -> str:
    if contract.part == "command":
        return topics.commands(contract.context, contract.owner)
    generations = {view.name: view.generation for view in topology.views} if contract.part == "row" else {}
    return topics.table(contract.context, generations.get(contract.owner, contract.owner))


def _server(server: Server) -> Json:
    binding = {"schemaRegistryUrl": server.registry, "bindingVersion": _BINDING}
    return {"host": server.kafka, "protocol": "kafka", "bindings": {"kafka": binding}}


def _channel(channel: _Channel, topic: Topic | None) -> Json:
    binding: Json = {"topic": channel.topic, "bindingVersion": _BINDING}
    if topic is not None:
        binding |= {"partitions": topic.partitions, "topicConfiguration": _configuration(topic)}
    messages = {name: _reference("components/messages", name) for name in channel.messages}
    return {"address": channel.topic, "messages": messages, "bindings": {"kafka": binding}}


def _configuration(topic: Topic) -> Json:
    config = topic.config
    kept: Json = {"cleanup.policy": config["cleanup.policy"].split(",")}
    return kept | {name: int(config[name]) for name in ("retention.ms", "max.message.bytes") if name in config}


def _operation(topology: Topology, channel: _Channel) -> Json:
    operation: Json = {
        "action": channel.action,
        "channel": _reference("channels", channel.topic),
        "messages": _messages(channel.topic, channel.messages),
    }
    if channel.topic.endswith(".commands"):
        replies = topics.replies(topology.name)
        to = {"channel": _reference("channels", replies), "messages": _messages(replies, [engine_name(Reply)])}
        return {**operation, "reply": to}
    groups = [f"{topology.name}.{each.name}" for each in topology.consumes if each.publisher == channel.topic]
    if groups:
        binding = {"groupId": {"type": "string", "enum": groups}, "bindingVersion": _BINDING}
        return {**operation, "bindings": {"kafka": binding}}
    return operation


def _messages(topic: str, names: Iterable[str]) -> list[Json]:
    return [_reference(f"channels/{topic}/messages", name) for name in names]


def _message(name: str, channel: _Channel) -> Json:
    schema = channel.messages[name]
    binding = {
        "key": {"type": "string", "description": channel.key},
        "schemaIdLocation": "payload",
        "schemaIdPayloadEncoding": "confluent",
        "schemaLookupStrategy": "TopicRecordNameStrategy",
        "bindingVersion": _BINDING,
    }
    summary = {"summary": schema["doc"]} if "doc" in schema else {}
    payload = {"schemaFormat": _AVRO, "schema": schema}
    return {"name": name, "title": schema["name"], **summary, "payload": payload, "bindings": {"kafka": binding}}


def _reference(path: str, name: str) -> Json:
    return {"$ref": f"#/{path}/{name}"}
