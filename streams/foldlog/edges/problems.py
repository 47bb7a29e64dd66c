"""What is wrong with a request, as RFC 9457 has it: `application/problem+json`."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from foldlog.core.errors import (
    ClusterError,
    ConfigError,
    ContractError,
    DecodeError,
    EncodeError,
    FoldlogError,
)

log = structlog.get_logger()

PROBLEM = "application/problem+json"
RETRY_S = "5"


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """An answer that says what is wrong; `more` are members of the problem's own."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(msgspec.json.encode(body), status, headers, PROBLEM)


def install(app: FastAPI) -> None:
    """Every error of an application becomes a problem."""

    @app.exception_handler(FoldlogError)
    async def _(_request: Request, error: FoldlogError) -> Response:
        status = _status(error)
        return problem(status, str(error), {"Retry-After": RETRY_S} if status == 503 else None)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        what = {404: f"there is no {request.url.path}", 405: f"{request.method} is not possible here"}
        return problem(error.status_code, what.get(error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        log.error("a request failed", path=request.url.path, exc_info=error)
        return problem(500, "see the edge's log")


def _status(error: FoldlogError) -> int:
    match error:
        case DecodeError() | EncodeError():
            return 422
        case ClusterError() | ConfigError() | ContractError():
            return 503
        case _:
            return 500
