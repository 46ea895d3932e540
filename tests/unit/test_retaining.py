"""What is too old leaves a store, and its accounts and shares still add up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import Engine
from pipeline.replay import fold_all
from schemas.retention import RetentionSettings
from schemas.settings import parse_configuration
from schemas.settings_problems import SettingsError
from sinks.build import InputInfo, build
from sinks.retaining import Retained, retain, retain_draft
from sinks.store import Store
from tests.integration.companies import bypassflow
from tests.live import LIVE_RUN, SETTINGS, Files, replayed
from tests.records import DAY, MONDAY, Fact, activity, call, contact, email, person, progress
from tests.stores import batch, letter, shown

NOW = MONDAY + 100 * DAY
NOTHING = RetentionSettings()


def of_day(day: int) -> list[Fact]:
    """A call that is logged, one that is not, and one that nobody answered."""
    at = MONDAY + day * DAY
    return [
        call(f"pbx:cdr.csv:{10 * day}", at + timedelta(hours=9), customer=f"Tok-{day}", ours="201", key=f"a{day}"),
        call(f"pbx:cdr.csv:{10 * day + 1}", at + timedelta(hours=10), customer="Tok-all", ours="201", key=f"b{day}"),
        call(
            f"pbx:cdr.csv:{10 * day + 2}", at + timedelta(hours=11), customer="Tok-all", ours="201", key=f"c{day}",
            attempt="unanswered",
        ),
    ]  # fmt: skip


def files() -> Files:
    days = (0, 30, 60, 90)
    return {
        ("pbx", "cdr.csv"): [
            *(fact for day in days for fact in of_day(day)),
            *(letter(f"pbx:cdr.csv:{10 * day + 5}") for day in days),
        ],
        ("mail", "inbox"): [email("mail:inbox:1", MONDAY + 95 * DAY, "Tok-mail", ["Tok-r1"], message_id="m@x")],
        ("crm", "tasks.csv"): [
            *(contact(f"c{day}", f"Tok-{day}") for day in days[1:]),
            contact("c-of-0", "Tok-kept"),
            *(
                activity(f"act{day}", MONDAY + day * DAY + timedelta(hours=9, minutes=5), contacts=[f"c{day}"])
                for day in days
            ),
            progress(MONDAY + 120 * DAY),
        ],
        ("directory", "directory.csv"): [person("r1", extension="201", email_token="Tok-r1")],
        ("known", "identifiers"): [shown(f"Tok-{day}", f"masked-{day}") for day in days],
    }  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return replayed(tmp_path / "bypass.duckdb", files())


def rows(path: Path, query: str) -> list[dict[str, Any]]:
    with Store.open(path) as store:
        return store.rows(query)


def kept(**days: int) -> RetentionSettings:
    return RetentionSettings(**{name: timedelta(days=count) for name, count in days.items()})


ACCOUNTS = "FROM accounts ORDER BY source"
SHARES = "SELECT channel, outcome, started_at, count(*) AS n FROM interactions GROUP BY ALL ORDER BY ALL"


def test_nothing_leaves_unless_a_length_of_time_is_given(path: Path) -> None:
    before = path.read_bytes()
    assert retain(path, NOTHING, NOW) == Retained()
    assert path.read_bytes() == before


def test_raw_events_that_left_are_counted_and_their_interactions_stay(path: Path) -> None:
    accounts, shares = rows(path, ACCOUNTS), rows(path, SHARES)

    gone = retain(path, kept(evidence=50), NOW)

    assert gone == Retained(event_count=6, activity_count=2)
    assert rows(path, ACCOUNTS) == accounts
    assert rows(path, SHARES) == shares
    assert rows(path, "SELECT min(started_at) AS first FROM observation")[0]["first"] == MONDAY + 60 * DAY + timedelta(
        hours=9
    )
    assert rows(path, "SELECT sum(row_count)::BIGINT AS n FROM expired WHERE what = 'raw events'") == [{"n": 6}]
    assert rows(path, "FROM activity WHERE activity_id IN ('act0', 'act30')") == []
    assert b"pbx:cdr.csv:300" not in path.read_bytes()


def test_interactions_that_left_are_in_no_share_and_are_counted(path: Path) -> None:
    accounts = rows(path, ACCOUNTS)

    gone = retain(path, kept(interactions=50), NOW)

    assert (gone.interaction_count, gone.event_count) == (4, 6)
    assert len(rows(path, "FROM interactions")) == 5
    assert rows(path, ACCOUNTS) == accounts
    found = rows(path, "SELECT sum(row_count)::BIGINT AS n FROM expired WHERE what = 'interactions'")
    assert found == [{"n": 4}]


def test_dead_letters_leave_by_the_record_before_them_and_stay_counted(path: Path) -> None:
    accounts = rows(path, ACCOUNTS)

    gone = retain(path, kept(dead_letters=50), NOW)

    assert gone == Retained(letter_count=2)
    assert [row["position"] for row in rows(path, "FROM dead_letters ORDER BY position")] == [605, 905]
    assert rows(path, ACCOUNTS) == accounts


def test_how_people_were_shown_leaves_with_the_last_that_tells_of_them(path: Path) -> None:
    retain(path, kept(interactions=50), NOW)

    tokens = [row["token"] for row in rows(path, "SELECT token FROM identifier ORDER BY token")]
    assert tokens == ["Tok-30", "Tok-60", "Tok-90"]  # a contact still holds Tok-30


def test_what_left_twice_is_counted_once_each(path: Path) -> None:
    accounts = rows(path, ACCOUNTS)
    retain(path, kept(evidence=80), NOW)
    retain(path, kept(evidence=50), NOW)
    retain(path, kept(evidence=50), NOW)

    assert rows(path, ACCOUNTS) == accounts
    assert rows(path, "SELECT sum(row_count)::BIGINT AS n FROM expired") == [{"n": 6}]


def again(path: Path, given: list[tuple[str, str]], settings: RetentionSettings) -> None:
    """Replay some of the files over the store."""
    inputs = []
    for source, file in given:
        facts = [fact for fact in files()[source, file] if isinstance(fact, Fact)]
        letters = [item for item in files()[source, file] if not isinstance(item, Fact)]
        count = sum(fact.kind not in ("identifier", "feed_progress") for fact in facts) + len(letters)
        inputs.append((InputInfo(source, file, "canonical", 10), [batch(facts, letters, count)]))
    build(
        path,
        inputs,
        lambda store: fold_all(store, Engine(SETTINGS)),
        LIVE_RUN,
        last=lambda draft: retain_draft(draft, path, settings, NOW),
    )


def test_a_replay_of_other_files_keeps_the_interactions_whose_raw_events_left(path: Path) -> None:
    shares, accounts = rows(path, SHARES), rows(path, ACCOUNTS)
    retain(path, kept(evidence=50), NOW)

    again(path, [("mail", "inbox")], kept(evidence=50))

    assert rows(path, SHARES) == shares
    assert rows(path, ACCOUNTS) == accounts


def test_a_replay_of_all_files_ends_as_the_first_did(path: Path) -> None:
    shares, accounts = rows(path, SHARES), rows(path, ACCOUNTS)
    retain(path, kept(evidence=50), NOW)

    again(path, [*files()], NOTHING)

    assert rows(path, SHARES) == shares
    assert rows(path, ACCOUNTS) == accounts
    assert rows(path, "FROM expired") == []


def test_a_replay_lets_leave_what_is_too_old(path: Path) -> None:
    accounts = rows(path, ACCOUNTS)

    again(path, [*files()], kept(interactions=50, dead_letters=50))

    assert len(rows(path, "FROM interactions")) == 5
    assert rows(path, ACCOUNTS) == accounts


def test_lengths_of_time_stand_in_the_configuration() -> None:
    found = parse_configuration('[retention]\nevidence = "400d"\ndead_letters = "90d"\n', "bypassflow.toml").retention
    assert (found.evidence, found.interactions, found.dead_letters) == (timedelta(400), None, timedelta(90))
    assert found.is_set
    assert not NOTHING.is_set


def test_the_command_says_how_much_left(path: Path, tmp_path: Path) -> None:
    ran = bypassflow("retain", "--db", path)
    assert ran.exit_code == 1
    assert "names no length of time" in ran.error

    (tmp_path / "bypassflow.toml").write_text('[retention]\nevidence = "1d"\n')
    ran = bypassflow("retain", "--db", path)

    assert ran.exit_code == 0, ran.error
    assert "13 raw events, 4 activities, 0 interactions, 0 dead letters" in ran.error


def test_a_length_that_is_none_is_refused_with_its_line() -> None:
    with pytest.raises(SettingsError, match="line 2: retention"):
        parse_configuration("[retention]\nevidence = 'for ever'\n", "bypassflow.toml")
