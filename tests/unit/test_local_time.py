"""Specification of local times: the hour that comes twice, the one that does not come, and years out of this world."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.local_time import column_to_utc, offset_at, to_utc, transitions
from schemas.facts import INSTANT

HELSINKI = ZoneInfo("Europe/Helsinki")
ZONES = ["Europe/Helsinki", "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns"]


def nothing_known(rows: Sequence[int]) -> list[datetime | None]:
    return [None for _ in rows]


def test_a_zone_changes_its_offset_twice_a_year() -> None:
    assert [(c.instant, c.before, c.after) for c in transitions(HELSINKI, 2026)] == [
        (datetime(2026, 3, 29, 1), timedelta(hours=2), timedelta(hours=3)),
        (datetime(2026, 10, 25, 1), timedelta(hours=3), timedelta(hours=2)),
    ]
    assert transitions(ZoneInfo("UTC"), 2026) == ()


def test_the_hour_that_comes_twice_is_the_first_that_is_not_too_early() -> None:
    local = datetime(2026, 10, 25, 3, 30)

    assert to_utc(local, HELSINKI) == datetime(2026, 10, 25, 0, 30)
    assert to_utc(local, HELSINKI, datetime(2026, 10, 25, 0, 29)) == datetime(2026, 10, 25, 0, 30)
    assert to_utc(local, HELSINKI, datetime(2026, 10, 25, 1, 29)) == datetime(2026, 10, 25, 1, 30)


def test_an_hour_that_does_not_come_is_read_with_the_offset_before() -> None:
    assert to_utc(datetime(2026, 3, 29, 3, 30), HELSINKI) == datetime(2026, 3, 29, 1, 30)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)), min_size=1, max_size=30),
    st.sampled_from(ZONES),
)
def test_a_column_of_wall_clocks_comes_back_to_the_instants_it_was_written_at(
    instants: list[datetime], name: str
) -> None:
    zone = ZoneInfo(name)
    walls = [instant.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) for instant in instants]

    def known(rows: Sequence[int]) -> list[datetime | None]:
        return [instants[row] for row in rows]

    assert column_to_utc(pa.array(walls, INSTANT), zone, known).to_pylist() == instants


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), max_size=20), st.sampled_from(ZONES)
)
def test_a_column_is_read_as_its_values_are_one_by_one(walls: list[datetime | None], name: str) -> None:
    zone = ZoneInfo(name)

    together = column_to_utc(pa.array(walls, INSTANT), zone, nothing_known).to_pylist()

    assert together == [None if wall is None else to_utc(wall, zone) for wall in walls]


@pytest.mark.parametrize("odd", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), datetime(1700, 5, 5)])
def test_a_year_out_of_this_world_does_not_disturb_the_others(odd: datetime) -> None:
    walls = [datetime(2026, 7, 1, 12), odd, None]

    found = column_to_utc(pa.array(walls, INSTANT), HELSINKI, nothing_known).to_pylist()

    assert found[0] == datetime(2026, 7, 1, 9)
    assert found[1] is not None
    assert found[2] is None


def test_offsets_are_asked_at_an_instant() -> None:
    assert offset_at(HELSINKI, datetime(2026, 7, 1)) == timedelta(hours=3)
    assert offset_at(HELSINKI, datetime(2026, 1, 1)) == timedelta(hours=2)
