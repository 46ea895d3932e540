"""What an administrator may write in bypassflow.toml, and what is said when it is wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.configuration import complete_through, engine_settings, load
from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from schemas.settings import Configuration, EngineSettings, SettingsError, parse_configuration, parse_duration, slug
from schemas.toml_lines import key_lines

WHOLE = """\
# Acme's own
[company]
name = "Järvi & Pojat Oy"
domains = ["jarvi.example", "jarvi.fi"]
region = "se"
timezone = "Europe/Stockholm"
directory = "directory.csv"
outside_prefixes = ["0"]
public_numbers = ["+46 8 123 456 00"]
never_log = ["occupational-health.fi", "+46 8 123 456 99", "nurse@clinic.fi"]

[match]
before = "10min"
same_representative_after = "3d"
other_representative_after = "1h 30min"
inferred_after = 1800
tiers = ["exact", "same_representative"]
merge_tolerance = "45s"
lateness = "2 days"

[exclude]
too_short_seconds = 7.5
bulk_recipients = 50

[crm]
complete_through = 2024-05-31

[privacy]
identifiers = "clear"
key_file = "secret.key"

[[source]]
path = "pbx/Master.csv*"
name = "pbx"
timezone = "UTC"

[[source]]
path = "calls.csv"
format = "canonical_csv"
mapping = { kind = "call", started_at = "Start", from = "Caller" }
[source.options]
date_format = "%d/%m/%Y %H:%M"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_configuration(text, "bypassflow.toml")
    return list(caught.value.problems)


