"""Times of syslog lines: the year that no line names, hours that come twice, and what is no time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidRecord
from pipeline.sources.syslog_time import FirstYear, SyslogClock, first_year, split_stamp

HELSINKI = ZoneInfo("Europe/Helsinki")
READ_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def instants(
    *stamps: str, year: int | None = None, read_at: datetime = READ_AT, zone: ZoneInfo = HELSINKI
) -> list[datetime]:
    """Return the instants of lines with these times."""
    lines = [f"{stamp} mx postfix/qmgr[7]: A1B2C3D4: removed" for stamp in stamps]
    first = FirstYear(year) if year else first_year(enumerate(lines), zone, read_at)
    clock = SyslogClock(first.year, zone)
    found = []
    for line in lines:
        parts = split_stamp(line)
        assert parts is not None
        found.append(clock.instant(parts[0]).replace(tzinfo=None))
    return found


def years(*stamps: str, read_at: datetime = READ_AT) -> list[int]:
    return [found.year for found in instants(*stamps, read_at=read_at, zone=ZoneInfo("UTC"))]


@pytest.mark.parametrize(
    "line",
    [
        "", "Nov 21", "nov 21 20:35:10 mx x", "Nov 31 20:35:10 mx x", "Foo 21 20:35:10 mx x", "Nov 21 24:35:10 mx x",
        "2024-13-05T09:00:00 mx x", "at com.example.Main(Main.java:7)", "Nov 21 20:35:10",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(line: str) -> None:
    assert split_stamp(line) is None


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("Nov 21 20:35:10", datetime(2025, 11, 21, 18, 35, 10)),
        ("Mar  5 09:00:00", datetime(2026, 3, 5, 7)),
        ("Mar 05 09:00:00", datetime(2026, 3, 5, 7)),
        ("2024-03-05T09:00:00.250000+02:00", datetime(2024, 3, 5, 7, 0, 0, 250_000)),
        ("2018-11-21T15:18:43+0000", datetime(2018, 11, 21, 15, 18, 43)),
        ("2024-03-05T07:00:00Z", datetime(2024, 3, 5, 7)),
        ("2024-03-05 09:00:00", datetime(2024, 3, 5, 7)),
    ],
)
def test_both_forms_of_times_are_read_in_the_zone_of_the_source(stamp: str, expected: datetime) -> None:
    assert instants(stamp) == [expected]


def test_a_log_was_read_within_a_year_of_its_latest_line() -> None:
    assert years("May 30 10:00:00") == [2026]
    assert years("Jun  1 12:00:00") == [2026]
    assert years("Jun  2 11:59:59") == [2026]  # a clock may be a day ahead
    assert years("Jun  2 12:00:01") == [2025]
    assert years("Dec 31 23:59:59") == [2025]


def test_the_day_of_the_reading_is_that_of_the_sources_zone() -> None:
    late = datetime(2026, 6, 1, 23, tzinfo=UTC)  # 2:00 on 2 June in Helsinki

    assert [found.year for found in instants("Jun  3 01:59:59", read_at=late)] == [2026]
    assert [found.year for found in instants("Jun  3 02:00:01", read_at=late)] == [2025]


def test_the_year_turns_where_december_is_followed_by_january() -> None:
    assert years("Nov 21 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Mar  5 09:00:00") == [2025, 2025, 2026, 2026]
    assert years("Nov 21 10:00:00", "Jan  1 00:00:00", "Jul  1 00:00:00", "Nov  1 00:00:00") == [2024, 2025, 2025, 2025]


def test_lines_that_come_late_do_not_turn_the_year() -> None:
    assert years("Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02") == [2026, 2025, 2026]
    assert years("Mar  5 09:00:01", "Mar  5 09:00:00", "Mar  4 23:00:00", "Mar  6 00:00:00") == [2026] * 4


def test_rotated_logs_put_together_the_wrong_way_round_keep_their_year() -> None:
    assert years("May  1 00:00:00", "May 30 00:00:00", "Apr  1 00:00:00", "Apr 30 00:00:00") == [2026] * 4
    assert years("Jan  2 00:00:00", "Nov  1 00:00:00", "Dec 31 00:00:00") == [2026, 2025, 2025]
    assert years("Jun 20 00:00:00", "May  1 00:00:00") == [2025, 2025]  # June is still to come


def test_a_line_that_names_its_year_tells_that_of_the_others() -> None:
    found = years("Nov 21 10:00:00", "Jan  2 10:00:00", "2021-01-03T10:00:00Z", "Jan  4 10:00:00")

    assert found == [2020, 2021, 2021, 2021]


def test_a_leap_day_is_of_a_year_that_has_one() -> None:
    assert years("Feb 28 10:00:00", "Feb 29 10:00:00", "Mar  1 10:00:00") == [2024] * 3
    assert years("Feb 29 10:00:00", "Jul  1 10:00:00", "Nov  1 10:00:00", "Feb  1 10:00:00") == [2024] * 3 + [2025]
    assert years("Feb 29 10:00:00", read_at=datetime(1903, 6, 1, tzinfo=UTC)) == [1896]


def test_a_year_that_is_given_counts() -> None:
    assert instants("Dec 31 20:00:00", "Jan  1 20:00:00", year=2019) == [
        datetime(2019, 12, 31, 18), datetime(2020, 1, 1, 18),
    ]  # fmt: skip
    with pytest.raises(
        InvalidRecord, match=r"its day does not exist in the year that it must be of; give options\.year"
    ):
        instants("Feb 29 20:00:00", year=2019)


def test_leap_days_that_no_years_fit_leave_the_last_word_to_the_days_themselves() -> None:
    with pytest.raises(InvalidRecord, match="its day does not exist"):
        years("Feb 29 10:00:00", "Jul  1 10:00:00", "Dec 1 10:00:00", "Feb 29 10:00:00")


def test_times_out_of_this_world_are_no_days() -> None:
    with pytest.raises(InvalidRecord, match="its day does not exist"):
        instants("9999-12-31T23:59:59-10:00")


def test_an_hour_that_comes_twice_goes_by_the_line_before() -> None:
    """In Helsinki clocks went from 4:00 back to 3:00 on 26 October 2025: 3:30 was at 0:30 and at 1:30 UTC."""
    found = instants("Oct 26 03:30:00", "Oct 26 03:59:00", "Oct 26 03:10:00", "Oct 26 03:30:00", "Oct 26 04:10:00")

    assert [f"{each:%H:%M}" for each in found] == ["00:30", "00:59", "01:10", "01:30", "02:10"]


def test_without_any_line_the_reading_tells_the_year() -> None:
    assert first_year([], HELSINKI, READ_AT) == FirstYear(2026)
    assert first_year([(1, "no log")], HELSINKI, READ_AT) == FirstYear(2026)


def test_whether_the_year_was_told_is_told() -> None:
    guessed = first_year([(1, "Nov 21 10:00:00 x"), (2, "Jan  2 10:00:00 x")], HELSINKI, READ_AT.replace(tzinfo=None))
    known = first_year([(1, "Nov 21 10:00:00 x"), (2, "2023-01-02T10:00:00Z x")], HELSINKI, READ_AT)

    assert (guessed, known) == (FirstYear(2025, 2026), FirstYear(2022, None))


@given(steps=st.lists(st.integers(0, 150 * 24 * 3600), max_size=20), begun=st.integers(0, 2_000_000_000))
def test_a_log_in_order_gets_back_the_years_it_lost(steps: list[int], begun: int) -> None:
    moments = [datetime.fromtimestamp(begun, UTC).replace(tzinfo=None)]
    for step in steps:
        moments.append(
            datetime.fromtimestamp(moments[-1].replace(tzinfo=UTC).timestamp() + step, UTC).replace(tzinfo=None)
        )
    stamps = [f"{moment:%b %d %H:%M:%S}" for moment in moments]

    found = instants(*stamps, read_at=moments[-1].replace(tzinfo=UTC), zone=ZoneInfo("UTC"))

    assert found == moments
