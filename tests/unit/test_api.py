"""The API answers as the store does, in every media type, and says what is wrong with a question."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

import cli
from dashboard import formats
from dashboard.api_models import Asked
from dashboard.web import make_app, served
from pipeline.errors import ConfigurationError
from sinks import asking as bounds
from sinks.annotations import Annotations, beside
from sinks.asking import Asking
from sinks.measures import FILTERS
from sinks.store import Store
from tests.acme import write_acme
from tests.integration.companies import bypassflow
from tests.stores import NOON

LOCAL = "http://127.0.0.1"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    path = folder / "acme.duckdb"
    ran = bypassflow("replay", write_acme(folder / "acme"), "--db", path)
    assert ran.exit_code == 0, ran.error
    return path


@pytest.fixture(scope="module")
def store(db: Path) -> Iterator[Store]:
    with Store.open(db) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(store: Store, db: Path) -> Iterator[TestClient]:
    with closing(Asking(store)) as asking:
        yield TestClient(make_app(asking, annotations=beside(db)), base_url=LOCAL)


def got(api: TestClient, path: str, **parameters: Any) -> Any:
    answer = api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


# Numbers


def sql_counts(store: Store, condition: str) -> dict[str, int]:
    found = store.rows(
        "SELECT count(*) AS n, count(*) FILTER (outcome = 'pending') AS p, count(*) FILTER (outcome = 'traced') AS t, "
        f"count(*) FILTER (outcome IN ('siloed', 'bypassed')) AS u FROM interactions WHERE {condition}"
    )[0]
    return {
        "interaction_count": found["n"], "pending_count": found["p"], "traced_count": found["t"],
        "numerator": found["u"], "denominator": found["u"] + found["t"],
    }  # fmt: skip


@settings(max_examples=60)
@given(
    channels=st.sets(st.sampled_from(["call", "email", "fax"])),
    outcomes=st.sets(st.sampled_from(["traced", "siloed", "bypassed", "pending"])),
    team=st.sampled_from([None, "none", "Sales", "Nobody"]),
    hours=st.tuples(st.integers(-300, 300), st.integers(1, 300)),
)
def test_api_report_and_hand_written_sql_agree(
    api: TestClient,
    store: Store,
    db: Path,
    channels: set[str],
    outcomes: set[str],
    team: str | None,
    hours: tuple[int, int],
) -> None:
    (first,) = store.rows("SELECT median(started_at) AS at FROM interactions")
    since = first["at"] + timedelta(hours=hours[0])
    until = since + timedelta(hours=hours[1])
    span = {"since": f"{since.isoformat()}Z", "until": f"{until.isoformat()}Z"}
    conditions = [f"started_at >= '{since}'", f"started_at < '{until}'"]
    for name, wanted in (("channel", channels), ("outcome", outcomes)):
        if wanted:
            conditions.append(f"{name} IN ({', '.join(repr(each) for each in sorted(wanted))})")
    if team is not None:
        conditions.append("team IS NULL" if team == "none" else f"team = '{team}'")
    filters = {"channel": sorted(channels), "outcome": sorted(outcomes)} | ({} if team is None else {"team": [team]})

    overall = got(api, "/v1/bypass-share", **span, **filters)["overall"]

    assert {name: overall[name] for name in sql_counts(store, "true")} == sql_counts(store, " AND ".join(conditions))
    if overall["denominator"]:
        assert overall["bypass_share"] == overall["numerator"] / overall["denominator"]
    else:
        assert overall["bypass_share"] is None
    if not (channels or outcomes or team):
        arguments = ("--db", db, "--since", span["since"], "--until", span["until"], "--format", "json")
        reported = json.loads(bypassflow("report", *arguments).out)[0]
        assert {name: overall[name] for name in reported} == reported


def test_groups_add_up_to_the_whole_and_are_those_of_the_report(api: TestClient, db: Path) -> None:
    found = got(api, "/v1/bypass-share", by=["channel", "team"])

    assert sum(row["interaction_count"] for row in found["rows"]) == found["overall"]["interaction_count"] > 0
    reported = json.loads(bypassflow("report", "--db", db, "--by", "channel,team", "--format", "json").out)
    shown = [{name: row[name] for name in reported[0]} for row in found["rows"]]
    assert shown == reported


def test_an_answer_says_up_to_when_the_crm_was_read(api: TestClient, store: Store) -> None:
    (feed,) = store.rows("SELECT min(complete_through) AS at FROM feeds")
    for path in ("/v1/bypass-share", "/v1/interactions", "/v1/audit", "/v1/feeds"):
        assert got(api, path)["as_of"] == f"{feed['at'].isoformat()}Z"


# Lists


def test_pages_together_are_the_whole_list_once(api: TestClient, store: Store) -> None:
    expected = [
        row["interaction_id"]
        for row in store.rows("SELECT interaction_id FROM interactions ORDER BY started_at, interaction_id")
    ]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = got(api, "/v1/interactions", limit=2, **cursor)
        assert 0 < len(page["rows"]) <= 2
        found += [row["interaction_id"] for row in page["rows"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == expected
    assert len(expected) > 2


def test_an_interaction_is_explained_by_the_beginning_of_its_id(api: TestClient) -> None:
    row = got(api, "/v1/interactions", outcome="traced", limit=1)["rows"][0]

    found = got(api, f"/v1/interactions/{row['interaction_id'][:12]}")

    assert found["interaction"]["interaction_id"] == row["interaction_id"]
    assert [each["raw_id"] for each in found["evidence"]] == [each["raw_id"] for each in row["evidence"]]
    assert [each["activity_id"] for each in found["activities"] if each["is_trace"]] == [row["activity_id"]]


def test_every_filter_of_the_store_is_one_of_the_api() -> None:
    assert set(Asked.model_fields) == {*FILTERS, "since", "until", "format"}


def test_measures_that_were_added_are_listed_and_change_the_etag(api: TestClient, db: Path) -> None:
    before = api.get("/v1/measures")
    assert before.json()["rows"] == []

    Annotations(beside(db)).add_measure("Click to dial", NOON, added_at=NOON, teams=["Sales"])

    after = api.get("/v1/measures", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert [(row["name"], row["teams"]) for row in after.json()["rows"]] == [("Click to dial", ["Sales"])]


# Media types


def test_a_table_is_the_same_in_every_media_type(api: TestClient) -> None:
    expected = got(api, "/v1/bypass-share", by="channel")["rows"]
    tables = {}
    for name, media_type in formats.SHORT_NAMES.items():
        by_header = api.get("/v1/bypass-share", params={"by": "channel"}, headers={"Accept": media_type})
        by_link = api.get("/v1/bypass-share", params={"by": "channel", "format": name})
        assert by_header.headers["content-type"].split(";")[0] == media_type
        assert by_header.content == by_link.content
        tables[name] = by_header.content

    assert pa.ipc.open_stream(tables["arrow"]).read_all().to_pylist() == expected
    assert pq.read_table(io.BytesIO(tables["parquet"])).to_pylist() == expected
    lines = list(csv.DictReader(io.StringIO(tables["csv"].decode())))
    assert [line["channel"] for line in lines] == [row["channel"] for row in expected]
    assert [int(line["interaction_count"]) for line in lines] == [row["interaction_count"] for row in expected]


def test_nothing_in_a_csv_begins_a_formula(api: TestClient) -> None:
    text = api.get("/v1/interactions", params={"format": "csv"}).text

    cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line if cell]
    assert cells
    assert not [cell for cell in cells if cell[0] in "=+@\t" or (cell[0] == "-" and cell[1:].strip(".0123456789e-"))]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, formats.JSON),
        ("", formats.JSON),
        ("*/*", formats.JSON),
        ("text/csv", formats.CSV),
        ("application/json;q=0.1, text/csv", formats.CSV),
        ("text/*;q=0.3, application/vnd.apache.parquet;q=0.9", formats.PARQUET),
        ("text/*, text/csv;q=0", None),
        ("image/png, text/html", None),
        ("text/csv;q=x", None),
    ],
)
def test_the_media_type_that_is_wanted_most_is_chosen(accept: str | None, expected: str | None) -> None:
    assert formats.chosen(accept) == expected


def test_who_has_the_answer_already_gets_none(api: TestClient) -> None:
    first = api.get("/v1/bypass-share")
    again = api.get("/v1/bypass-share", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    other = api.get("/v1/bypass-share", params={"by": "team"}, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200


# What is wrong


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/nothing", 404, "Not Found"),
        ("/v1/interactions/ffffffffffffffff", 404, "no interaction's id begins with"),
        ("/v1/bypass-share?by=tea", 400, "by.0: String should match pattern"),
        ("/v1/bypass-share?team=Sales&tem=Sales", 400, "tem: Extra inputs are not permitted"),
        ("/v1/bypass-share?since=2024-13-01", 400, "'2024-13-01' is no date"),
        ("/v1/bypass-share?since=2024-03-02&until=2024-03-01", 400, "nothing lies between"),
        ("/v1/bypass-share?zone=Mars", 400, "unknown time zone 'Mars'"),
        ("/v1/interactions?cursor=abc", 400, "the cursor is none"),
        ("/v1/interactions?limit=0", 400, "limit: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(api: TestClient, path: str, status: int, said: str) -> None:
    answer = api.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert said in found["detail"]


def test_another_method_or_media_type_is_refused(api: TestClient) -> None:
    assert api.post("/v1/bypass-share").status_code == 405
    assert api.get("/v1/bypass-share", headers={"Accept": "image/png"}).status_code == 406


def test_a_page_that_comes_under_another_name_is_refused(api: TestClient) -> None:
    answer = api.get("/v1/audit", headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_too_many_at_once_are_asked_to_come_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_WAIT_SECONDS", 0.05)
    with closing(Asking(store, at_once=1)) as asking:
        api = TestClient(make_app(asking), base_url=LOCAL)
        inside, leave = threading.Event(), threading.Event()

        def occupy(_: Store) -> None:
            inside.set()
            leave.wait(10)

        thread = threading.Thread(target=asking.ask, args=(occupy,))
        thread.start()
        inside.wait(10)
        answer = api.get("/v1/audit")
        leave.set()
        thread.join()

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_an_answer_that_takes_too_long_is_broken_off(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(store: Store) -> list[dict[str, object]]:
        return store.rows("SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b")

    monkeypatch.setattr(bounds, "MOST_SECONDS", 0.2)
    monkeypatch.setattr("sinks.measures.audit", endless)

    answer = api.get("/v1/audit")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "took more than" in answer.json()["detail"]


# The process


def test_a_writer_that_waits_is_not_ready(store: Store) -> None:
    status = {"state": "waiting", "reason": "the broker is silent"}
    with closing(Asking(store)) as asking:
        api = TestClient(make_app(asking, status=lambda: status), base_url=LOCAL)
        assert api.get("/healthz").status_code == 200
        waiting = api.get("/readyz")
        status["state"] = "running"
        running = api.get("/readyz")

    assert (waiting.status_code, waiting.json()["detail"]) == (503, "waiting: the broker is silent")
    assert running.status_code == 200


def test_metrics_count_answers_by_template_and_name_no_interaction(store: Store) -> None:
    with closing(Asking(store)) as asking:
        api = TestClient(make_app(asking), base_url=LOCAL)
        interaction_id = got(api, "/v1/interactions", limit=1)["rows"][0]["interaction_id"]
        for _ in range(2):
            api.get(f"/v1/interactions/{interaction_id}")
        text = api.get("/metrics").text

    line = 'bypassflow_http_requests_total{method="GET",path="/v1/interactions/{interaction_id}",status="200"} 2.0'
    assert line in text.splitlines()
    assert interaction_id not in text
    (count,) = store.rows("SELECT count(*) AS n FROM interactions")
    gauges = [each for each in text.splitlines() if each.startswith("bypassflow_interactions{")]
    assert sum(float(each.rpartition(" ")[2]) for each in gauges) == count["n"]


def test_a_store_is_served_until_it_is_closed(store: Store) -> None:
    with served(store, "127.0.0.1:0") as url:
        with urllib.request.urlopen(f"{url}/v1/dimensions", timeout=10) as answer:
            assert json.load(answer)["rows"]
        with pytest.raises(ConfigurationError, match="nobody can listen on "):
            served(store, url.removeprefix("http://")).__enter__()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/healthz", timeout=10)


@pytest.fixture
def serving(db: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command serve, and where it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--db", db, "--listen", "127.0.0.1:0"],
        cwd=Path(cli.__file__).parent, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("answering at http://127.0.0.1:"), said
        yield process, said.removeprefix("answering at ").partition(",")[0]
    finally:
        process.kill()
        process.communicate()


def test_serve_answers_until_it_is_told_to_stop(serving: tuple[subprocess.Popen[str], str]) -> None:
    process, url = serving
    with urllib.request.urlopen(f"{url}/v1/bypass-share", timeout=10) as answer:
        assert json.load(answer)["overall"]["interaction_count"] > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_the_api_is_as_it_describes_itself(serving: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    _, url = serving
    expected = Path(__file__).parent.parent / "schemathesis.toml"
    ran = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", expected, "run", f"{url}/openapi.json",
            "--checks", "all", "--max-examples", "3", "--seed", "1", "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
