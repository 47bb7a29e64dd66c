"""The HTTP edge's own description: every command with its fields, every answer."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

from foldlog.core.outcome import Reply
from foldlog.core.record import Record
from foldlog.edges.cloudevents import BATCH, JSON, STRUCTURED
from foldlog.web.problems import PROBLEM

REF = "#/components/schemas/{name}"
_PROBLEM = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REPLY = {JSON: {"schema": {"$ref": "#/components/schemas/Reply"}}}
_PENDING = {JSON: {"schema": {"$ref": "#/components/schemas/Pending"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Accepted by the aggregate.", "content": _REPLY},
    202: {"description": "Kafka has it; no reply yet: see `status_url`.", "content": _PENDING},
    404: {"description": "There is no such command.", "content": _PROBLEM},
    409: {"description": "Rejected by the aggregate.", "content": _PROBLEM},
    413: {"description": "Too long.", "content": _PROBLEM},
    415: {"description": "Not JSON by its content type.", "content": _PROBLEM},
    422: {"description": "A field is wrong: `detail` says which.", "content": _PROBLEM},
    500: {"description": "It could not be handled; it is a dead letter.", "content": _PROBLEM},
    503: {"description": "Kafka or the registry does not answer: try again under the same key.", "content": _PROBLEM},
}
_HEADERS = [
    {"name": "Idempotency-Key", "in": "header", "description": "The command's id: it has its effect once."},
    {"name": "Prefer", "in": "header", "description": "`wait=5`: seconds; `respond-async`: not at all."},
    {"name": "Foldlog-Actor", "in": "header", "description": "Who wants it; stands in the events."},
    {"name": "Foldlog-Correlation", "in": "header", "description": "Copied to the events and along sagas."},
]
_PARAMETERS = [{**header, "required": False, "schema": {"type": "string"}} for header in _HEADERS]
_EVENT = {"type": "object", "description": "A CloudEvent 1.0 whose type is the command's name."}
STATUS: dict[str, Any] = {
    "summary": "What came of a command",
    "responses": {status: _RESPONSES[status] for status in (200, 202, 409, 422, 500, 503)},
}


def command(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    """The route of one command, whose fields have this schema."""
    content = {JSON: {"schema": shape}, STRUCTURED: {"schema": _EVENT}}
    return _route(name, content)


def batch(kinds: Mapping[str, type[Record]]) -> dict[str, Any]:
    """The route of any command and of many."""
    item = {
        "type": "object",
        "required": ["type", "data"],
        "properties": {
            "type": {"enum": list(kinds)},
            "data": {"type": "object"},
            **{name: {"type": "string"} for name in ("id", "actor", "correlation")},
        },
    }
    content = {
        JSON: {"schema": {"oneOf": [item, {"type": "array", "items": item}]}},
        STRUCTURED: {"schema": _EVENT},
        BATCH: {"schema": {"type": "array", "items": _EVENT}},
    }
    return _route("One command of any type, or an array of them", content)


def _route(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    extra = {"parameters": _PARAMETERS, "requestBody": {"required": True, "content": content}}
    return {"summary": summary, "responses": _RESPONSES, "openapi_extra": extra}


def install(app: FastAPI, kinds: tuple[type[Record], ...]) -> dict[type[Record], dict[str, Any]]:
    """Adds the schemas that the routes refer to; gives that of each command."""
    (_, *shapes), found = msgspec.json.schema_components([Reply, *kinds], ref_template=REF)
    text, number = {"type": "string"}, {"type": "integer"}
    found["Problem"] = {
        "type": "object",
        "properties": {"type": text, "title": text, "status": number, "detail": text},
    }
    found["Pending"] = {"type": "object", "properties": dict.fromkeys(("command_id", "status", "status_url"), text)}
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {}).setdefault("schemas", {}).update(found)
        return schema

    app.openapi = described  # type: ignore[method-assign]
    return dict(zip(kinds, shapes, strict=True))