def problem(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_an_empty_file_means_the_defaults() -> None:
    assert parse_configuration("", "bypassflow.toml") == Configuration()
    assert Configuration().match.same_representative_after == timedelta(hours=72)
    assert Configuration().company.id == "company"


def test_a_whole_configuration_is_read() -> None:
    configuration = parse_configuration(WHOLE, "bypassflow.toml")
    assert configuration.company.id == "jarvi-pojat-oy"
    assert configuration.company.region == "SE"
    assert configuration.match.other_representative_after == timedelta(minutes=90)
    assert configuration.match.inferred_after == timedelta(minutes=30)
    assert configuration.match.lateness == timedelta(days=2)
    assert configuration.crm.complete_through == date(2024, 5, 31)
    assert [source.path for source in configuration.source] == ["pbx/Master.csv*", "calls.csv"]
    assert configuration.source[1].mapping["from"] == "Caller"
    assert configuration.source[1].options == {"date_format": "%d/%m/%Y %H:%M"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[company]\nname = "A"\ndomain = ["a.fi"]', 3, "unknown key 'domain' in [company]; did you mean 'domains'?"),
        ('[match]\nbefor = "1h"', 2, "did you mean 'before'?"),
        ('[[source]]\npath = "x"\n\n[[source]]\npath = "y"\nformatt = "z"', 6, "did you mean 'format'?"),
        ("[compny]\n", 1, "did you mean [company]?"),
        ('[[sources]]\npath = "x"', 1, "did you mean [[source]]?"),
        ('region = "FI"', 1, "it belongs under [company]"),
        ('[crm]\ntimezone = "UTC"', 2, "unknown key 'timezone' in [crm]; it belongs under [company]"),
        ("[company]\nwhatever = 1", 2, "known are name, id, domains"),
    ],
)
def test_an_unknown_key_fails_with_its_line_and_the_nearest_known_key(text: str, line: int, words: str) -> None:
    sentence = problem(text)
    assert sentence.startswith(f"bypassflow.toml, line {line}: ")
    assert words in sentence


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        ("[company]\ndomains = 'a.fi'", 2, "company.domains is 'a.fi'", "a list in [brackets]"),
        ("[company]\nname = 5", 2, "the number 5", 'text in "quotes"'),
        ("[company]\ntimezone = 'Helsinki'", 2, "'Helsinki'", "did you mean 'Europe/Helsinki'?"),
        ("[company]\ntimezone = 'Mars/Base'", 2, "'Mars/Base'", "an IANA time zone such as"),
        ("[company]\nregion = 'UK'", 2, "'UK'", "did you mean 'GB'?"),
        ("[company]\nregion = 'Finland'", 2, "'Finland'", "two letters (ISO 3166-1)"),
        ("[company]\ndomains = ['@a.fi']", 2, "@a.fi", "domains alone"),
        ("[company]\noutside_prefixes = ['+358']", 2, "+358", "one to four digits each"),
        ("[company]\nid = 'Acme Oy'", 2, "'Acme Oy'", "small letters, digits"),
        ("[match]\nbefore = '-3h'", 2, "'-3h'", 'such as "30s", "15min", "72h" or "7d"'),
        ("[match]\nbefore = -1", 2, "the number -1", "from zero"),
        ("[match]\nbefore = true", 2, "true", "a length of time"),
        ("[match]\nbefore = '3 moons'", 2, "'3 moons'", "a length of time"),
        ("[match]\ntiers = ['exakt']", 2, "match.tiers (entry 1) is 'exakt'", "'exact'"),
        ("[exclude]\ntoo_short_seconds = '5'", 2, "'5'", "a number, for example too_short_seconds = 5"),
        ("[exclude]\nbulk_recipients = true", 2, "true", "a whole number"),
        ("[exclude]\nbulk_recipients = -1", 2, "the number -1", "greater than or equal to 0"),
        ("[crm]\ncomplete_through = 'soon'", 2, "'soon'", "such as 2024-05-31"),
        ("[privacy]\nidentifiers = 'none'", 2, "'none'", "'masked' or 'clear'"),
        ("[[source]]\nname = 'x'", 1, "[[source]] has no path", 'path = "pbx/Master.csv*"'),
        ("[[source]]\npath = 'x'\nname = 'My PBX'", 3, "name of [[source]] number 1 is 'My PBX'", "small letters"),
        ("[[source]]\npath = 'x'\n[[source]]\npath = 3", 4, "path of [[source]] number 2 is the number 3", "text"),
        ("[[source]]\npath = 'x'\nmapping = { from = true }", 3, "mapping.from", "text"),
        ("[source]\npath = 'x'", 1, "a table", "the header [[source]]"),
        ("company = 3", 1, "the number 3", "a table"),
        ("[company]\nname = ''", 2, "''", "text that is not empty"),
    ],
)
def test_a_wrong_value_fails_with_its_line_what_was_found_and_what_was_expected(
    text: str, line: int, found: str, expected: str
) -> None:
    sentence = problem(text)
    assert sentence.startswith(f"bypassflow.toml, line {line}: ")
    assert found in sentence
    assert expected in sentence


def test_every_problem_is_told_at_once_in_the_order_of_the_lines() -> None:
    found = problems("[exclude]\nbulk_recipients = 'x'\n[company]\nnam = 'x'\nregion = 'Q'\n")
    assert [sentence.split(":")[0] for sentence in found] == [f"bypassflow.toml, line {line}" for line in (2, 4, 5)]


@pytest.mark.parametrize(
    ("text", "line"),
    [('[company]\nname = "A', 2), ("[company\n", 1), ("a = 1\nb == 2", 2), ("[a]\n[a]\n", 2), ('x = """\nopen', 2)],
)
def test_broken_syntax_fails_with_its_line(text: str, line: int) -> None:
    sentence = problem(text)
    assert sentence.startswith(f"bypassflow.toml, line {line}: not valid TOML: ")
    assert "expected a [table] or key = value" in sentence


def test_an_entry_of_never_log_is_never_shown() -> None:
    sentence = problem("[company]\nnever_log = [358401234567]")
    assert "358401234567" not in sentence
    assert "never_log (entry 1) is a value that is not shown" in sentence


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("15min", 900),
        ("15 m", 900),
        ("72h", 259200),
        ("7d", 604800),
        ("1w", 604800),
        ("1.5h", 5400),
        (0, 0),
    ],
)
def test_a_length_of_time_is_written_as_people_write_it(written: object, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "h", "5", "5 years", "-5s", -5, float("nan"), float("inf"), 1e300, None, True])
def test_what_is_no_length_of_time_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a length of time"):
        parse_duration(written)


