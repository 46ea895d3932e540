"""Paths for those who run the server: whether it lives, whether it is ready, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.responses import JSONResponse, Response

from dashboard import counting as figures
from dashboard.api import Answering
from dashboard.api_models import Health, Readiness
from dashboard.api_questions import Nothing
from dashboard.counting import Counting
from dashboard.problems import documented
from pipeline.errors import TransientError
from sinks.store import Store

_GAUGES = {
    "bypassflow_store_interactions": ("Interactions in the store", "FROM current_interaction"),
    "bypassflow_store_pending": ("Pending interactions", "FROM current_interaction WHERE outcome = 'pending'"),
    "bypassflow_store_dead_letters": ("Records that could not be used", "FROM dead_letter"),
}


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
        if told["state"] != "running":
            raise TransientError(f"the sink is {told['state']}: {told.get('reason') or 'it does not say why'}")
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
        gauges = answering.asking.ask(_gauges)
        if status is not None:
            told = status()
            waiting = float(sum(each["waiting"] for each in told.get("topics", {}).values()))
            gauges["bypassflow_sink_waiting"] = ("Records of the log that the sink has not applied yet", waiting)
            is_running = float(told["state"] == "running")
            gauges["bypassflow_sink_running"] = ("1: the sink follows the log", is_running)
        return Response(counting.text(gauges), media_type=f"{figures.MEDIA_TYPE}; version=0.0.4")


def _gauges(store: Store) -> dict[str, tuple[str, float]]:
    counts = ", ".join(f"(SELECT count(*) {source}) AS {name}" for name, (_, source) in _GAUGES.items())
    (row,) = store.rows(f"SELECT {counts}")
    return {name: (meaning, float(row[name])) for name, (meaning, _) in _GAUGES.items()}
