"""The server: what it answers to whom, and that it starts and stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dashboard.web import Site, make_app
from pipeline.errors import ConfigurationError
from sinks.annotations import Annotations
from sinks.asking import Asking
from sinks.store import Store
from tests.served import served
from tests.stores import NOON

ROOT = Path(__file__).resolve().parents[2]


def test_the_share_comes_with_what_it_is_made_of(client: TestClient) -> None:
    # Of four conversations one was logged; nothing is pending, for the CRM was read to the tenth of March.
    told = client.get("/v1/bypass-share?by=team").json()
    counts = {row["team"]: (row["untraced_count"], row["decided_count"], row["pending_count"]) for row in told["rows"]}
    assert counts == {"Sales": (2, 3, 0), "Service": (1, 1, 0)}
    assert told["overall"]["bypass_share"] == 0.75
    assert told["as_of"]["complete_through"] == "2024-03-10T22:00:00Z"
    assert told["timezone"] == "Europe/Helsinki"


def test_a_period_is_half_open_and_names_its_zone(client: TestClient) -> None:
    # The calls begin at 9:02 and 9:30 local time, two hours ahead of UTC.
    path = "/v1/bypass-share?since=2024-03-04T09:02:00%2B02:00&until=2024-03-04T07:30:00Z"
    assert client.get(path).json()["overall"]["interaction_count"] == 1
    refused = client.get("/v1/bypass-share?since=2024-03-04T09:02:00")
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert [each["place"] for each in refused.json()["errors"]] == ["query.since"]


def test_a_period_that_ends_before_it_begins_is_empty_and_says_so(client: TestClient) -> None:
    told = client.get("/v1/bypass-share?since=2024-03-05T00:00:00Z&until=2024-03-04T00:00:00Z").json()
    assert told["overall"]["interaction_count"] == 0
    assert told["warnings"] == ["nothing lies in this period: it ends before it begins"]


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/v1/bypass-share?by=colour", 422), ("/v1/bypass-share?colour=red", 422)]
)
def test_a_problem_is_told_in_its_own_form_without_repeating_what_was_sent(
    client: TestClient, path: str, status: int
) -> None:
    told = client.get(path)
    assert told.status_code == told.json()["status"] == status
    assert told.headers["content-type"] == "application/problem+json"
    assert "red" not in told.text


def test_a_method_that_is_not_there_names_those_that_are(client: TestClient) -> None:
    told = client.post("/v1/bypass-share")
    assert (told.status_code, told.headers["allow"]) == (405, "GET")
    assert told.json()["title"] == "Method Not Allowed"


def test_nothing_new_is_sent_to_who_knows_the_position(client: TestClient) -> None:
    first = client.get("/v1/bypass-share")
    again = client.get("/v1/bypass-share", headers={"If-None-Match": first.headers["etag"]})
    other = client.get("/v1/bypass-share", headers={"If-None-Match": first.headers["etag"], "Accept": "text/csv"})
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200


def test_a_page_under_another_name_is_refused(acme: Path) -> None:
    with served(acme, "rebound.example") as asked:
        assert asked.get("/v1/bypass-share").status_code == 403


def test_answers_may_not_be_sniffed_framed_or_kept_by_others(client: TestClient) -> None:
    for path in ("/v1/bypass-share", "/nothing", "/healthz"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] in ("no-store", "private, no-cache")


def test_figures_name_path_templates_and_no_questions(client: TestClient) -> None:
    client.get("/v1/customers/A1/timeline")
    client.get("/v1/bypass-share?team=A1")
    text = client.get("/metrics").text
    assert 'path="/v1/bypass-share",status="200"' in text
    assert "bypassflow_store_interactions 4.0" in text
    assert "A1" not in text


def test_a_sink_that_is_not_running_is_not_ready_and_says_when_to_ask_again(acme: Path) -> None:
    state = {"state": "stalled", "reason": "the disk is full"}
    with Store.open(acme) as store:
        asking = Asking(store)
        asked = TestClient(make_app(asking, status=lambda: state, now=lambda: NOON), base_url="http://localhost")
        told = asked.get("/readyz")
        asking.close()
    assert (told.status_code, told.headers["retry-after"]) == (503, "5")
    assert "the disk is full" in told.json()["detail"]


def test_an_address_that_is_taken_is_told(acme: Path) -> None:
    with Store.open(acme) as store:
        first = Asking(store)
        with Site(make_app(first, now=lambda: NOON), first, "127.0.0.1", 0) as site:
            second = Asking(store)
            with pytest.raises(ConfigurationError, match="nobody can listen"):
                Site(make_app(second, now=lambda: NOON), second, "127.0.0.1", int(site.url.rpartition(":")[2]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_its_address_answers_and_stops(acme: Path, tmp_path: Path, number: int) -> None:
    notes = tmp_path / "notes.sqlite"
    Annotations(notes).add_measure("Click to dial", NOON, added_at=NOON)
    command = [sys.executable, str(ROOT / "cli.py"), "serve", "--db", str(acme), "--listen", "127.0.0.1:0"]
    command += ["--annotations", str(notes)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/v1/bypass-share") as answer:
            assert json.load(answer)["overall"]["decided_count"] == 4
        with urllib.request.urlopen(f"{url}/v1/measures") as answer:
            assert [row["name"] for row in json.load(answer)["rows"]] == ["Click to dial"]
        running.send_signal(number)
        assert running.wait(20) == 0