@given(st.text())
def test_any_text_is_a_configuration_or_a_sentence(text: str) -> None:
    found: tuple[str, ...] = ()
    try:
        parse_configuration(text, "x.toml")
    except SettingsError as error:
        found = error.problems
    assert all(sentence.startswith("x.toml, line ") for sentence in found)


@given(st.text(min_size=1))
def test_every_name_has_an_id(name: str) -> None:
    assert parse_configuration("", "x").company.id
    assert slug(name).strip("-") == slug(name) != ""


def test_lines_are_found_behind_long_strings_lists_and_comments() -> None:
    text = (
        '[a]\nx = """\n[b]\ny = 1\n"""\nlist = [ # [c]\n  1,\n  "]",\n]\n"quoted key" = 1\nz.deep = 2\n\n[b]\ny = 1\n'
    )
    lines = key_lines(text)
    assert lines[("a",)] == 1
    assert lines[("a", "list")] == 6
    assert lines[("a", "quoted key")] == 10
    assert lines[("a", "z", "deep")] == 11
    assert lines[("b", "y")] == 14


def test_the_window_is_the_longest_of_the_enabled_tiers() -> None:
    assert EngineSettings(company_id="a").window_after == timedelta(hours=72)
    assert EngineSettings(company_id="a", tiers=frozenset({"exact", "inferred"})).window_after == timedelta(hours=1)
    assert EngineSettings(company_id="a", tiers=frozenset({"exact"})).window_after == timedelta(0)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EngineSettings(company_id="a").company_id = "b"


# In tokens


def test_the_engine_is_told_in_tokens_what_the_file_says_in_clear() -> None:
    identifiers = Identifiers(b"0123456789abcdef", region="SE")
    settings = engine_settings(load(WHOLE, "bypassflow.toml"), identifiers)
    assert settings.own_domains == {identifiers.domain_token("jarvi.example"), identifiers.domain_token("jarvi.fi")}
    assert settings.own_numbers == {identifiers.phone("08 123 456 00").token}
    assert settings.never_log == {
        identifiers.domain_token("occupational-health.fi"),
        identifiers.phone("+46812345699").token,
        identifiers.email("nurse@clinic.fi").token,
    }
    assert settings.before == timedelta(minutes=10)
    assert settings.tiers == {"exact", "same_representative"}
    assert settings.too_short_seconds == 7.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("domains = ['gmail.com']", "'gmail.com' is not a domain that a company can own"),
        ("public_numbers = ['201']", "'201' is not a whole telephone number"),
        ("never_log = ['fi', '+358401234567']", "never_log: entry 1 is neither"),
        ("never_log = ['gmail.com']", "would hide every customer"),
    ],
)
def test_a_name_that_cannot_become_a_token_stops_the_run(text: str, words: str) -> None:
    configuration = load(f"[company]\n{text}", "bypassflow.toml")
    with pytest.raises(ConfigurationError, match="company") as caught:
        engine_settings(configuration, Identifiers(b"0123456789abcdef"))
    assert words in str(caught.value)


def test_problems_of_the_file_are_configuration_errors() -> None:
    with pytest.raises(ConfigurationError, match=r"x\.toml, line 1: unknown"):
        load("nope = 1", "x.toml")


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2024-05-31", datetime(2024, 5, 31, 21)),
        ("2024-05-31T18:00:00", datetime(2024, 5, 31, 15)),
        ("2024-05-31T18:00:00Z", datetime(2024, 5, 31, 18)),
        ("'2024-05-31'", datetime(2024, 5, 31, 21)),
    ],
)
def test_the_reach_of_the_crm_includes_the_whole_local_day(written: str, instant: datetime) -> None:
    assert complete_through(load(f"[crm]\ncomplete_through = {written}", "x")) == instant
    assert complete_through(Configuration()) is None
