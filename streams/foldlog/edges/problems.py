"""What is wrong with a request, as RFC 9457 has it: `application/problem+json`."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from foldlog.core.errors import (
    ClusterError,
    ConfigError,
    ContractError,
    DecodeError,
    EncodeError,
    FoldlogError,
)
from foldlog.web import problems
from foldlog.web.problems import problem

RETRY_S = "5"


def install(app: FastAPI) -> None:
    """Every error of an application becomes a problem."""
    problems.install(app, "see the edge's log")

    @app.exception_handler(FoldlogError)
    async def _(_request: Request, error: FoldlogError) -> Response:
        status = _status(error)
        return problem(status, str(error), {"Retry-After": RETRY_S} if status == 503 else None)

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem(422, f"{first['loc'][-1]}: {first['msg']}")


def _status(error: FoldlogError) -> int:
    match error:
        case DecodeError() | EncodeError():
            return 422
        case ClusterError() | ConfigError() | ContractError():
            return 503
        case _:
            return 500
