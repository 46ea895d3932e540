"""The languages of the pages: nothing untranslated, and numbers as each language writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from dashboard.pages.languages import CATALOGUES, LANGUAGES, LOCALES, Language
from pipeline.sentences import Instant, LocalTime, Name, Value, sentence

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS: dict[str, Any] = {"_": None, "say": None, "say_many": (1, 2), "many": (1, 2), "sentence": None}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]


def messages() -> Iterator[str | tuple[str, ...]]:
    for folder in ("dashboard", "pipeline", "sinks"):
        for _, _, message, _, _ in extract_from_dir(str(ROOT / folder), METHODS, keywords=KEYWORDS):
            yield message if isinstance(message, str) else tuple(map(str, message))


def catalogue(language: str) -> Catalog:
    with (CATALOGUES / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_every_message_is_translated_and_takes_the_same_values(language: str) -> None:
    known = catalogue(language)
    found = set(messages())
    assert len(found) > 300
    for message in found:
        entry = known.get(message if isinstance(message, str) else message[0])
        assert entry is not None, f"no entry for {message!r}; run: make messages"
        said = [entry.string] if isinstance(entry.string, str) else list(entry.string or ())
        assert all(said), f"{message!r} is not translated into {language}"
        first = message if isinstance(message, str) else message[1]
        for each in said:
            assert set(re.findall(r"%\(\w+\)s", each)) == set(re.findall(r"%\(\w+\)s", first)), each


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_no_translation_is_of_a_message_that_is_gone(language: str) -> None:
    found = {message if isinstance(message, str) else message[0] for message in messages()}
    kept = {entry.id if isinstance(entry.id, str) else entry.id[0] for entry in catalogue(language) if entry.id}
    assert kept <= found


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    return Language(request.param, "Europe/Helsinki")


def test_a_sentence_of_the_core_is_told_in_the_reader_s_language() -> None:
    why = sentence("it carries the interaction's own key")
    when = sentence("%(length)s after the end", length=timedelta(minutes=90))
    values: dict[str, Value] = {"activity": "A1", "tier": Name("same_representative"), "when": when, "why": why}
    traced = sentence("Traced by %(activity)s (%(tier)s, %(when)s): %(why)s.", **values)
    finnish = Language("fi", "Europe/Helsinki")

    assert traced == f"Traced by A1 (same_representative, 1 h 30 min after the end): {why}."
    assert Language("en", "Europe/Helsinki").told(traced).startswith("Traced by A1 (same representative, ")
    assert finnish.told(traced) == (
        "Jälki on A1 (sama edustaja, 1 t 30 min lopun jälkeen): siinä on kohtaamisen oma avain."
    )
    assert finnish.told("what nobody translated") == "what nobody translated"


def test_instants_and_counts_of_a_sentence_are_told_as_readers_write_them() -> None:
    first, begins = Instant(datetime(2026, 1, 1, 12)), Instant(datetime(2026, 1, 3, 12, 0, 5))
    began = sentence("the data begin %(first)s, less than %(days)s days before it began, %(begins)s",
                 first=first, days=1200, begins=begins)  # fmt: skip
    nine = LocalTime(datetime(2026, 3, 2, 9))
    at_nine = sentence("%(silence)s: its interactions are missing from the number", silence=nine)

    assert str(began) == (
        "the data begin 2026-01-01 12:00 UTC, less than 1,200 days before it began, 2026-01-03 12:00:05 UTC"
    )
    assert Language("fi", "Europe/Helsinki").told(began) == (
        "tiedot alkavat to 1.1.2026 14:00, alle 1\N{NO-BREAK SPACE}200 päivää ennen alkua (la 3.1.2026 14:00)"
    )
    # The company's own time is not moved.
    assert Language("fi", "Europe/Helsinki").told(at_nine).startswith("ma 2.3.2026 09:00: ")


def test_figures_are_written_as_readers_write_them() -> None:
    english, finnish = (Language(name, "Europe/Helsinki") for name in ("en", "fi"))
    assert (english.count(1234567), finnish.count(1234567)) == ("1,234,567", "1\xa0234\xa0567")
    assert (english.percent(0.8125), finnish.percent(0.8125)) == ("81.2\xa0%", "81,2\xa0%")
    assert (english.interval(0.5, 0.625), finnish.interval(0.5, 0.625)) == ("50.0–62.5\xa0%", "50,0–62,5\xa0%")
    assert (english.points(-0.034), finnish.points(0.034), finnish.points(0.0)) == ("−3.4", "+3,4", "±0,0")
    # Instants are of the local clock: two hours ahead of UTC in winter, three in summer.
    assert english.moment(datetime(2024, 3, 4, 22, 30)) == "Tue 5 Mar 2024 00:30"
    assert finnish.moment(datetime(2024, 6, 4, 21, 30)) == "ke 5.6.2024 00:30"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 secs"), (59.6, "1 min"), (3_599, "59 mins 59 secs"), (86_400, "1 day"), (-5_400, "−1 hr 30 mins"),
        (90_061, "1 day 1 hr"),
    ],
)  # fmt: skip
def test_lengths_of_time_have_their_two_largest_units(seconds: float, said: str) -> None:
    assert Language("en", "UTC").length(seconds) == said


def test_what_is_not_known_is_said_to_be_so(language: Language) -> None:
    nothing = [
        language.count(None), language.percent(None), language.interval(None, 0.5), language.points(None),
        language.moment(None), language.length(None), language.title(None), language.day(None),
    ]  # fmt: skip
    assert set(nothing) == {"–"}


def test_groups_of_all_dimensions_have_a_name(language: Language) -> None:
    assert language.group("team", "call") == "call"
    assert language.group("channel", "call") in ("call", "puhelu")
    assert language.group("weekday", 1) in ("Monday", "maanantai")
    assert language.group("hour", 9) == "09:00"
    assert "10" in language.group("week", "2024-W10")
    assert "2024" in language.group("month", "2024-02")
    assert language.group("reason", None) in ("none", "ei mitään")
    assert set(LOCALES) == set(LANGUAGES)
