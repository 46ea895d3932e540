"""What is measured besides the share over HTTP: effects, shared identifiers, delays, service and customers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from dashboard.formats import ARROW, CSV, PARQUET
from sinks import effects
from sinks.annotations import Annotations, beside
from sinks.measures import Filters
from sinks.metrics import customers, delay, hygiene, missed, service
from sinks.store import Store
from tests.records import call, contact, progress
from tests.served import served
from tests.stores import NOON, interaction_row, published, said
from tests.unit.test_effects import CARE, SALES

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2024, 3, 4)


# The effect of a measure


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = published(tmp_path_factory.mktemp("effects") / "bypass.duckdb", changes=said([*SALES, *CARE]))
    notes = Annotations(beside(path))
    notes.add_measure("Click to dial", BEGIN, added_at=NOON, teams=["Sales"])
    notes.add_measure("Too late", BEGIN + 90 * DAY, added_at=NOON)
    return path


@pytest.fixture(scope="module")
def effects_client(measured: Path) -> Iterator[TestClient]:
    with served(measured) as asked:
        yield asked


def test_an_effect_is_told_before_and_after_and_beside_other_teams(measured: Path, effects_client: TestClient) -> None:
    told = effects_client.get("/v1/measures/1/effect").json()
    # Of 100 of Sales 60 and then 30 were untraced, of Care 50 and then 45.
    assert told["reason"] is None
    assert told["comparison_teams"] == ["Care"]
    assert told["change"]["change"]["value"] == pytest.approx(-0.30)
    assert told["comparison"]["difference"]["value"] == pytest.approx(-0.25)
    assert [(row["team"], row["is_measured"], row["after_untraced_count"]) for row in told["rows"]] == [
        ("Sales", True, 30),
        ("Care", False, 45),
    ]
    assert (told["measure"]["name"], told["since"]) == ("Click to dial", "2024-02-05T00:00:00Z")
    with Store.open(measured) as store:
        known = Annotations(beside(measured)).measures()
        found = effects.effect(store, known[0], others=known)
    assert found.comparison is not None
    difference = found.comparison.difference
    assert told["comparison"]["difference"] == {**vars(difference), "is_zero_possible": difference.is_zero_possible}
    assert told["warnings"] == list(found.warnings)


def test_comparison_teams_and_days_can_be_chosen(effects_client: TestClient) -> None:
    told = effects_client.get("/v1/measures/1/effect?days=14&compare_with=Care").json()
    assert told["since"] == "2024-02-19T00:00:00Z"
    assert effects_client.get("/v1/measures/1/effect?days=6").status_code == 422
    refused = effects_client.get("/v1/measures/1/effect?compare_with=Nobody")
    assert (refused.status_code, "unknown team" in refused.json()["detail"]) == (400, True)


def test_where_nothing_can_be_said_the_reason_is(effects_client: TestClient) -> None:
    told = effects_client.get("/v1/measures/2/effect").json()
    assert "after it began" in told["reason"]
    assert (told["change"], told["comparison"], told["since"], told["rows"]) == (None, None, None, [])


def test_a_measure_that_there_is_not_is_not_found(effects_client: TestClient) -> None:
    assert effects_client.get("/v1/measures/99/effect").status_code == 404
    assert effects_client.get("/v1/measures/one/effect").status_code == 422


# Everything else, from one store


def talk(name: str, at: datetime, direction: str = "inbound", **columns: Any) -> dict[str, Any]:
    """Return a conversation that was traced an hour later unless said otherwise."""
    given = {"trace_delay_seconds": 3600.0, "channel": "call", "token": "T-a", **columns}
    if given.get("outcome", "traced") != "traced":
        given["trace_delay_seconds"] = None
    return interaction_row(name, **{"started_at": at, "ended_at": at, "direction": direction, **given})


ROWS = [
    talk("a", NOON - 9 * DAY, customer_ids=["A1"]),
    talk("b", NOON - 8 * DAY, outcome="bypassed", customer_ids=["A1"], trace_delay_seconds=None),
    talk("c", NOON - 8 * DAY, token="T-b", customer_ids=["A2"], trace_delay_seconds=7200.0),
    talk("d", NOON - 7 * DAY, token="T-c", outcome="bypassed", reason="unknown_customer"),
    # Mail: one is answered after two hours, one never.
    talk("m1", NOON - 8 * DAY, channel="email", token="T-m", outcome="siloed"),
    talk("m2", NOON - 8 * DAY + 2 * HOUR, "outbound", channel="email", token="T-m"),
    talk("m3", NOON - 9 * DAY, channel="email", token="T-n", outcome="bypassed"),
    # So late that both service and traces are open.
    talk("z", NOON, channel="email", token="T-z", outcome="pending"),
    talk("y", NOON, channel="call", token="T-y", outcome="pending"),
    # T-a was called back an hour after the call that nobody took.
    talk("back", NOON - 5 * DAY + HOUR, "outbound"),
]
FACTS = [
    call("pbx:cdr.csv:1", NOON - 5 * DAY, customer="T-a", attempt="unanswered"),
    call("pbx:cdr.csv:2", NOON - 6 * DAY, customer="T-lost", attempt="unanswered"),
]
CRM = [progress(NOON), contact("c1", "T-both", account="k1"), contact("c2", "T-both", account="k2")]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    left = [{"raw_id": fact.row["raw_id"], "disposition": "excluded", "reason": "unanswered"} for fact in FACTS]
    files = {("pbx", "cdr.csv"): FACTS, ("crm", "export.csv"): CRM}
    return published(tmp_path_factory.mktemp("service") / "bypass.duckdb", files, said(ROWS, dispositions=left))


@pytest.fixture(scope="module")
def client(db: Path) -> Iterator[TestClient]:
    with served(db) as asked:
        yield asked


@pytest.fixture(scope="module")
def store(db: Path) -> Iterator[Store]:
    with Store.open(db) as opened:
        yield opened


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON would tell them."""
    return [
        {name: f"{value.isoformat()}Z" if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]


def part(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of rows the columns that the others have."""
    return [{name: row[name] for name in like[0]} for row in rows]


def test_identifiers_of_several_contacts_are_told(client: TestClient, store: Store) -> None:
    told = client.get("/v1/identifiers/shared").json()["rows"]
    assert [(row["token"], row["customer_ids"]) for row in told] == [("T-both", ["k1", "k2"])]
    assert told == hygiene.shared_identifiers(store)


def test_the_curve_of_delays_counts_up_to_all_traces(client: TestClient, store: Store) -> None:
    told = client.get("/v1/delays?channel=call").json()
    counts = {row["hours"]: (row["logged_count"], row["traced_count"]) for row in told["rows"]}
    # Of three traces of calls two were logged after an hour, and one after two.
    assert (counts[0.5], counts[1.0], counts[2.0], counts[72.0]) == ((0, 3), (2, 3), (3, 3), (3, 3))
    filters = Filters({"channel": ["call"]})
    assert told["rows"] == delay.curve(store, filters=filters)
    assert [told["overall"]] == delay.delays(store, filters=filters)


def test_delays_warn_of_days_whose_traces_are_still_to_come(client: TestClient) -> None:
    told = client.get("/v1/delays/settling").json()
    assert told["first_unsettled_day"] == "2024-03-04"
    assert [row["is_settled"] for row in told["rows"]][-1] is False
    warned = client.get("/v1/delays").json()["warnings"]
    settled = client.get("/v1/delays?until=2024-03-03T22:00:00Z").json()["warnings"]
    sentence = "traces of 2024-03-04 and later are still to come"
    assert [any(sentence in warning for warning in found) for found in (warned, settled)] == [True, False]


def test_settling_is_of_the_days_and_interactions_asked_for(client: TestClient, store: Store) -> None:
    told = client.get("/v1/delays/settling?days=8&channel=call").json()["rows"]
    assert told == delay.settling(store, days=8, filters=Filters({"channel": ["call"]}))
    assert [row["interaction_count"] for row in told] == [1, 1, 1]


def test_mail_is_told_with_what_it_got_back(client: TestClient, store: Store) -> None:
    told = client.get("/v1/service/emails").json()
    overall = told["overall"]
    assert (overall["inbound_count"], overall["open_count"], overall["answered_count"]) == (3, 1, 1)
    assert (overall["answered_share"], overall["response_seconds_median"]) == (0.5, 7200)
    by_day = client.get("/v1/service/emails?interval=day").json()
    assert [(row["day"], row["inbound_count"]) for row in by_day["rows"]] == [
        ("2024-02-24", 1),
        ("2024-02-25", 1),
        ("2024-03-04", 1),
    ]
    assert part(by_day["rows"], service.emails(store, interval="day")) == service.emails(store, interval="day")
    assert by_day["overall"] == overall


def test_what_counts_as_an_answer_can_be_chosen(client: TestClient) -> None:
    path = "/v1/service/emails?within_days=0&acknowledged_within_minutes=5&openings_only=true"
    told = client.get(path).json()["overall"]
    assert (told["answered_count"], told["open_count"]) == (0, 0)
    assert client.get("/v1/service/emails?openings_only=yes").status_code == 422


def test_calls_are_told_with_what_followed(client: TestClient, store: Store) -> None:
    overall = client.get("/v1/service/calls").json()["overall"]
    assert [overall] == missed.calls(store)
    assert (overall["answered_count"], overall["missed_count"]) == (5, 2)
    assert (overall["called_back_count"], overall["lost_count"]) == (1, 1)
    rows = client.get("/v1/service/calls?interval=week").json()["rows"]
    assert {row["week"]: row["missed_count"] for row in rows} == {"2024-W08": 0, "2024-W09": 2, "2024-W10": 0}


def test_missed_calls_are_listed_by_their_fate(client: TestClient, store: Store) -> None:
    told = client.get("/v1/service/missed-calls").json()["rows"]
    assert [(row["token"], row["fate"]) for row in told] == [("T-a", "called_back"), ("T-lost", "lost")]
    assert told == plain(missed.missed_calls(store))
    (lost,) = client.get("/v1/service/missed-calls?fate=lost").json()["rows"]
    assert lost["token"] == "T-lost"
    assert client.get("/v1/service/missed-calls?limit=1").json()["rows"] == told[:1]


def test_customers_stand_in_the_order_asked_for(client: TestClient, store: Store) -> None:
    known = client.get("/v1/customers?includes_unknown=false").json()["rows"]
    assert [(row["customer_id"], row["interaction_count"], row["untraced_count"]) for row in known] == [
        ("A1", 2, 1),
        ("A2", 1, 0),
    ]
    for order in customers.ORDERS:
        told = client.get(f"/v1/customers?order={order}").json()["rows"]
        found = plain(customers.customers(store, order=order))
        assert part(told, found) == found
    assert client.get("/v1/customers?order=least_traced").json()["rows"][0]["untraced_count"] == 1
    assert len(client.get("/v1/customers?limit=3").json()["rows"]) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/delays",
        "/v1/service/emails",
        "/v1/service/emails?interval=day",
        "/v1/service/calls",
        "/v1/service/calls?interval=week",
        "/v1/service/missed-calls",
        "/v1/customers",
    ],
)
@pytest.mark.parametrize(
    "period",
    [
        # Nothing, nothing before logs began, the ends of the calendar, and beyond them.
        "since=2024-03-05T00:00:00Z&until=2024-03-04T00:00:00Z",
        "since=0001-01-01T00:00:00Z&until=1800-01-01T00:00:00Z",
        "since=9999-12-31T23:59:59-12:00",
        "since=0001-01-01T00:00:00%2B12:00&until=9999-12-31T23:59:59-12:00",
    ],
)
def test_no_period_is_too_early_too_late_or_too_short(client: TestClient, path: str, period: str) -> None:
    everything = client.get(path).json()
    answer = client.get(f"{path}{'&' if '?' in path else '?'}{period}")
    assert answer.status_code == 200
    told = answer.json()
    if period.startswith("since=0001") and "9999" in period:
        assert told["rows"] == everything["rows"]
    else:
        counts = [value for row in told["rows"] for name, value in row.items() if name.endswith("_count")]
        assert not any(counts)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/identifiers/shared",
        "/v1/delays",
        "/v1/delays/settling",
        "/v1/service/emails?interval=week",
        "/v1/service/calls?interval=month",
        "/v1/service/missed-calls",
        "/v1/customers",
    ],
)
def test_every_table_comes_in_every_format_and_not_again_to_who_has_it(client: TestClient, path: str) -> None:
    rows = client.get(path).json()["rows"]
    arrow = client.get(path, headers={"Accept": ARROW})
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert table.num_rows == len(rows) > 0
    assert pq.read_table(io.BytesIO(client.get(path, headers={"Accept": PARQUET}).content)).equals(table)
    header, *lines = csv.reader(io.StringIO(client.get(path, headers={"Accept": CSV}).text))
    assert header == table.column_names
    assert len(lines) == len(rows)
    again = client.get(path, headers={"Accept": ARROW, "If-None-Match": arrow.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
