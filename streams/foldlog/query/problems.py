"""What is wrong with a request, as RFC 9457 has it: `application/problem+json`."""

import duckdb
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from foldlog.core.errors import QueryError
from foldlog.web import problems
from foldlog.web.problems import problem


def install(app: FastAPI) -> None:
    """Every error of an application becomes a problem."""
    problems.install(app, "see the service's log")

    @app.exception_handler(QueryError)
    async def _(_request: Request, error: QueryError) -> Response:
        return problem(error.status, str(error), {"Retry-After": "1"} if error.status in (429, 503) else None)

    @app.exception_handler(duckdb.FatalException)
    async def _(_request: Request, _error: duckdb.FatalException) -> Response:
        return problem(503, "the replica's database has failed: /healthz says so until the service is started again")

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("query", "body", "path", "header"))
        return problem(422, f"{place or 'body'}: {first['msg']}")
