"""What is wrong with a request, told as RFC 9457 has it: one JSON object, of its own media type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import duckdb
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from sinks.asking import Busy

MEDIA_TYPE = "application/problem+json"
# When asking again may help. Unit: seconds.
_SOON, _LATER = 2, 10


class Problem(BaseModel):
    """What is wrong: `title` names the kind, `detail` says it in one sentence with the remedy."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class NotFound(BypassflowError):
    """What is asked for is not in the store."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says what is wrong."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(orjson.dumps(body.model_dump()), status, dict(headers or {}), MEDIA_TYPE)


def add_problems(app: FastAPI) -> None:
    """Let an app tell all that goes wrong in this way."""
    handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: _refused,
        RequestValidationError: _invalid,
        BypassflowError: _failed,
        duckdb.Error: _failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    describe = app.openapi

    def described() -> dict[str, Any]:
        """Return the description without the answer that the framework would give to what it cannot read."""
        found = describe()
        for operations in found["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        return found

    app.openapi = described  # type: ignore[method-assign]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The values stay out of the sentence: they may name a customer.
    said = [f"{'.'.join(str(part) for part in each['loc'][1:]) or 'request'}: {each['msg']}" for each in error.errors()]
    return problem(400, "; ".join(said))


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, NotFound):
        return problem(404, str(error))
    if isinstance(error, ConfigurationError):
        return problem(400, str(error))
    if isinstance(error, Busy):
        return problem(429, str(error), {"Retry-After": str(_SOON)})
    if isinstance(error, TransientError):
        return problem(503, str(error), {"Retry-After": str(_LATER)})
    return problem(503, "the store cannot answer now; ask again", {"Retry-After": str(_LATER)})
