"""What is wrong with a request, as RFC 9457 has it: `application/problem+json`."""

from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from foldlog.core.errors import QueryError

log = structlog.get_logger()


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that says what is wrong and what to do."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


def install(app: FastAPI) -> None:
    """Every error of an application becomes a problem."""

    @app.exception_handler(QueryError)
    async def _(_request: Request, error: QueryError) -> Response:
        return problem(error.status, str(error), {"Retry-After": "1"} if error.status in (429, 503) else None)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        what = {404: f"there is no {request.url.path}", 405: f"{request.method} is not possible here"}
        return problem(error.status_code, what.get(error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("query", "body", "path", "header"))
        return problem(422, f"{place or 'body'}: {first['msg']}")

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        log.error("a request failed", path=request.url.path, exc_info=error)
        return problem(500, "see the service's log")
