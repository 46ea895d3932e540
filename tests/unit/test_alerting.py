"""When alerts are told: once, whatever their value does between the bounds, and digests once after each time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerting import AlertNews, Rule, Standing, judge, last_due
from schemas.settings import SettingsError, parse_configuration

NOON = datetime(2024, 3, 4, 12)
RULE = Rule(0.8, 0.7)
VALUES = st.none() | st.floats(0, 1)


def told_of(rule: Rule, values: list[float | None], step: timedelta = timedelta(hours=1)) -> list[AlertNews]:
    standing, said = Standing(), []
    for number, value in enumerate(values):
        told, standing = judge(rule, standing, value, NOON + number * step)
        if told is not None:
            said.append(told)
    return said


@given(st.lists(st.floats(0.7, 1), max_size=30))
def test_what_stays_above_the_lower_bound_is_told_once_at_most(values: list[float]) -> None:
    said = told_of(RULE, list(values))
    assert said == ([AlertNews.RAISED] if any(value >= 0.8 for value in values) else [])


@given(st.lists(VALUES, max_size=40))
def test_raised_and_over_take_turns(values: list[float | None]) -> None:
    said = told_of(RULE, values)
    assert said == [AlertNews.RAISED, AlertNews.RESOLVED] * (len(said) // 2) + [AlertNews.RAISED] * (len(said) % 2)
    known = [value for value in values if value is not None]
    assert bool(said) == any(value >= 0.8 for value in known)
    if said and known[-1] >= 0.8:
        assert said[-1] is AlertNews.RAISED
    if said and known[-1] < 0.7:
        assert said[-1] is AlertNews.RESOLVED


@given(st.lists(VALUES, max_size=40), st.integers(1, 10))
def test_reminders_come_no_more_often_than_asked_and_only_while_it_lasts(
    values: list[float | None], hours: int
) -> None:
    rule = Rule(0.8, 0.7, timedelta(hours=hours))
    standing, last = Standing(), None
    for number, value in enumerate(values):
        now = NOON + timedelta(hours=number)
        told, standing = judge(rule, standing, value, now)
        if told is AlertNews.REMINDED:
            assert last is not None
            assert now - last >= timedelta(hours=hours)
        if told in (AlertNews.RAISED, AlertNews.REMINDED):
            last = now
        if told is AlertNews.RESOLVED:
            last = None
        elif last is not None:
            assert now - last < timedelta(hours=hours)
    assert (standing.raised_at is None) == (last is None)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)), st.sampled_from(["day", "week"]), st.times())
def test_a_digest_is_due_once_in_each_interval(now: datetime, every: str, at: time) -> None:
    at = at.replace(second=0, microsecond=0)
    zone = ZoneInfo("Europe/Helsinki")
    due = last_due(every, at, zone, now)
    length = timedelta(days=1 if every == "day" else 7)
    # On days on which the clock is changed an interval is an hour longer or shorter.
    assert due <= now < due + length + timedelta(hours=1)
    assert last_due(every, at, zone, due) == due
    local = due.replace(tzinfo=UTC).astimezone(zone)
    if every == "week":
        assert local.isoweekday() == 1
    assert local.time() == at or local.utcoffset() != (local - timedelta(hours=3)).utcoffset()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[alert]]\nname = "A"\nkind = "share"\nto_env = ["CHAT"]\nclear_at = 0.9', "clear_at is above raise_at"),
        ('[[alert]]\nname = "A"\nkind = "silence"\nto_env = ["CHAT"]\nteam = ["Sales"]', "choose of a share alone"),
        ('[[alert]]\nname = "A"\nkind = "share"', "to_env"),
        ('[[alert]]\nname = "A"\nkind = "share"\nto_env = ["mailto://x:y@z"]', "to_env"),
        ('[[digest]]\nname = "A"\nto_env = ["CHAT"]\nat = "8"', "a time of day such as 08:00"),
        (
            '[[digest]]\nname = "A"\nto_env = ["CHAT"]\n[[alert]]\nname = "A"\nkind = "share"\nto_env = ["CHAT"]',
            "are called 'A'",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_without_a_secret(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        parse_configuration(text, "bypassflow.toml")
    assert said in str(told.value)
