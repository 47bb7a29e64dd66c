"""Commands in over HTTP: validated, sent under their idempotency key, answered with what came of them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from foldlog import __version__
from foldlog.client.asynchronous import AsyncClient
from foldlog.client.commands import Command, new_id
from foldlog.core.errors import DeadlineError, DecodeError
from foldlog.core.outcome import Reply
from foldlog.core.plain import plain
from foldlog.core.topics import MAX_MESSAGE_BYTES
from foldlog.edges import openapi, problems
from foldlog.edges.cloudevents import BATCH, JSON, STRUCTURED
from foldlog.edges.incoming import Gate, valid
from foldlog.web.problems import problem

LONGEST_WAIT = 60.0  # s
CE = "ce-"


class Door:
    """Answers requests about one context with its client."""

    def __init__(self, client: AsyncClient, wait: float) -> None:
        self.context = client.topology.name
        self.gate = Gate(client.topology)
        self._client, self._wait = client, wait

    def one(self, name: str | None) -> Callable[[Request], Awaitable[Response]]:
        """A handler for commands of a type; of any type, as a CloudEvent, an item or an array, without a name."""

        async def handle(request: Request) -> Response:
            body, kind = await _body(request), _content_type(request)
            if name is None and (kind == BATCH or (kind == JSON and body.lstrip().startswith(b"["))):
                return await self._many(self.gate.batch(body, kind == BATCH), _wait(request, self._wait))
            command = self._command(name, kind, _attributes(request.headers), body, request.headers)
            return await self._single(command, _wait(request, self._wait))

        return handle

    async def status(self, id: str, since: int = 0) -> Response:
        """What came of a command that was answered with 202."""
        reply = await self._client.reply(id, since=datetime.fromtimestamp(max(0, min(since, 1 << 42)) / 1000, UTC))
        if reply is None:
            return _json(202, {"command_id": id, "status": "pending"}, {"Retry-After": "1"})
        return _outcome(reply)

    def _command(
        self, name: str | None, kind: str, attributes: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Command:
        if name is None or kind == STRUCTURED or "type" in attributes:
            command = self.gate.any(kind, attributes, body)
            if name is not None and type(command.record) is not self.gate.parser.kinds[name]:
                raise DecodeError(f"type: is {type(command.record).__name__}, not {name}")
        else:
            actor, correlation = headers.get("foldlog-actor"), headers.get("foldlog-correlation")
            command = self.gate.named(name, body, None, actor, correlation)
        key = headers.get("idempotency-key")
        return valid(command._replace(id=key if key is not None else command.id or new_id()))

    async def _single(self, command: Command, wait: float) -> Response:
        sent = datetime.now(UTC)
        if wait == 0:
            await self._client.publish(command, reply=True)
            return self._pending(command, sent)
        try:
            (reply,) = await self._client.send_all([command], wait)
        except DeadlineError as error:
            return self._pending(command, sent) if error.sent else _unsent(str(error), command_id=command.id)
        return _outcome(reply)

    async def _many(self, commands: list[Command], wait: float) -> Response:
        sent = datetime.now(UTC)
        named = [command if command.id else command._replace(id=new_id()) for command in commands]
        found = await self._client.outcomes(named, wait)
        late = [each for each in found if isinstance(each, DeadlineError)]
        outcomes = [
            plain(each) if isinstance(each, Reply) else {**self._waiting(command, sent), "sent": each.sent}
            for command, each in zip(named, found, strict=True)
        ]
        unsent = [each for each in late if not each.sent]
        if unsent:
            return _unsent(str(unsent[0]), outcomes=outcomes)
        return _json(202 if late else 200, outcomes, {})

    def _waiting(self, command: Command, sent: datetime) -> dict[str, str | None]:
        return {"command_id": command.id, "status": "pending", "status_url": self._url(command, sent)}

    def _pending(self, command: Command, sent: datetime) -> Response:
        body = self._waiting(command, sent)
        return _json(202, body, {"Location": str(body["status_url"]), "Retry-After": "1"})

    def _url(self, command: Command, sent: datetime) -> str:
        # A minute back: clocks differ, and the reply is looked for from there on.
        since = int(sent.timestamp() * 1000) - 60_000
        return f"/commands/{self.context}/replies/{quote(str(command.id), safe='')}?since={since}"


def application(client: AsyncClient, wait: float) -> FastAPI:
    """The HTTP edge of a client's context; it waits so many seconds for a reply unless a request says otherwise."""
    door = Door(client, wait)
    app = FastAPIOffline(
        title=f"Commands of {door.context}", version=__version__, redoc_url=None, redirect_slashes=False
    )
    problems.install(app)
    root = f"/commands/{door.context}"
    kinds = door.gate.parser.kinds
    shapes = openapi.install(app, tuple(kinds.values()))
    app.post(root, **openapi.batch(kinds))(door.one(None))
    app.get(f"{root}/replies/{{id:path}}", **openapi.STATUS)(door.status)
    for name, kind in kinds.items():
        app.post(f"{root}/{name}", **openapi.command(name, shapes[kind]))(door.one(name))
    return app


async def _body(request: Request) -> bytes:
    """The body; 413 where it is longer than Kafka would take it, before it is in memory."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_MESSAGE_BYTES:
            raise HTTPException(413, f"the body is longer than {MAX_MESSAGE_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _content_type(request: Request) -> str:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, STRUCTURED, BATCH):
        raise HTTPException(415, f"`{kind}` is none of {JSON}, {STRUCTURED} and {BATCH}")
    return kind


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(CE): unquote(value) for name, value in headers.items() if name.startswith(CE)}


def _wait(request: Request, default: float) -> float:
    """Seconds to wait for a reply, as `Prefer: wait=5` or `Prefer: respond-async` says (RFC 7240)."""
    for wish in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = wish.strip().partition("=")
        if name.lower() == "respond-async":
            return 0.0
        if name.lower() == "wait":
            if not value.isascii() or not value.isdecimal():
                raise HTTPException(400, f"Prefer: wait is a number of seconds, not `{value}`")
            return min(float(value), LONGEST_WAIT)
    return default


def _unsent(detail: str, **more: Any) -> Response:
    """Kafka is not known to have it."""
    return problem(503, detail, {"Retry-After": problems.RETRY_S}, **more)


def _outcome(reply: Reply) -> Response:
    match reply.status:
        case "accepted":
            return _json(200, plain(reply), {})
        case "rejected":
            status = 409
        case _:
            status = 500
    reason = reply.reason or reply.status
    return problem(status, reason, None, command_id=reply.command_id, outcome=reply.status)


def _json(status: int, body: Any, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(body), status, headers, JSON)
