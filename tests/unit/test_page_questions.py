"""What the address of a page asks, and that it comes back as it was."""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.pages.asked import Asked, span
from pipeline.errors import ConfigurationError
from sinks.measures import DIMENSIONS, FILTERS, PERSONAL

OPEN = [name for name in FILTERS if name not in PERSONAL]
HELSINKI = ZoneInfo("Europe/Helsinki")
DAYS = st.dates(date(1970, 1, 1), date(2100, 1, 1))
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    since, through = sorted([draw(DAYS), draw(DAYS)])
    values = draw(st.dictionaries(st.sampled_from(OPEN), st.lists(TEXTS, min_size=1, max_size=3, unique=True)))
    by = draw(st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True))
    kept = {name: tuple(values[name]) for name in FILTERS if name in values}
    way = draw(st.sampled_from(["both", "since", "through", "whole", "none"]))
    return Asked(
        since if way in ("both", "since") else None,
        through if way in ("both", "through") else None,
        way == "whole",
        kept,
        tuple(by),
    )


@given(questions())
def test_an_address_asks_what_it_was_made_from(asked: Asked) -> None:
    address = asked.url("/explore")
    assert Asked.read(parse_qsl(urlsplit(address).query)) == asked


def test_both_days_of_a_period_belong_to_it_by_the_local_clock() -> None:
    asked = Asked.read([("since", "2024-03-30"), ("through", "2024-03-31")])
    filters = asked.filters(HELSINKI)
    # The clocks were put forward in between: the two days have 47 hours.
    assert filters.since is not None
    assert filters.until is not None
    assert filters.since.isoformat() == "2024-03-29T22:00:00"
    assert filters.until - filters.since == timedelta(hours=47)
    assert asked.day_count == 2


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("since", "yesterday")], "since is no day; expected one such as 2024-05-31"),
        ([("through", "0001-01-01")], "through lies outside of 1900 to 2999; name another day"),
        (
            [("since", "2024-03-02"), ("through", "2024-03-01")],
            "the period ends on 2024-03-01 before it begins on 2024-03-02; change one of the days",
        ),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_remedy(pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        Asked.read(pairs)
    assert str(told.value) == said


def test_an_unknown_dimension_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'team'"):
        Asked.read([("by", "teams")])


def test_empty_fields_of_a_form_choose_nothing() -> None:
    assert Asked.read([("since", ""), ("team", ""), ("by", ""), ("order", "most")]) == Asked()


def test_a_group_is_chosen_by_its_value_none_included() -> None:
    asked = Asked(date(2024, 3, 1), date(2024, 3, 31))
    sales = asked.within("team", "Sales")
    assert sales is not None
    assert sales.values == {"team": ("Sales",)}
    nobody = asked.within("team", None)
    assert nobody is not None
    assert nobody.values == {"team": ("none",)}


def test_an_interval_is_chosen_by_its_days_within_the_period() -> None:
    asked = Asked(date(2024, 3, 6), date(2024, 3, 31))
    week = asked.within("week", "2024-W10")
    assert week is not None
    assert (week.since, week.through) == (date(2024, 3, 6), date(2024, 3, 10))
    assert asked.within("hour", 9) is None


@given(DAYS)
def test_every_day_lies_in_the_week_and_the_month_that_are_named_after_it(day: date) -> None:
    year, week, _ = day.isocalendar()
    first, last = span("week", f"{year}-W{week:02d}")
    assert first <= day <= last
    assert (last - first).days == 6
    first, last = span("month", f"{day:%Y-%m}")
    assert first <= day <= last
    assert first.day == 1
    assert (last + timedelta(days=1)).day == 1
