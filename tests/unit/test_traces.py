"""Traces: off unless a collector is named, spans of batches and requests otherwise, and nothing of anybody in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from commands import logs
from commands.traces import Traced, tracer_of
from dashboard.web import make_app
from schemas.announcements import Announcement
from schemas.tracing import UNTRACED
from sinks.asking import Asking
from sinks.store import Store
from tests.collectors import Collector, attributes_of, collecting
from tests.served import replayed_acme
from tests.stores import NOON

SECRET = "zorvika@quillmark-oy.fi"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("traces"))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector


def tracer(collector: Collector) -> Traced:
    made = tracer_of("sink", collector.environment, lambda sentence: None)
    assert isinstance(made, Traced)
    return made


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=str,
)
def test_there_are_no_traces_unless_a_collector_is_named(environment: dict[str, str]) -> None:
    assert tracer_of("sink", environment, lambda sentence: None) is UNTRACED


def test_without_traces_every_span_is_the_same_object() -> None:
    with UNTRACED.span("sink batch") as first, UNTRACED.span("fold") as second:
        first.tell(messages=1)
        second.rename("other")

    assert first is second


def test_a_process_without_the_libraries_says_what_to_install_and_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    told: list[str] = []

    found = tracer_of("sink", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, told.append)

    assert found is UNTRACED
    (sentence,) = told
    assert isinstance(sentence, Announcement)
    assert sentence.seriousness == "warning"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in sentence
    assert sentence.endswith("pip install 'bypassflow[telemetry]'")


def test_spans_reach_the_collector_with_their_parts_and_figures(collector: Collector) -> None:
    traced = tracer(collector)
    with traced.span("sink batch") as batch:
        with traced.span("fold"):
            pass
        batch.tell(facts=3)
    traced.finish()

    fold, whole = collector.spans()
    assert collector.services() == {"bypassflow-sink"}
    assert (fold.name, whole.name) == ("fold", "sink batch")
    assert fold.parent_span_id == whole.span_id
    assert attributes_of(whole) == {"bypassflow.facts": 3}
    assert whole.end_time_unix_nano >= fold.end_time_unix_nano > fold.start_time_unix_nano


def test_a_collector_that_is_away_costs_its_spans_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with collecting() as gone:
        environment = gone.environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    logs.begin()
    traced = tracer_of("sink", environment, lambda sentence: None)
    assert isinstance(traced, Traced)
    with traced.span("sink batch"):
        done = "written"
    traced.finish()

    assert done == "written"
    assert "Failed to export" in capsys.readouterr().err


def test_an_error_is_traced_by_its_kind_and_never_its_words(collector: Collector) -> None:
    traced = tracer(collector)
    with pytest.raises(ValueError, match=SECRET), traced.span("ingest batch"):
        raise ValueError(SECRET)
    traced.finish()

    (span,) = collector.spans()
    assert attributes_of(span) == {"error.type": "ValueError"}
    assert span.status.code == 2
    assert not any(SECRET.encode() in body for body in collector.bodies)


def test_a_request_is_traced_by_the_template_of_its_path(collector: Collector, store: Path) -> None:
    traced = tracer(collector)
    with Store.open(store) as opened:
        asking = Asking(opened)
        client = TestClient(make_app(asking, now=lambda: NOON, tracer=traced), base_url="http://localhost")
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        client.get(f"/v1/customers/{SECRET}/timeline?team={SECRET}", headers={"traceparent": trace})
        client.request(f"GET{SECRET}".replace("@", "").upper(), f"/{SECRET}", headers={"user-agent": SECRET})
        asking.close()
    traced.finish()

    asked, other = collector.spans()
    assert asked.name == "GET /v1/customers/{customer_id:path}/timeline"
    found = attributes_of(asked)
    assert found["http.route"] == "/v1/customers/{customer_id:path}/timeline"
    assert found["http.request.method"] == "GET"
    assert isinstance(found["http.response.status_code"], int)
    assert other.name == "other other"
    # A client cannot put its requests into a trace of its choice.
    assert asked.trace_id.hex() != "0af7651916cd43dd8448eb211c80319c"
    everything = b"".join(collector.bodies).lower()
    assert b"quillmark" not in everything
