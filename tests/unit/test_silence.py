"""When a source was silent, and which days are unusual."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.silence import HOUR, Hours, silences, unusual_days

MONDAY = datetime(2024, 3, 4)
DAY = timedelta(days=1)
OFFICE = range(8, 17)


def office(days: int, per_hour: int = 10, first: datetime = MONDAY) -> dict[datetime, int]:
    """Return so many records in each office hour of working days."""
    return {hour: per_hour for hour in _hours(first, days)}


def _hours(first: datetime, days: int) -> Iterator[datetime]:
    for number in range(days):
        day = first + number * DAY
        if day.weekday() < 5:
            yield from (day + hour * HOUR for hour in OFFICE)


def without(hours: Hours, since: datetime, until: datetime) -> dict[datetime, int]:
    return {hour: count for hour, count in hours.items() if not since <= hour < until}


def test_an_afternoon_without_a_call_is_a_silence_while_others_go_on() -> None:
    since, until = MONDAY + 8 * DAY + 12 * HOUR, MONDAY + 8 * DAY + 17 * HOUR
    calls, mail = without(office(28), since, until), office(28, 3)

    (found,) = silences({("pbx", "call"): calls, ("mail", "email"): mail}, MONDAY, MONDAY + 28 * DAY)

    assert (found.source, found.channel, found.since) == ("pbx", "call", since)
    assert found.until == MONDAY + 9 * DAY + 8 * HOUR  # nothing is usual in the night
    assert 45 <= found.usual_count <= 50
    assert not found.is_general
    assert str(found).startswith("pbx has no call from 2024-03-12 12:00 to 2024-03-13 08:00, where there usually are 4")


def test_nights_and_weekends_without_records_are_no_silence() -> None:
    assert silences({("pbx", "call"): office(28)}, MONDAY, MONDAY + 28 * DAY) == []


def test_a_source_that_stops_is_silent_to_the_end_and_one_that_begins_late_from_the_beginning() -> None:
    stopped = without(office(28), MONDAY + 14 * DAY, MONDAY + 28 * DAY)
    late = without(office(28), MONDAY, MONDAY + 7 * DAY)

    found = silences({("pbx", "call"): stopped, ("mail", "email"): late}, MONDAY, MONDAY + 28 * DAY)

    assert [(each.source, each.since, each.until) for each in found] == [
        ("pbx", MONDAY + 11 * DAY + 17 * HOUR, MONDAY + 28 * DAY),
        ("mail", MONDAY, MONDAY + 7 * DAY + 8 * HOUR),
    ]


def test_a_day_on_which_everything_was_silent_is_a_holiday_and_a_week_is_not() -> None:
    day = without(office(56), MONDAY + 8 * DAY, MONDAY + 9 * DAY)
    week = without(office(56), MONDAY + 14 * DAY, MONDAY + 21 * DAY)

    (holiday,) = silences({("pbx", "call"): day}, MONDAY, MONDAY + 56 * DAY)
    (failure,) = silences({("pbx", "call"): week}, MONDAY, MONDAY + 56 * DAY)

    assert holiday.is_general
    assert holiday.is_holiday
    assert str(holiday).endswith("; nothing else either")
    assert failure.is_general
    assert not failure.is_holiday


def test_a_source_of_few_records_is_not_called_silent() -> None:
    few = {MONDAY + number * DAY + 10 * HOUR: 1 for number in (0, 9, 10, 25)}

    assert silences({("chat", "chat"): few}, MONDAY, MONDAY + 28 * DAY) == []


def test_a_day_with_far_fewer_or_far_more_records_than_its_weekday_is_unusual() -> None:
    hours = office(35)
    hours |= {hour: 1 for hour in _hours(MONDAY + 8 * DAY, 1)} | {hour: 50 for hour in _hours(MONDAY + 16 * DAY, 1)}

    few, many = unusual_days({("pbx", "call"): hours}, MONDAY, MONDAY + 35 * DAY)

    assert (few.day, few.count, few.usual_count) == (date(2024, 3, 12), 9, 90)
    assert (many.day, many.count) == (date(2024, 3, 20), 450)
    assert str(few) == "pbx has 9 of call on 2024-03-12, a Tuesday; usually there are 90"


@given(st.dictionaries(st.integers(0, 24 * 40), st.integers(1, 100), max_size=60), st.integers(1, 24 * 40))
def test_a_silence_is_empty_within_the_period_and_as_long_as_it_can_be(counts: dict[int, int], length: int) -> None:
    hours = {MONDAY + number * HOUR: count for number, count in counts.items()}
    until = MONDAY + length * HOUR

    for found in silences({("pbx", "call"): hours}, MONDAY, until):
        assert MONDAY <= found.since < found.until <= until
        assert not any(found.since <= hour < found.until for hour in hours)
        assert found.since == MONDAY or found.since - HOUR in hours
        assert found.until == until or found.until in hours
