"""Figures of the server for Prometheus: how often and how long it was asked. Nothing in them names a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE: Final = "text/plain"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counting:
    """The figures of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names = ("path", "method", "status")
        self._requests = Counter(
            "bypassflow_http_requests", "Requests by path template, method and status", names, registry=self._registry
        )
        self._seconds = Histogram(
            "bypassflow_http_request_seconds", "Seconds until an answer was sent", ("path",), registry=self._registry
        )
        self._gauges: dict[str, Gauge] = {}

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a template and never what was asked."""
        self._requests.labels(path, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> bytes:
        """Return all figures in Prometheus' text format, with gauges: a meaning and a value by name."""
        for name, (meaning, value) in gauges.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(name, meaning, registry=self._registry)
            self._gauges[name].set(value)
        return generate_latest(self._registry)
