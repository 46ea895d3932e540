"""Traces for OpenTelemetry: off unless its own variables name a collector.

Where they do and the libraries are not installed, the process says so and runs on: the variables may be set for a whole
machine, and a process that measures is worth more than its trace. No trace goes from topic to topic: what is written to
a topic is the same bytes whether anybody listens or not; the offsets in the spans lead from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from schemas.announcements import Announcement
from schemas.tracing import UNTRACED, Span, Tracer

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
REMEDY: Final = "pip install 'bypassflow[telemetry]'"
_TIMEOUTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
# How long a batch of spans is tried to be sent, unless these say otherwise. A process waits for its last ones when it
# ends; with the ten seconds of the library a collector that is away made that twenty. Unit: seconds.
_PATIENCE: Final = 2.0
# Attributes that OpenTelemetry itself defines; ours stand under our name.
_CONVENTIONAL: Final = {
    "method": "http.request.method",
    "route": "http.route",
    "status_code": "http.response.status_code",
}


def tracer_of(process: str, environment: Mapping[str, str], tell: Callable[[str], None]) -> Tracer:
    """Return what begins the spans of a process, by OpenTelemetry's variables; `tell` hears why there are none."""
    if not any(environment.get(name) for name in ENDPOINTS):
        return UNTRACED
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return UNTRACED
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        name = next(name for name in ENDPOINTS if environment.get(name))
        sentence = f"{name} is set, and what sends traces is not installed; none are sent; {REMEDY}"
        tell(Announcement(sentence, "traces unavailable", "warning"))
        return UNTRACED
    named = {} if environment.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: f"bypassflow-{process}"}
    provider = TracerProvider(resource=Resource.create(named))
    is_patience_chosen = any(environment.get(name) for name in _TIMEOUTS)
    exporter = OTLPSpanExporter(timeout=None if is_patience_chosen else _PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traced(provider)


class Traced:
    """Begins spans of OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("bypassflow")

    def finish(self) -> None:
        """Send what was not sent yet, and take no more; the end of the process does the same."""
        self._provider.shutdown()

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """Begin a span, and end it; of an error it tells the kind, and never the words."""
        from opentelemetry.trace import Status, StatusCode

        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as begun:
            try:
                yield _Told(begun)
            except BaseException as error:
                begun.set_attribute("error.type", type(error).__name__)
                begun.set_status(Status(StatusCode.ERROR))
                raise


class _Told:
    """A span that is sent."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, **attributes: str | int | float) -> None:
        """Set attributes."""
        for name, value in attributes.items():
            self._span.set_attribute(_CONVENTIONAL.get(name, f"bypassflow.{name}"), value)

    def rename(self, name: str) -> None:
        """Name it otherwise."""
        self._span.update_name(name)
