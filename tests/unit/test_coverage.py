"""Sources side by side: what each covers, and who took part in its records."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.coverage import Coverage, SourceCoverage
from schemas.settings import EngineSettings
from tests.records import MONDAY, Fact, call, email, message, person, tables

HELSINKI = ZoneInfo("Europe/Helsinki")


def covered(
    *facts: Fact, directory: tuple[Fact, ...] = (person("r1", extension="201", email_token="T-own"),)
) -> Coverage:
    settings = EngineSettings(
        company_id="demo", own_domains=frozenset({"D-own"}), own_numbers=frozenset({"T-switchboard"})
    )
    coverage = Coverage(settings, HELSINKI)
    if directory:
        coverage.add(tables(directory))
    coverage.add(tables(facts))
    return coverage


def only(coverage: Coverage) -> SourceCoverage:
    (found,) = coverage.sources()
    return found


def test_each_source_and_channel_is_told_in_local_time() -> None:
    coverage = covered(call("pbx:1", "09:00"), call("pbx:2", "11:30"), message("texts:1", "10:10"))

    assert [(each.source, each.channel, each.record_count, each.first_at.hour, each.last_at.hour)
            for each in coverage.sources()] == [("pbx", "call", 2, 11, 14), ("texts", "sms", 1, 12, 13)]  # fmt: skip


def test_a_record_is_ours_by_extension_token_domain_queue_or_recipient() -> None:
    ours = [
        call("pbx:1", "09:00", ours="201"),
        call("pbx:2", "09:00", ours="299"),  # an extension, listed or not
        call("pbx:3", "09:00", ours=None, to_token="T-switchboard"),
        call("pbx:4", "09:00", ours=None, via_endpoint="R1"),  # a representative's id, however written
        email("pbx:5", "09:00", "T-anna", ["T-own"]),
        email("pbx:6", "09:00", "T-anna", ["T-x"], ["T-y"], domains={"T-y": "D-own"}),
        email("pbx:7", "09:00", "T-x", ["T-anna"], domains={"T-x": "D-own"}),
    ]
    strangers = [call("pbx:8", "09:00", ours="trunk-7"), email("pbx:9", "09:00", "T-anna", ["T-maija"])]

    coverage = covered(*ours, *strangers)

    assert {each.channel: each.stranger_count for each in coverage.sources()} == {"call": 1, "email": 1}
    assert any("pbx: 20% of call name nobody who is known to be ours; add" in each for each in coverage.sentences())


def test_extensions_that_nobody_listed_are_named_with_how_often_they_occur() -> None:
    coverage = covered(*(call(f"pbx:{number}", "09:00", ours="217") for number in range(3)), call("pbx:9", "09:00"))

    assert only(coverage).unlisted == {"217": 3}
    assert coverage.sentences() == ["pbx: extensions that are in no row of the directory: 217 (3)"]


def test_without_a_directory_nobody_is_missed_from_it() -> None:
    coverage = covered(call("pbx:1", "09:00", ours="217"), call("pbx:2", "09:00", ours="trunk"), directory=())

    assert only(coverage).unlisted == {}
    assert coverage.sentences() == [
        "pbx: 50% of call name nobody who is known to be ours; a directory of representatives says who is ours"
    ]


def test_withheld_numbers_are_counted_and_calls_between_devices_are_not() -> None:
    coverage = covered(
        call("pbx:1", "09:00", customer=None),
        call("pbx:2", "09:00", customer=None, from_endpoint="202"),
        call("pbx:3", "09:00"),
    )

    assert only(coverage).nameless_count == 1


def test_work_in_the_night_makes_the_time_zone_doubtful() -> None:
    nights = [call(f"pbx:{number}", MONDAY + timedelta(hours=22, seconds=number)) for number in range(120)]

    assert any("is `timezone` of this source right?" in each for each in covered(*nights).sentences())
    assert not any("timezone" in each for each in covered(*nights[:90]).sentences())


def test_silences_and_unusual_days_are_told() -> None:
    days = [MONDAY + timedelta(days=number) for number in range(35)]
    working = [day for day in days if day.weekday() < 5 and day.day != 13]
    calls = [
        call(f"pbx:{day:%m%d}-{hour}-{number}", day + timedelta(hours=hour, minutes=number))
        for day in working
        for hour in (8, 11)
        for number in range(2 if day == datetime(2024, 3, 21) else 20)
    ]
    mail = [email(f"mail:{day:%m%d}", day + timedelta(hours=9), "T-own", ["T-anna"]) for day in days]

    sentences = covered(*calls, *mail).sentences()

    assert sentences[0].startswith("pbx has no call from 2024-03-12 14:00 to 2024-03-14 10:00, where there usually are")
    assert sentences[1] == "pbx has 4 of call on 2024-03-21, a Thursday; usually there are 40"
