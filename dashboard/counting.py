"""Figures of the server for Prometheus: how often and how long it was asked. Nothing in them names a person."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from sinks.figures import FoundFigures

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def method_of(method: str) -> str:
    """Return a request's method as it is told: a client may send any word."""
    return method if method in _METHODS else "other"


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
        ProcessCollector(registry=self._registry)
        self._told = FoundFigures()
        self._registry.register(self._told)
        self._telling = threading.Lock()

    def own(self) -> list[Metric]:
        """Return the figures of requests alone."""
        return [*self._requests.collect(), *self._seconds.collect()]

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a template and never what was asked."""
        self._requests.labels(path, method_of(method), str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self, metrics: Iterable[Metric]) -> bytes:
        """Return all figures in Prometheus' text format, with what is told beside them."""
        with self._telling:
            told = list(metrics)
            self._told.find = lambda: told
            return generate_latest(self._registry)
