"""CloudEvents 1.0 in JSON, both ways: events as others get them, commands as others send them.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from collections.abc import Mapping

import msgspec

from foldlog.core.contract import Contract
from foldlog.core.errors import DecodeError
from foldlog.core.meta import Meta
from foldlog.core.plain import plain
from foldlog.core.record import Record

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
VERSION = "1.0"


class CloudEvent(msgspec.Struct, omit_defaults=True):
    """A CloudEvent whose data is JSON; `actor`, `correlationid` and `causationid` are extension attributes.

    `sequence` is the aggregate's version, so that a receiver can tell a gap from a repetition.
    """

    id: str
    source: str
    type: str
    specversion: str
    datacontenttype: str | None = None
    subject: str | None = None
    time: str | None = None
    sequence: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    actor: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: str | None = None


REQUIRED = ("id", "source", "type", "specversion")


def of_event(event: Record, meta: Meta, contract: Contract) -> CloudEvent:
    """An event as others get it: the same id however often it is sent, the aggregate as subject."""
    return CloudEvent(
        meta.event_id,
        f"/{contract.context}/{contract.owner}",
        contract.name,
        VERSION,
        JSON,
        meta.aggregate_id,
        meta.time.isoformat().replace("+00:00", "Z"),
        str(meta.version),
        meta.correlation,
        meta.causation,
        meta.actor,
        msgspec.Raw(msgspec.json.encode(plain(event))),
    )


def structured(event: CloudEvent) -> bytes:
    """As one JSON object."""
    return msgspec.json.encode(event)


def from_attributes(attributes: Mapping[str, str], body: bytes) -> CloudEvent:
    """A CloudEvent in binary mode: its attributes from headers, its data as body; DecodeError names what is missing."""
    known = {name: attributes[name] for name in CloudEvent.__struct_fields__ if name in attributes}
    missing = [name for name in REQUIRED if not known.get(name)]
    if missing:
        raise DecodeError(f"{missing[0]}: a CloudEvent needs it")
    return checked(msgspec.convert(known, CloudEvent), msgspec.Raw(body))


def checked(event: CloudEvent, data: msgspec.Raw) -> CloudEvent:
    """The event with its data; DecodeError where it is of another version or its data is no JSON."""
    for name in REQUIRED:
        if not getattr(event, name):
            raise DecodeError(f"{name}: is empty")
    if event.specversion != VERSION:
        raise DecodeError(f"specversion: is {event.specversion}, not {VERSION}")
    if event.data_base64 is not None or not bytes(data):
        raise DecodeError("data: the command's fields as a JSON object are missing")
    return msgspec.structs.replace(event, data=data)
