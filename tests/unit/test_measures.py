"""The number and the accounts, asked in every way that a user may ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from pipeline.groups import GroupRules
from pipeline.sources.registry import Batch
from schemas.interaction import AuditRow, InteractionRow, ReportRow
from sinks import measures
from sinks.measures import Filters
from sinks.store import Store
from tests.records import Fact, call, email, observation
from tests.stores import NOON, interaction_row, letter, published, said, shown
from tests.stores import batch as batch_of

HELSINKI = ZoneInfo("Europe/Helsinki")

ROWS = [
    interaction_row(
        "a1", "traced", team="Sales", line="pbx", direction="inbound", sources=["pbx", "mobile"], token="T-anna",
        customer_ids=["k1"], tier="exact", participants=["r2", "r1"], representative_id="r2", function="other",
    ),
    interaction_row("a2", "bypassed", team="Sales", line="pbx", reason="not_logged", sources=["mobile", "pbx"]),
    interaction_row("b1", "bypassed", team="Care", line="mobile", reason="withheld", participants=["r1"]),
    interaction_row("b2", "siloed", team="Care", channel="email", sources=["mail"], segment="big"),
    interaction_row("b3", "pending", channel="email", sources=["mail"], started_at=NOON + timedelta(days=1)),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("measures") / "bypass.duckdb"
    facts = [
        call("pbx:cdr.csv:1", "12:00", key="s1"),
        call("mobile:sim 1:2.csv:9", "12:00").but(event_id="m9"),
        email("mail:in/7.eml:0", "12:00", "T-anna", ["T-own"], message_id="x@y").but(record_digest=1),
        call("pbx:cdr.csv:2", "13:00", attempt="unanswered"),
        call("pbx:cdr.csv:3", "13:00", talk=2),
        call("pbx:cdr.csv:4", "13:00", talk=2),
        shown("T-anna", "+358…67"),
    ]
    dispositions = [
        {"raw_id": "pbx:cdr.csv:1", "disposition": "interaction", "evidence_id": "a1"},
        {"raw_id": "mobile:sim 1:2.csv:9", "disposition": "interaction", "evidence_id": "a1"},
        {"raw_id": "mail:in/7.eml:0", "disposition": "interaction", "evidence_id": "b2"},
        {"raw_id": "pbx:cdr.csv:2", "disposition": "excluded", "reason": "unanswered"},
        {"raw_id": "pbx:cdr.csv:3", "disposition": "excluded", "reason": "too_short"},
        {"raw_id": "pbx:cdr.csv:4", "disposition": "duplicate"},
    ]
    by_source: dict[tuple[str, str], list[Fact] | Batch] = {
        ("pbx", "cdr.csv"): batch_of([*facts[:1], *facts[3:6], facts[6]], [letter("pbx:cdr.csv:5")], record_count=5),
        ("mobile", "sim 1:2.csv"): facts[1:2],
        ("mail", "in"): facts[2:3],
    }
    published(path, by_source, said(ROWS, dispositions=dispositions))
    with Store.open(path) as opened:
        # What is refused otherwise is told in tests/unit/test_representatives.py.
        opened.groups = GroupRules("named", is_granted=True)
        yield opened


def counts(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in (*names, "interaction_count")) for row in rows]


# The number


def test_without_dimensions_the_report_is_one_row(store: Store) -> None:
    low, high = wilson(3, 4) or (None, None)

    assert measures.report(store) == [
        {
            "interaction_count": 5,
            "traced_count": 1,
            "siloed_count": 1,
            "bypassed_count": 2,
            "pending_count": 1,
            "bypass_share": 0.75,
            "bypass_share_low": low,
            "bypass_share_high": high,
            "lowest_bypass_share": 0.6,
            "highest_bypass_share": 0.8,
        }
    ]


def test_rows_stand_in_the_order_of_the_dimensions_with_the_unknown_last(store: Store) -> None:
    rows = measures.report(store, ["team", "channel"])

    assert list(rows[0])[:3] == ["team", "channel", "interaction_count"]
    assert counts(rows, "team", "channel") == [
        ("Care", "call", 1), ("Care", "email", 1), ("Sales", "call", 2), (None, "email", 1),
    ]  # fmt: skip


def test_more_groups_than_there_is_room_for_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(measures.report(store, ["channel", "team"]))
    monkeypatch.setattr("sinks.measures.MOST_GROUPS", count)
    assert len(measures.report(store, ["channel", "team"])) == count
    monkeypatch.setattr("sinks.measures.MOST_GROUPS", count - 1)
    with pytest.raises(ConfigurationError, match=rf"more than {count - 1} groups; leave out a dimension"):
        measures.report(store, ["channel", "team"])


def test_rows_of_a_report_keep_the_contract(store: Store) -> None:
    for row in measures.report(store, measures.DIMENSIONS):
        ReportRow.model_validate(row)


@pytest.mark.parametrize("dimension", measures.DIMENSIONS)
def test_every_dimension_divides_all_interactions(store: Store, dimension: str) -> None:
    assert sum(row["interaction_count"] for row in measures.report(store, [dimension])) == len(ROWS)


def test_dimensions_have_the_values_that_a_report_by_them_shows(store: Store, tmp_path: Path) -> None:
    found = measures.dimension_values(store)
    with Store.open(published(tmp_path / "empty.duckdb")) as empty:
        nothing = measures.dimension_values(empty)

    assert found == {
        name: [row[name] for row in measures.report(store, [name]) if row[name] is not None] for name in measures.PLAIN
    }
    assert nothing == {name: [] for name in measures.PLAIN}


def test_what_two_sources_saw_stands_under_both_names(store: Store) -> None:
    assert counts(measures.report(store, ["source"]), "source") == [("mail", 2), ("mobile+pbx", 2), ("pbx", 1)]


def test_reasons_divide_the_bypassed_and_the_rest_has_none(store: Store) -> None:
    rows = measures.report(store, ["reason"])

    assert counts(rows, "reason") == [("not_logged", 1), ("withheld", 1), (None, 3)]


def test_a_dimension_asked_for_twice_is_shown_once(store: Store) -> None:
    assert measures.report(store, ["team", "team"]) == measures.report(store, ["team"])


def test_a_group_without_a_decided_interaction_has_no_share(store: Store) -> None:
    (pending,) = [row for row in measures.report(store, ["day"]) if row["day"] == "2024-03-05"]

    assert pending["pending_count"] == 1
    assert [pending[name] for name in ("bypass_share", "bypass_share_low", "bypass_share_high")] == [None] * 3
    assert (pending["lowest_bypass_share"], pending["highest_bypass_share"]) == (0.0, 1.0)


def test_a_store_without_interactions_reports_nothing(tmp_path: Path) -> None:
    with Store.open(published(tmp_path / "empty.duckdb")) as empty:
        (row,) = measures.report(empty)
        assert measures.report(empty, ["team"]) == []
        assert measures.report(empty, ["hour"]) == []
        assert measures.audit(empty) == []
        assert measures.interactions(empty).num_rows == 0

    assert (row["interaction_count"], row["bypass_share"], row["lowest_bypass_share"]) == (0, None, None)


# Local time


@pytest.fixture
def clock_store(tmp_path: Path) -> Iterator[Store]:
    """Interactions on both sides of midnight, of a new year by ISO weeks, and of the change to summer time."""
    instants = [
        "2023-12-31T21:59:59", "2023-12-31T22:00:00",  # 23:59:59 and 00:00 in Helsinki
        "2024-03-31T00:59:59", "2024-03-31T01:00:00",  # 02:59:59 and 04:00 in Helsinki
    ]  # fmt: skip
    rows = [interaction_row(f"i{n}", started_at=datetime.fromisoformat(text)) for n, text in enumerate(instants)]
    with Store.open(published(tmp_path / "clock.duckdb", changes=said(rows))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("hour", [0, 2, 4, 23]),
        ("weekday", [1, 7]),
        ("day", ["2023-12-31", "2024-01-01", "2024-03-31"]),
        ("week", ["2023-W52", "2024-W01", "2024-W13"]),
        ("month", ["2023-12", "2024-01", "2024-03"]),
    ],
)
def test_time_is_that_of_the_companys_zone(clock_store: Store, dimension: str, expected: list[object]) -> None:
    assert [row[dimension] for row in measures.report(clock_store, [dimension])] == expected


def test_another_zone_may_be_asked_for(clock_store: Store) -> None:
    assert [row["hour"] for row in measures.report(clock_store, ["hour"], zone="Asia/Kathmandu")] == [3, 6]


def test_an_unknown_zone_is_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="unknown time zone 'Europe/Helsinky'"):
        measures.report(store, ["hour"], zone="Europe/Helsinky")


# Which time


def test_since_is_included_and_until_is_not(store: Store) -> None:
    assert measures.report(store, since=NOON)[0]["interaction_count"] == 5
    assert measures.report(store, since=NOON + timedelta(microseconds=1))[0]["interaction_count"] == 1
    assert measures.report(store, until=NOON)[0]["interaction_count"] == 0
    assert measures.report(store, until=NOON + timedelta(microseconds=1))[0]["interaction_count"] == 4


def test_an_end_before_the_start_is_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="--since must be before --until"):
        measures.report(store, since=NOON, until=NOON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-01", datetime(2024, 5, 31, 21)),
        ("2024-01-01", datetime(2023, 12, 31, 22)),
        ("2024-06-01T10:00", datetime(2024, 6, 1, 7)),
        ("2024-06-01 10:00:00", datetime(2024, 6, 1, 7)),
        ("2024-06-01T10:00:00Z", datetime(2024, 6, 1, 10)),
        ("2024-06-01T10:00:00-05:00", datetime(2024, 6, 1, 15)),
    ],
)
def test_dates_are_of_the_companys_zone_and_instants_of_their_own(text: str, expected: datetime) -> None:
    assert measures.instant(text, HELSINKI) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "01/02/2024", "2024-06-01T25:00", "0001-01-01"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a day such as"):
        measures.instant(text, HELSINKI)


def test_a_report_takes_the_filters_of_interactions(store: Store) -> None:
    def counted(**wanted: list[str]) -> int:
        return sum(row["interaction_count"] for row in measures.report(store, ["channel"], wanted=wanted))

    assert counted(team=["Sales"]) == 2
    assert counted(team=["none"]) == 1
    assert counted(outcome=["bypassed", "siloed"], team=["Care"]) == 2
    assert counted(representative=["r1"]) == 2
    assert counted(team=["Sales'; DROP TABLE run; --"]) == 0
    with pytest.raises(ConfigurationError, match="unknown filter 'custommer'; did you mean 'customer'"):
        counted(custommer=["k1"])


@pytest.mark.parametrize("name", measures.FILTERS)
def test_a_report_with_a_filter_counts_the_interactions_that_fit_it(store: Store, name: str) -> None:
    table = measures.interactions(store, Filters({name: ["none"]}))

    (row,) = measures.report(store, wanted={name: ["none"]})
    assert row["interaction_count"] == table.num_rows


# Wrong questions


@pytest.mark.parametrize(
    ("name", "near"), [("chanel", "channel"), ("weekdays", "weekday"), ("Team", "team"), ("sources", "source")]
)
def test_an_unknown_dimension_names_the_nearest(store: Store, name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown dimension '{name}'; did you mean '{near}'"):
        measures.report(store, ["team", name])


def test_a_dimension_is_no_way_to_smuggle_sql_in(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="unknown dimension"):
        measures.report(store, ["team; DROP TABLE observation"])


@given(st.text(min_size=1))
def test_a_filters_value_is_never_read_as_sql(text: str) -> None:
    query = measures.interactions_query(Filters({"team": [text], "customer": [text]}))

    assert query.sql == measures.interactions_query(Filters({"team": ["x"], "customer": ["x"]})).sql or text == "none"


# The rows behind it


def found(store: Store, **values: list[str]) -> list[str]:
    ids: list[str] = measures.interactions(store, Filters(values)).column("interaction_id").to_pylist()
    return ids


def test_filters_choose_interactions(store: Store) -> None:
    assert found(store) == ["a1", "a2", "b1", "b2", "b3"]
    assert found(store, channel=["email"]) == ["b2", "b3"]
    assert found(store, outcome=["bypassed", "siloed"], team=["Care"]) == ["b1", "b2"]
    assert found(store, source=["mobile+pbx"]) == ["a1", "a2"]
    assert found(store, representative=["r1"]) == ["a1", "b1"]
    assert found(store, customer=["k1", "k9"]) == ["a1"]
    assert found(store, team=["O'Hara; DROP"]) == []


def test_none_stands_for_no_value(store: Store) -> None:
    assert found(store, team=["none"]) == ["b3"]
    assert found(store, team=["none", "Care"]) == ["b1", "b2", "b3"]
    assert found(store, representative=["none"]) == ["a2", "b2", "b3"]
    assert found(store, reason=["none"], channel=["call"]) == ["a1"]


def test_times_and_a_limit_choose_interactions(store: Store) -> None:
    table = measures.interactions(store, Filters(since=NOON, until=NOON + timedelta(hours=1), limit=2))

    assert table.column("interaction_id").to_pylist() == ["a1", "a2"]
    assert measures.interactions(store, Filters(limit=0)).num_rows == 0


def test_an_unknown_filter_names_the_nearest(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="unknown filter 'custommer'; did you mean 'customer'"):
        found(store, custommer=["k1"])
    with pytest.raises(ConfigurationError, match="limit of -1"):
        measures.interactions(store, Filters(limit=-1))


def test_an_interaction_is_shown_with_its_party_and_its_raw_events(store: Store) -> None:
    first = measures.interactions(store).to_pylist()[0]

    assert first["identifier"] == "+358…67"
    assert first["participants"] == ["r2", "r1"]
    assert first["evidence"] == [
        {"raw_id": "mobile:sim 1:2.csv:9", "source": "mobile", "file": "sim 1:2.csv", "position": 9, "key": "m9"},
        {
            "raw_id": "pbx:cdr.csv:1", "source": "pbx", "file": "cdr.csv", "position": 1, "key": "pbx:cdr.csv:1",
        },
    ]  # fmt: skip


def test_the_message_id_is_an_emails_key(store: Store) -> None:
    (evidence,) = measures.interaction(store, "b2")["evidence"]

    assert (evidence["file"], evidence["position"], evidence["key"]) == ("in/7.eml", 0, "x@y")


def test_rows_of_interactions_keep_the_contract(store: Store) -> None:
    for row in measures.interactions(store).to_pylist():
        InteractionRow.model_validate(row)


def test_one_interaction_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    assert measures.interaction(store, " A1")["team"] == "Sales"
    with pytest.raises(ConfigurationError, match="several interactions' ids begin with 'b': b1, b2, b3; give more"):
        measures.interaction(store, "b")
    with pytest.raises(ConfigurationError, match="no interaction's id begins with 'zz'"):
        measures.interaction(store, "zz")
    with pytest.raises(ConfigurationError, match="id is missing"):
        measures.interaction(store, " ")


def test_a_whole_id_is_found_although_another_begins_with_it(tmp_path: Path) -> None:
    rows = [interaction_row("abc"), interaction_row("abcd")]
    with Store.open(published(tmp_path / "two.duckdb", changes=said(rows))) as store:
        assert measures.interaction(store, "abc")["interaction_id"] == "abc"


def test_a_raw_event_that_lies_far_from_its_interaction_is_shown_too(tmp_path: Path) -> None:
    facts = [
        observation("pbx:cdr.csv:1", started_at=NOON, ended_at=NOON),
        observation("pbx:cdr.csv:2", started_at=NOON - timedelta(days=9), ended_at=NOON - timedelta(days=9)),
        observation("pbx:cdr.csv:3", started_at=NOON, ended_at=NOON),
    ]
    members = [{"raw_id": f"pbx:cdr.csv:{n}", "disposition": "interaction", "evidence_id": "a1"} for n in (1, 2)]
    changes = said([interaction_row("a1")], dispositions=members)
    with Store.open(published(tmp_path / "far.duckdb", {("pbx", "cdr.csv"): facts}, changes)) as store:
        row, evidence = measures.interaction_with_evidence(store, "a1")
        seen = store.rows("SELECT * FROM evidence WHERE evidence_id = 'a1' ORDER BY started_at")
        (listed,) = measures.interactions(store).to_pylist()

    assert [each["position"] for each in row["evidence"]] == [2, 1]
    assert evidence == seen
    assert row == listed


def test_raw_events_come_as_the_view_shows_them(store: Store) -> None:
    for row in measures.interactions(store).to_pylist():
        found, evidence = measures.interaction_with_evidence(store, row["interaction_id"])
        assert found == row
        assert evidence == store.rows(
            "SELECT * FROM evidence WHERE evidence_id = $id ORDER BY started_at, raw_id", {"id": row["evidence_id"]}
        )


# The accounts


def test_the_accounts_name_every_source_of_raw_events(store: Store) -> None:
    rows = measures.audit(store)

    for row in rows:
        AuditRow.model_validate(row)
    excluded = {"unanswered": 1, "too_short": 1}
    assert rows == [
        {"source": "mail", **account(raw=1, interaction=1)},
        {"source": "mobile", **account(raw=1, interaction=1)},
        {"source": "pbx", **account(raw=5, interaction=1, duplicate=1, excluded=excluded, rejected=1)},
    ]


def account(
    raw: int, interaction: int, duplicate: int = 0, excluded: dict[str, int] | None = None, rejected: int = 0
) -> dict[str, Any]:
    return {
        "raw_count": raw,
        "interaction_count": interaction,
        "duplicate_count": duplicate,
        "excluded": excluded or {},
        "rejected_count": rejected,
        "late_count": 0,
        "unaccounted_count": 0,
    }
