"""What went wrong, as the API says it: problem details, one sentence and no customer's data.

Source: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import duckdb
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pipeline.errors import ConfigurationError, NotShown, TransientError
from sinks.asking import Busy

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
_MOST_ERRORS: Final = 20


class Mistake(BaseModel):
    """One part of a question that cannot be understood."""

    place: str = Field(description="where it stands: query.limit, path.day")
    message: str = Field(description="what was expected there")


class Problem(BaseModel):
    """What went wrong."""

    type: str = Field(description="always about:blank: the status says what kind of problem it is")
    title: str = Field(description="the status in words")
    status: int = Field(description="status of the answer", ge=400, le=599)
    detail: str = Field(description="what was found, what was expected, and the remedy")
    errors: list[Mistake] = Field(default=[], description="of status 422: each part that cannot be understood")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Sequence[Mistake] = ()
) -> Response:
    """Return the answer that tells of a problem."""
    told: dict[str, Any] = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
    }  # fmt: skip
    if errors:
        told["errors"] = [each.model_dump() for each in errors]
    return Response(orjson.dumps(told), status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a description of the API says of these statuses."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        told[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in (429, 503):
            told[status]["headers"] = {
                "Retry-After": {
                    "description": "seconds after which to ask again", "required": True, "schema": {"type": "integer"},
                }
            }  # fmt: skip
    return told


def add_problems(app: FastAPI) -> None:
    """Let an application tell every problem in this way."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), error.headers)

    def not_understood(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not repeated: it may name a customer.
        mistakes = [
            Mistake(place=".".join(map(str, each["loc"])), message=str(each["msg"]).removeprefix("Value error, "))
            for each in error.errors()[:_MOST_ERRORS]
        ]
        places = ", ".join(dict.fromkeys(each.place for each in mistakes))
        return problem(422, f"the question cannot be understood, see errors: {places}", errors=mistakes)

    def wrong(request: Request, error: Exception) -> Response:
        return problem(403 if isinstance(error, NotShown) else 400, str(error))

    def busy(request: Request, error: Exception) -> Response:
        return problem(429, str(error), {"Retry-After": str(RETRY_SECONDS)})

    def later(request: Request, error: Exception) -> Response:
        detail = str(error) if isinstance(error, TransientError) else "the store cannot answer now; ask again"
        return problem(503, detail, {"Retry-After": str(RETRY_SECONDS)})

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, not_understood)
    app.add_exception_handler(ConfigurationError, wrong)
    app.add_exception_handler(Busy, busy)
    app.add_exception_handler(TransientError, later)
    app.add_exception_handler(duckdb.Error, later)
