"""Paths for those who run the server: whether it lives, whether it is ready, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.responses import JSONResponse, Response

from dashboard.api import Answering
from dashboard.api_models import Health, Readiness
from dashboard.api_questions import Nothing
from dashboard.counting import Counting
from dashboard.problems import documented
from pipeline.errors import TransientError
from sinks import figures
from sinks.consumer import problem_of


def add(app: FastAPI, answering: Answering, *, status: Callable[[], dict[str, Any]] | None, counting: Counting) -> None:
    """Add the paths."""

    @app.get("/healthz", tags=["operation"], response_model=Health, responses=documented(403, 422))
    def healthz(asked: Annotated[Nothing, Query()]) -> Response:
        """Tell that the server answers."""
        return JSONResponse({"state": "running"})

    @app.get("/readyz", tags=["operation"], response_model=Readiness, responses=documented(403, 422, 429, 503))
    def readyz(asked: Annotated[Nothing, Query()]) -> Response:
        """Tell whether the store answers and, over a running sink, whether it is followed."""
        told = status() if status is not None else {"state": "running"}
        if (problem := problem_of(told)) is not None:
            raise TransientError(problem)
        answering.asking.ask(lambda store: store.last_run())
        details = {name: told[name] for name in ("watermark", "closed_through", "folded") if name in told}
        return JSONResponse({"state": "running", "details": details})

    @app.get(
        "/metrics",
        tags=["operation"],
        response_class=Response,
        responses={
            200: {
                "description": "Figures in Prometheus' text format",
                "content": {figures.MEDIA_TYPE: {"schema": {"type": "string"}}},
            },
            **documented(403, 422, 429, 503),
        },
    )
    def metrics(asked: Annotated[Nothing, Query()]) -> Response:
        """Tell the server's and the store's figures."""
        told = answering.asking.ask(figures.store_metrics)
        if status is not None:
            told = [*told, *figures.sink_metrics(status())]
        return Response(counting.text(told), media_type=f"{figures.MEDIA_TYPE}; version=0.0.4")
