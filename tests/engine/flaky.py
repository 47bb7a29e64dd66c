"""A webhook that fails three calls of ten: `python -m tests.engine.flaky PORT FILE`; what it took is in the file."""

import json
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn

PORT, GOT = int(sys.argv[1]), Path(sys.argv[2]).open("a", buffering=1)  # noqa: SIM115 — as long as the process


async def app(
    scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Takes a message, or refuses it."""
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    status = 503 if random.random() < 0.3 else 204
    if status == 204:
        key = dict(scope["headers"])[b"idempotency-key"].decode()
        message = json.loads(body)
        GOT.write(f"{message['to']} {message['subject']} {key}\n")
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", lifespan="off")
