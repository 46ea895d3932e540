"""Values of a CRM's records, whoever wrote them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.crm_values import Clock, flag_of, id_of, named_fields, text_of
from tests.parsing import context

CLOCK = Clock(context(Path("file")))
MARCH = datetime(2024, 3, 4, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(" a ", "a"), ("NULL", ""), ("nan", ""), ("\\N", ""), ("#N/A", ""), (None, ""), (float("nan"), ""), (501.0, "501"),
     (1.5, "1.5"), (7, "7"), (False, "false"), ([1], ""), (float("inf"), "inf")],
)  # fmt: skip
def test_what_stands_for_nothing_is_no_text(value: object, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "found"),
    [("501", "501"), (501, "501"), ("501.0", "501"), ("0", None), ("", None), ("a b", None), ("x" * 101, None),
     ("0f9c12aa-11ee-4c1b-9f3d-0a1b2c3d4e5f", "0f9c12aa-11ee-4c1b-9f3d-0a1b2c3d4e5f"), ("ä", None), ({"id": 1}, None)],
)  # fmt: skip
def test_an_id_is_a_word_and_never_nought(value: object, found: str | None) -> None:
    assert id_of(value) == found


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), ("TRUE", True), ("t", True), (1, True), ("0", False), (None, False)]
)
def test_flags_are_written_in_many_ways(value: object, flag: bool) -> None:
    assert flag_of(value) is flag


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("2024-03-04T09:12:00Z", {"logged_at": MARCH, "precision": "second"}),
        ("2024-03-04 09:12:00.000", {"logged_at": MARCH, "precision": "second"}),
        ("2024-03-04 09:12:00.000 UTC", {"logged_at": MARCH, "precision": "second"}),
        ("2024-03-04T11:12:00+02:00", {"logged_at": MARCH, "precision": "second"}),
        ("1709543520000", {"logged_at": MARCH, "precision": "second"}),
        (1709543520000, {"logged_at": MARCH, "precision": "second"}),
        ("2024-03-04 09:12", {"logged_at": MARCH, "precision": "minute"}),
        ("2024-03-04", {"logged_on": date(2024, 3, 4)}),
    ],
)
def test_instants_without_an_offset_are_utc_and_keep_their_precision(written: object, fields: dict[str, Any]) -> None:
    assert CLOCK.logged({"created": written}, "made", "created") == fields


def test_the_first_field_that_says_something_counts_and_an_unreadable_one_is_named() -> None:
    values = {"made": "", "created": "2024-03-04", "changed": "soon", "sent": "9999-01-01T00:00:00Z"}

    assert CLOCK.logged(values, "made", "created", "changed") == {"logged_on": date(2024, 3, 4)}
    assert CLOCK.logged(values, "made") is None
    with pytest.raises(InvalidRecord, match="changed: expected a date and time"):
        CLOCK.logged(values, "changed")
    with pytest.raises(InvalidRecord, match="sent: expected a year between 1970 and 2199"):
        CLOCK.instant(values, "sent")


def test_what_happened_at_an_instant_was_logged_some_time_that_day() -> None:
    assert CLOCK.day({"start": "2024-03-04T09:12:00Z"}, "start") == {"logged_at": MARCH, "precision": "day"}
    assert CLOCK.day({"start": "2024-03-04"}, "start") == {"logged_on": date(2024, 3, 4)}
    assert CLOCK.day({}, "start") is None


def test_a_change_that_cannot_be_read_or_has_not_come_is_none() -> None:
    values = {"a": "soon", "b": "2093-01-01T00:00:00Z", "c": "2024-03-04", "d": "2024-03-04T09:12:00Z"}

    assert CLOCK.changed(values, "a", "b", "c", "d") == MARCH
    assert CLOCK.changed(values, "a", "b", "c") is None
    assert CLOCK.is_past({"logged_at": MARCH})
    assert not CLOCK.is_past({"logged_at": datetime(2093, 1, 1, tzinfo=UTC)})


def test_an_option_names_one_field_or_several() -> None:
    assert named_fields("phones", context(Path("file"), options={"phones": "direct"})) == ("direct",)
    assert named_fields("phones", context(Path("file"), options={"phones": ["a", "b"]})) == ("a", "b")
    assert named_fields("phones", context(Path("file"))) == ()
    with pytest.raises(ConfigurationError, match="phones is"):
        named_fields("phones", context(Path("file"), options={"phones": {"a": 1}}))
