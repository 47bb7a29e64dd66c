"""What is wrong with a request, as RFC 9457 has it: `application/problem+json`."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

log = structlog.get_logger()

PROBLEM = "application/problem+json"


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """An answer that says what is wrong and what to do; `more` are members of the problem's own."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(msgspec.json.encode(body), status, headers, PROBLEM)


def install(app: FastAPI, unforeseen: str) -> None:
    """The errors of HTTP itself, and those that nobody foresaw, become problems; `unforeseen` says where to look."""

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        what = {404: f"there is no {request.url.path}", 405: f"{request.method} is not possible here"}
        return problem(error.status_code, what.get(error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        log.error("a request failed", path=request.url.path, exc_info=error)
        return problem(500, unforeseen)
