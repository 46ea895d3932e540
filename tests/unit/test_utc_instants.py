"""Instants of systems that state UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.errors import InvalidRecord
from pipeline.sources.utc_instants import read_utc, utc_if_given

NINE = datetime(2024, 3, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-05T09:00:00Z",
        "2024-03-05T11:00:00+02:00",
        "2024-03-05 09:00:00.000000",
        "2024-03-05 09:00:00 UTC",
        "1709629200",
        1709629200,
        1709629200.0,
        "1709629200000",
        1709629200000,
    ],
)
def test_an_instant_is_read_in_any_way_of_writing_and_is_utc_without_an_offset(written: object) -> None:
    assert read_utc({"at": written}, "at") == NINE


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2024-03-05",
        True,
        ["2024-03-05T09:00:00Z"],
        {},
        "0001-01-01T00:00:00+05:00",
        1e300,
        float("nan"),
        -1,
    ],
)
def test_what_is_no_instant_is_refused_by_the_name_of_the_field(written: object) -> None:
    with pytest.raises(InvalidRecord, match="at: no date and time, such as 2024-03-05T09:00:00Z"):
        read_utc({"at": written}, "at")


def test_the_first_instant_that_is_given_counts() -> None:
    value = {"a": None, "b": "", "c": "2024-03-05T09:00:00Z", "d": "later"}

    assert read_utc(value, "a", "b", "c", "d") == NINE
    assert utc_if_given(value, "a", "b", "e") is None
    with pytest.raises(InvalidRecord, match="a: missing; expected a date and time"):
        read_utc(value, "a", "b")
