"""Answers to mail, and what follows on calls that nobody took."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from sinks.measures import Filters
from sinks.metrics import missed, service
from sinks.store import Store
from tests.records import Fact, call, email, person
from tests.stores import NOON, RUN, interaction_row, published, said, shown

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Rows = list[dict[str, Any]]


def talk(name: str, direction: str, token: str | None, at: datetime, channel: str, **columns: Any) -> dict[str, Any]:
    return interaction_row(
        name, channel=channel, direction=direction, token=token, started_at=at, ended_at=at, **columns
    )


def mail(direction: str, token: str | None, after: timedelta, **columns: Any) -> dict[str, Any]:
    """Return a mail so long after noon."""
    return talk(f"{direction}{token}{after}", direction, token, NOON + after, "email", **columns)


def opened(path: Path, rows: Sequence[dict[str, Any]], facts: Sequence[Fact] = (), **other: Any) -> Store:
    files = {("pbx", "cdr.csv"): list(facts)} if facts else {}
    return Store.open(published(path, files, said(rows, **other)))


# Email


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    rows = [
        mail("inbound", "T-a", 0 * DAY, team="Care"), mail("outbound", "T-a", 2 * HOUR),
        mail("outbound", "T-a", 3 * HOUR),
        mail("inbound", "T-b", 0 * DAY), mail("outbound", "T-b", 8 * DAY),
        mail("inbound", "T-c", 0 * DAY),
        mail("inbound", "T-d", 0 * DAY), mail("outbound", "T-d", 6 * HOUR), mail("outbound", "T-d", -HOUR),
        mail("inbound", None, 0 * DAY),
        mail("inbound", "T-a", 9 * DAY), mail("outbound", "T-a", 9 * DAY + HOUR),
        mail("inbound", "T-e", 10 * DAY),
    ]  # fmt: skip
    facts = [
        email("pbx:out:1", NOON + MINUTE, "T-own", ["T-x", "T-a"], automated=True),
        email("pbx:out:2", NOON + 2 * HOUR, "T-own", ["T-c"], automated=True),
        email("pbx:out:3", NOON - MINUTE, "T-own", ["T-d"], automated=True),
        # The customers' own machines, one of which keeps a copy for itself; and a person's mail.
        email("pbx:in:1", NOON + MINUTE, "T-c", ["T-own"], ["T-c"], automated=True),
        email("pbx:out:4", NOON + MINUTE, "T-own", ["T-d"], automated=False),
    ]
    with opened(tmp_path_factory.mktemp("mails") / "bypass.duckdb", rows, facts) as store:
        yield store


def test_mail_is_answered_by_the_first_mail_to_the_same_address_within_the_time(mails: Store) -> None:
    (row,) = service.emails(mails)

    # Of T-a, T-b, T-c and T-d at noon the first and the last are answered, after 2 and 6 hours; T-b after 8 days.
    assert (row["inbound_count"], row["open_count"], row["answered_count"]) == (6, 2, 2)
    assert row["answered_share"] == 0.5
    assert (row["answered_share_low"], row["answered_share_high"]) == wilson(2, 4)
    assert (row["response_seconds_mean"], row["response_seconds_median"]) == (4 * 3600, 4 * 3600)
    assert row["response_seconds_p90"] == pytest.approx((2 + 0.9 * 4) * 3600)


def test_mail_is_acknowledged_when_a_machine_of_ours_wrote_back_soon(mails: Store) -> None:
    (row,) = service.emails(mails)
    (later,) = service.emails(mails, acknowledged_within=3 * HOUR)

    assert (row["acknowledged_count"], row["acknowledged_share"]) == (1, 0.25)
    assert (row["acknowledged_share_low"], row["acknowledged_share_high"]) == wilson(1, 4)
    assert later["acknowledged_count"] == 2


def test_mail_that_may_still_be_answered_is_open_and_in_no_share(mails: Store) -> None:
    (row,) = service.emails(mails, as_of=NOON + 3 * HOUR)
    (longer,) = service.emails(mails, within=9 * DAY)

    assert (row["inbound_count"], row["open_count"], row["answered_share"]) == (4, 4, None)
    assert row["response_seconds_mean"] is None
    assert (longer["answered_count"], longer["open_count"]) == (3, 2)


def test_answers_after_the_end_of_the_period_count(mails: Store) -> None:
    (row,) = service.emails(mails, Filters(since=NOON, until=NOON + HOUR))
    (care,) = service.emails(mails, Filters({"team": ["Care"]}))

    assert (row["inbound_count"], row["open_count"], row["answered_count"], row["acknowledged_count"]) == (4, 0, 2, 1)
    assert (care["inbound_count"], care["answered_count"]) == (1, 1)


def test_mail_stands_by_the_local_day_of_its_arrival(mails: Store) -> None:
    rows = service.emails(mails, interval="day")

    assert [(row["day"], row["inbound_count"], row["answered_count"], row["answered_share"]) for row in rows] == [
        ("2024-03-04", 4, 2, 0.5), ("2024-03-13", 1, 0, None), ("2024-03-14", 1, 0, None),
    ]  # fmt: skip


def test_what_goes_on_is_no_opening(tmp_path: Path) -> None:
    rows = [
        mail("inbound", "T-a", 0 * DAY), mail("inbound", "T-a", DAY), mail("inbound", "T-a", 9 * DAY),
        mail("outbound", "T-b", 0 * DAY), mail("inbound", "T-b", HOUR),
    ]  # fmt: skip
    with opened(tmp_path / "openings.duckdb", rows) as store:
        (whole,) = service.emails(store, as_of=NOON + 30 * DAY, openings_only=True)
        (day,) = service.emails(store, Filters(since=NOON + DAY), as_of=NOON + 30 * DAY, openings_only=True)

    assert (whole["inbound_count"], day["inbound_count"]) == (2, 1)


def test_without_mail_nothing_is_said(tmp_path: Path) -> None:
    with opened(tmp_path / "none.duckdb", []) as store:
        (row,) = service.emails(store)
        assert service.emails(store, interval="week") == []
        (calls,) = missed.calls(store)
        assert missed.missed_calls(store) == []

    assert (row["inbound_count"], row["answered_share"], row["response_seconds_mean"]) == (0, None, None)
    assert (calls["missed_count"], calls["missed_share"], calls["called_back_share"]) == (0, None, None)


def test_negative_lengths_and_unknown_intervals_are_refused(mails: Store) -> None:
    with pytest.raises(ConfigurationError, match="makes no sense"):
        service.emails(mails, within=-DAY)
    with pytest.raises(ConfigurationError, match="unknown interval 'hour'"):
        service.emails(mails, interval="hour")


def test_the_published_mean_is_12_hours_and_10_minutes() -> None:
    assert service.PUBLISHED_RESPONSE.total_seconds() == 43_800
    assert (service.PUBLISHED_UNANSWERED_SHARE, service.PUBLISHED_UNACKNOWLEDGED_SHARE) == (0.62, 0.9)


def test_answers_agree_with_looking_for_them_one_by_one(tmp_path: Path) -> None:
    chance = random.Random(5)
    rows = [
        talk(
            f"i{n}", chance.choice(["inbound", "outbound"]), f"T-{chance.randrange(12)}",
            NOON + timedelta(minutes=chance.randrange(60 * 24 * 60)), "email",
        )
        for n in range(250)
    ]  # fmt: skip
    as_of, within = NOON + 50 * DAY, 2 * DAY
    with opened(tmp_path / "chance.duckdb", rows) as store:
        (row,) = service.emails(store, as_of=as_of, within=within)
        seen = store.rows("SELECT token, direction, started_at FROM interactions WHERE channel = 'email'")

    inbound = [one for one in seen if one["direction"] == "inbound" and one["started_at"] < as_of]
    judged = [one for one in inbound if one["started_at"] + within <= as_of]
    waits = []
    for one in judged:
        answers = [
            other["started_at"] - one["started_at"]
            for other in seen
            if other["direction"] == "outbound" and other["token"] == one["token"]
            and other["started_at"] > one["started_at"]
        ]  # fmt: skip
        if answers and min(answers) <= within:
            waits.append(min(answers).total_seconds())
    assert row["inbound_count"] == len(inbound)
    assert row["open_count"] == len(inbound) - len(judged)
    assert row["answered_count"] == len(waits) > 30
    assert row["response_seconds_mean"] == pytest.approx(statistics.fmean(waits))
    assert row["response_seconds_median"] == pytest.approx(statistics.median(waits))


# Calls


def spoken(direction: str, token: str, at: datetime) -> dict[str, Any]:
    return talk(f"{direction}{token}{at}", direction, token, at, "call")


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    def rang(raw_id: str, customer: str | None, at: datetime = NOON, **columns: Any) -> Fact:
        return call(raw_id, at, customer=customer, attempt="unanswered", **columns)

    facts = [
        rang("pbx:cdr.csv:1", "T-back"),
        rang("pbx:cdr.csv:2", "T-again"),
        rang("pbx:cdr.csv:3", "T-late"),
        rang("pbx:cdr.csv:4", None),
        rang("pbx:cdr.csv:5", "T-new", NOON + 9 * DAY),
        # A call of ours that the customer did not take.
        rang("pbx:cdr.csv:6", "T-ours", outbound=True),
        # Two telephones rang, and the operator saw it too.
        rang("pbx:cdr.csv:7", "T-group", key="group"),
        rang("pbx:cdr.csv:8", "T-group", NOON + timedelta(seconds=5), key="group", ours="202"),
        rang("mobile:log.csv:9", "T-group", NOON + timedelta(seconds=10)),
        # Somebody took it on the mobile.
        rang("pbx:cdr.csv:10", "T-mobile"),
        # A log that does not say the direction: from outside to a queue, and from a telephone of ours.
        rang("pbx:cdr.csv:11", "T-queue", ours=None, direction=None),
        rang("pbx:cdr.csv:12", "T-queue", ours="203", outbound=True, direction=None),
        rang("pbx:cdr.csv:13", "T-queue", ours="r9", outbound=True, direction=None),
        person("r9"),
        shown("T-late", "+358…67"),
    ]
    dispositions = [
        {"raw_id": fact.row["raw_id"], "disposition": "excluded", "reason": "unanswered"}
        for fact in facts
        if fact.kind == "observation"
    ]
    # A menu answered.
    facts.append(call("pbx:cdr.csv:14", NOON, customer="T-menu", attempt="no_human"))
    dispositions.append({"raw_id": "pbx:cdr.csv:14", "disposition": "excluded", "reason": "no_human"})
    rows = [
        spoken("outbound", "T-back", NOON + HOUR), spoken("outbound", "T-back", NOON + 2 * HOUR),
        spoken("inbound", "T-again", NOON + 10 * MINUTE), spoken("outbound", "T-again", NOON + HOUR),
        spoken("outbound", "T-late", NOON + 4 * DAY), spoken("outbound", "T-late", NOON - HOUR),
        spoken("inbound", "T-mobile", NOON - timedelta(seconds=10)),
        talk("mail", "outbound", "T-group", NOON + HOUR, "email"),
        spoken("inbound", "T-last", NOON + 10 * DAY),
    ]  # fmt: skip
    with opened(tmp_path_factory.mktemp("phones") / "bypass.duckdb", rows, facts, dispositions=dispositions) as store:
        yield store


def fates(store: Store, **options: Any) -> list[tuple[Any, ...]]:
    rows = missed.missed_calls(store, **options)
    return sorted((row["token"] or "", row["fate"], row["followed_seconds"]) for row in rows)


def test_each_missed_call_is_told_with_what_followed(phones: Store) -> None:
    assert fates(phones) == [
        ("", "withheld", None),
        ("T-again", "called_again", 600),
        ("T-back", "called_back", 3600),
        ("T-group", "lost", None),
        ("T-late", "lost", None),
        ("T-mobile", "called_again", 0),
        ("T-new", "open", None),
        ("T-queue", "lost", None),
    ]


def test_missed_calls_are_counted_beside_those_taken(phones: Store) -> None:
    (row,) = missed.calls(phones)

    names = ("answered_count", "missed_count", "withheld_count", "open_count")
    assert [row[name] for name in names] == [3, 8, 1, 1]
    assert row["missed_share"] == 8 / 11
    assert (row["missed_share_low"], row["missed_share_high"]) == wilson(8, 11)
    assert (row["called_back_count"], row["called_again_count"], row["lost_count"]) == (1, 2, 3)
    assert (row["called_back_share"], row["called_again_share"]) == (1 / 6, 2 / 6)
    assert (row["called_back_share_low"], row["called_back_share_high"]) == wilson(1, 6)
    assert (row["called_back_seconds_mean"], row["called_back_seconds_p90"]) == (3600, 3600)


def test_a_longer_time_finds_later_calls(phones: Store) -> None:
    assert ("T-late", "called_back", 4 * 86_400) in fates(phones, within=5 * DAY)
    assert ("T-back", "lost", None) in fates(phones, within=30 * MINUTE)


def test_calls_that_follow_after_the_period_count(phones: Store) -> None:
    period = Filters(since=NOON - MINUTE, until=NOON + MINUTE)
    (row,) = missed.calls(phones, period)

    assert (row["answered_count"], row["missed_count"], row["called_back_count"]) == (1, 7, 1)
    assert len(fates(phones, filters=period)) == 7


def test_calls_stand_by_local_day(phones: Store) -> None:
    rows = missed.calls(phones, interval="day")

    names = ("day", "answered_count", "missed_count", "open_count", "lost_count", "missed_share")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("2024-03-04", 2, 7, 0, 3, 7 / 9), ("2024-03-13", 0, 1, 1, 0, 1.0), ("2024-03-14", 1, 0, 0, 0, 0.0),
    ]  # fmt: skip


def test_lost_calls_are_listed_with_their_number_as_it_may_be_shown(phones: Store) -> None:
    rows = missed.missed_calls(phones, fate="lost")

    assert {row["token"]: row["identifier"] for row in rows} == {"T-group": None, "T-late": "+358…67", "T-queue": None}
    assert len(missed.missed_calls(phones, Filters(limit=2))) == 2
    assert missed.missed_calls(phones, Filters(limit=1))[0]["token"] == "T-new"
    with pytest.raises(ConfigurationError, match="unknown fate 'gone'"):
        missed.missed_calls(phones, fate="gone")


def test_missed_calls_have_no_team_to_choose_by(phones: Store) -> None:
    with pytest.raises(ConfigurationError, match="calls that nobody took have no team"):
        missed.calls(phones, Filters({"team": ["Sales"]}))


def test_a_call_from_our_own_number_is_not_a_customers(tmp_path: Path) -> None:
    facts = [call("pbx:cdr.csv:1", NOON, customer="T-public", attempt="unanswered", direction=None, ours="trunk")]
    dispositions = [{"raw_id": "pbx:cdr.csv:1", "disposition": "excluded", "reason": "unanswered"}]
    settings = '{"company_id": "acme", "own_numbers": ["T-public"]}'
    path = tmp_path / "own.duckdb"
    run = replace(RUN, settings=settings)
    with Store.open(published(path, {("pbx", "cdr.csv"): facts}, said(dispositions=dispositions), run)) as store:
        (row,) = missed.calls(store, as_of=NOON + DAY)

    assert row["missed_count"] == 0
