"""What is behind the share over HTTP: pages, formats, explanations, and agreement with the report and with SQL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli import app as commands
from dashboard.formats import ARROW, CSV, PARQUET, preferred
from sinks import measures
from sinks.annotations import Annotations, beside
from sinks.paging import Place
from sinks.store import Store
from tests.served import served
from tests.stores import NOON, interaction_row, published, said

TEAMS = ("Sales", "=cmd()", None)
OUTCOMES = ("traced", "siloed", "bypassed", "pending")
CHANNELS = ("call", "email", "sms")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 120 interactions, three an hour, some at the same instant, with every mix of team and outcome."""
    rows = [
        interaction_row(
            f"i{n:03}",
            OUTCOMES[n * 7 % 4],
            team=TEAMS[n % 3],
            channel=CHANNELS[n // 5 % 3],
            started_at=NOON + timedelta(hours=n // 3),
        )
        for n in range(120)
    ]
    return published(tmp_path_factory.mktemp("mixed") / "mixed.duckdb", changes=said(rows))


@pytest.fixture(scope="module")
def mixed_client(mixed: Path) -> Iterator[TestClient]:
    with served(mixed) as asked:
        yield asked


moments = st.none() | st.integers(-5, 50).map(lambda hours: NOON + timedelta(hours=hours))
teams = st.lists(st.sampled_from(["Sales", "=cmd()", "none", "Nobody"]), max_size=3, unique=True)
channels = st.lists(st.sampled_from(CHANNELS), max_size=2, unique=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(since=moments, until=moments, team=teams, channel=channels)
def test_api_report_and_a_query_on_the_views_agree(
    mixed: Path,
    mixed_client: TestClient,
    since: datetime | None,
    until: datetime | None,
    team: list[str],
    channel: list[str],
) -> None:
    asked = [("team", each) for each in team] + [("channel", each) for each in channel]
    asked += [(name, f"{at.isoformat()}Z") for name, at in (("since", since), ("until", until)) if at is not None]
    told = mixed_client.get(f"/v1/bypass-share?{urlencode([*asked, ('by', 'team,channel')])}").json()
    conditions = ["true"]
    values: list[object] = []
    for at, sign in ((since, ">="), (until, "<")):
        if at is not None:
            conditions.append(f"started_at {sign} ?")
            values.append(at)
    if team:
        conditions.append("list_contains(?, coalesce(team, 'none'))")
        values.append(team)
    if channel:
        conditions.append("list_contains(?, channel::VARCHAR)")
        values.append(channel)
    with Store.open(mixed) as store:
        by_hand = store.rows(
            "SELECT team, channel::VARCHAR AS channel, "
            "count(*) FILTER (outcome IN ('siloed', 'bypassed')) AS untraced, "
            "count(*) FILTER (outcome <> 'pending') AS decided, count(*) FILTER (outcome = 'pending') AS pending "
            f"FROM interactions WHERE {' AND '.join(conditions)} GROUP BY ALL",
            values,
        )
        wanted = {name: found for name, found in (("team", team), ("channel", channel)) if found}
        is_period = since is None or until is None or since < until
        reported = measures.report(store, ("team", "channel"), since, until, wanted=wanted) if is_period else []
    expected = {(row["team"], row["channel"]): (row["untraced"], row["decided"], row["pending"]) for row in by_hand}
    over_http = {
        (row["team"], row["channel"]): (row["untraced_count"], row["decided_count"], row["pending_count"])
        for row in told["rows"]
    }
    assert over_http == expected
    assert [row["bypass_share"] for row in told["rows"]] == [row["bypass_share"] for row in reported]
    assert [row["bypass_share_low"] for row in told["rows"]] == [row["bypass_share_low"] for row in reported]
    assert told["overall"]["decided_count"] == sum(decided for _, decided, _ in expected.values())
    options = [part for name, value in asked for part in (f"--{name}", value)]
    command = ["report", "--db", str(mixed), "--by", "team,channel", "--format", "json", *options]
    printed = CliRunner().invoke(commands, command)
    if is_period:
        rows = json.loads(printed.stdout)
        assert {
            (row["team"], row["channel"]): (
                row["siloed_count"] + row["bypassed_count"],
                row["siloed_count"] + row["bypassed_count"] + row["traced_count"],
                row["pending_count"],
            )
            for row in rows
        } == expected
        assert [row["bypass_share"] for row in rows] == [row["bypass_share"] for row in reported]
    else:
        assert printed.exit_code != 0


@pytest.mark.parametrize("limit", [1, 7, 119, 120])
def test_pages_hold_every_interaction_once_and_in_order(mixed_client: TestClient, limit: int) -> None:
    seen: list[tuple[str, str]] = []
    path: str | None = f"/v1/interactions?limit={limit}"
    while path is not None:
        answer = mixed_client.get(path)
        page = answer.json()["rows"]
        assert 0 < len(page) <= limit
        seen += [(row["started_at"], row["interaction_id"]) for row in page]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == sorted(seen)
    assert [found for _, found in seen] == [f"i{n:03}" for n in range(120)]


def test_rows_that_are_added_meanwhile_neither_repeat_nor_hide_those_of_the_next_page(tmp_path: Path) -> None:
    first = [interaction_row(f"b{n}", started_at=NOON + timedelta(hours=n)) for n in range(4)]
    path = published(tmp_path / "live.duckdb", changes=said(first))
    with served(path) as asked:
        following = asked.get("/v1/interactions?limit=2").json()["next"]
    earlier = interaction_row("a9", started_at=NOON - timedelta(hours=1))
    with Store.open(path, read_only=False) as store:
        store.apply(said([earlier]), 2)
    with served(path) as asked:
        rows = asked.get(f"/v1/interactions?limit=9&cursor={following}").json()["rows"]
    assert [row["interaction_id"] for row in rows] == ["b2", "b3"]


@given(st.text("0123456789abcdef", min_size=16, max_size=60).filter(lambda text: len(text) % 2 == 0))
def test_every_text_of_a_cursors_form_is_a_place(text: str) -> None:
    place = Place.from_text(text)
    assert datetime.min <= place.at <= datetime.max


def test_the_formats_hold_the_same_rows(mixed_client: TestClient) -> None:
    path = "/v1/bypass-share?by=team"
    rows = mixed_client.get(path).json()["rows"]
    arrow = mixed_client.get(path, headers={"Accept": ARROW})
    parquet = mixed_client.get(path, headers={"Accept": PARQUET})
    streamed = pa.ipc.open_stream(arrow.content).read_all()
    assert streamed.to_pylist() == [{name: row[name] for name in streamed.column_names} for row in rows]
    assert pq.read_table(io.BytesIO(parquet.content)).to_pylist() == streamed.to_pylist()
    assert b"run_number" in streamed.schema.metadata[b"as_of"]


def test_a_spreadsheet_runs_no_cell(mixed_client: TestClient) -> None:
    answer = mixed_client.get("/v1/bypass-share?by=team", headers={"Accept": CSV})
    teams_told = [row["team"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert sorted(teams_told) == ["", "'=cmd()", "Sales"]
    assert answer.headers["content-type"].startswith("text/csv")


def test_no_rows_have_the_columns_that_many_have(mixed_client: TestClient) -> None:
    answer = mixed_client.get("/v1/interactions?team=Nobody", headers={"Accept": ARROW})
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.num_rows == 0
    assert table.schema.field("started_at").type == pa.timestamp("us", "UTC")


def test_a_format_that_there_is_not_is_refused(mixed_client: TestClient) -> None:
    assert mixed_client.get("/v1/bypass-share", headers={"Accept": "image/png"}).status_code == 406
    assert preferred("application/*;q=0.5, text/csv;q=0") == "application/json"


def test_an_explanation_holds_evidence_candidates_and_labels(acme: Path, client: TestClient) -> None:
    (traced,) = client.get("/v1/interactions?outcome=traced").json()["rows"]
    told = client.get(f"/v1/interactions/{traced['interaction_id']}").json()
    assert told["interaction"]["activity_id"] == "E1"
    assert [(each["activity_id"], each["is_trace"]) for each in told["verdicts"]] == [("E1", True)]
    assert len(told["evidence"]) == 1
    assert client.get("/v1/interactions/none-such").status_code == 404


def test_a_customers_history_is_in_order_of_time_traced_or_not(client: TestClient) -> None:
    told = client.get("/v1/customers/A1/timeline").json()
    assert [(row["team"], row["outcome"]) for row in told["rows"]] == [("Sales", "traced"), ("Service", "bypassed")]
    assert (told["overall"]["untraced_count"], told["overall"]["decided_count"]) == (1, 2)
    assert client.get("/v1/customers/nobody/timeline").status_code == 404


def test_a_day_holds_each_customer_with_what_was_done(client: TestClient) -> None:
    told = client.get("/v1/days/2024-03-04").json()
    assert {row["customer_id"]: row["interaction_count"] for row in told["rows"]} == {"A1": 2, "A2": 1, None: 1}
    assert told["overall"]["bypass_share"] == 0.75
    assert client.get("/v1/days/2024-03-05").json()["rows"] == []
    assert client.get("/v1/days/0001-01-01").status_code == 404


def test_activities_come_with_what_they_explain(client: TestClient) -> None:
    told = client.get("/v1/activities").json()
    assert [(row["activity_id"], row["status"]) for row in told["rows"]] == [("E1", "trace")]
    assert told["counts"][0]["activity_count"] == 1
    assert client.get("/v1/activities?status=unexplained").json()["rows"] == []


def test_identifiers_that_the_crm_should_know_are_listed(client: TestClient) -> None:
    (row,) = client.get("/v1/identifiers?minimum_interactions=1").json()["rows"]
    assert (row["interaction_count"], row["kind"]) == (1, "phone")


def test_sources_and_accounts_tell_what_was_read(client: TestClient) -> None:
    (account,) = client.get("/v1/audit").json()["rows"]
    # Six calls: four conversations, one unanswered, one too short.
    counts = ("raw_count", "interaction_count", "unanswered_count", "too_short_count", "unaccounted_count")
    assert [account[name] for name in counts] == [6, 4, 1, 1, 0]
    rows = client.get("/v1/sources").json()["rows"]
    assert sum(row["observation_count"] for row in rows) == 6


def test_a_measure_that_is_added_is_told_and_changes_the_etag(acme: Path, client: TestClient) -> None:
    before = client.get("/v1/measures")
    Annotations(beside(acme)).add_measure("Click to dial", NOON, added_at=NOON, teams=["Sales"])
    after = client.get("/v1/measures", headers={"If-None-Match": before.headers["etag"]})
    assert before.json()["rows"] == []
    assert [(row["name"], row["teams"]) for row in after.json()["rows"]] == [("Click to dial", ["Sales"])]
    begins = datetime.fromisoformat(after.json()["rows"][0]["begins_at"])
    assert begins == NOON.replace(tzinfo=UTC)
