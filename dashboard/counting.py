"""What Prometheus reads: how the API answers, and what the store holds; nothing of any person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from starlette.types import Scope

from sinks.asking import Asking
from sinks.store import Store

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_UNKNOWN: Final = "unknown"


class Counted:
    """Counts answers by the template of their path, which holds no ids."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ("method", "path")
        self._requests = Counter(
            "bypassflow_http_requests", "Answered requests.", (*names, "status"), registry=registry
        )
        self._seconds = Histogram(
            "bypassflow_http_request_seconds", "Time until a request was answered.", names, registry=registry
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer."""
        path = getattr(scope.get("route"), "path", _UNKNOWN)
        method = scope["method"] if scope["method"] in _METHODS else _UNKNOWN
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(method, path).observe(seconds)


class _Holdings:
    """Asks the store when it is scraped."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges of the store."""
        rows, letters = self._asking.ask(_holdings)
        interactions = GaugeMetricFamily(
            "bypassflow_interactions", "Interactions in the store.", labels=("channel", "outcome")
        )
        for row in rows:
            interactions.add_metric((row["channel"], row["outcome"]), row["interaction_count"])
        dead = GaugeMetricFamily("bypassflow_dead_letters", "Records that could not be used.", labels=("source",))
        for row in letters:
            dead.add_metric((row["source"],), row["dead_letter_count"])
        return interactions, dead


def _holdings(store: Store) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    interactions = store.rows(
        "SELECT channel::VARCHAR AS channel, outcome::VARCHAR AS outcome, count(*) AS interaction_count "
        "FROM current_interaction GROUP BY ALL ORDER BY ALL"
    )
    letters = store.rows("SELECT source, count(*) AS dead_letter_count FROM dead_letter GROUP BY ALL ORDER BY ALL")
    return interactions, letters


def add_metrics(app: FastAPI, asking: Asking) -> Counted:
    """Let an app tell its metrics at /metrics; return what counts its answers."""
    registry = CollectorRegistry()
    counted = Counted(registry)
    registry.register(_Holdings(asking))

    @app.get("/metrics", tags=["health"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Tell what Prometheus reads."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return counted
