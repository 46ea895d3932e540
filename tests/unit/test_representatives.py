"""Figures about representatives: off, of groups, or of single ones for who may see them; by report, API and page."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cli import app as commands
from dashboard.web import make_app
from pipeline.configuration import group_rules
from pipeline.errors import ConfigurationError
from pipeline.groups import MERGED, GroupRules, small_groups
from schemas.settings import SettingsError, parse_configuration
from sinks import measures
from sinks.answers import StoreAnswers
from sinks.asking import Asking
from sinks.measures import Filters
from sinks.metrics import split
from sinks.store import Store
from tests.stores import NOON, interaction_row, published, said

GROUPS = GroupRules("groups", minimum_group=5)
NAMED = replace(GROUPS, showing="named", is_granted=True)
MAY = datetime(2024, 4, 30, 21), datetime(2024, 5, 31, 21)


def talks(team: str, name: str | None, outcomes: str, day: datetime, channel: str = "call") -> Iterator[dict[str, Any]]:
    """Yield interactions of a representative, one for each letter: t traced, b bypassed."""
    for place, letter in enumerate(outcomes):
        outcome = "traced" if letter == "t" else "bypassed"
        yield interaction_row(
            f"{team}/{name}/{day}/{channel}/{place}", outcome, team=team, function="other", channel=channel,
            representative_id=name, participants=[name] if name else [], started_at=day + timedelta(minutes=place),
        )  # fmt: skip


def rows() -> Iterator[dict[str, Any]]:
    """Yield two months: eleven in Sales, six of them by mail in one of the months; two in Back; and a later day."""
    for month, number in itertools.product((4, 5), range(11)):
        yield from talks("Sales", f"s{number:02}", "b" * number + "t" * (11 - number), datetime(2024, month, 10, 9))
        if month == 5 and number < 6:
            yield from talks("Sales", f"s{number:02}", "bt", datetime(2024, 5, 11, 9), "email")
    yield from talks("Sales", None, "tb", datetime(2024, 5, 12, 9))
    for number in range(2):
        yield from talks("Back", f"b{number}", "bb", datetime(2024, 5, 10, 9))
    yield from talks("Sales", "s00", "b", datetime(2024, 6, 3, 9))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("groups") / "bypass.duckdb", changes=said(list(rows())))


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path) as opened:
        yield opened


def under(store: Store, rules: GroupRules) -> Store:
    store.groups = rules
    return store


def shown(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in found]


def test_by_default_nothing_is_told_by_representative(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="by representative are about employees and are off; ask by team"):
        measures.report(store, ["representative"])
    with pytest.raises(ConfigurationError, match="picks out single employees"):
        measures.report(store, (), wanted={"representative": ["s01"]})


def test_the_share_by_representative_is_that_of_groups_of_them(store: Store) -> None:
    found = measures.report(under(store, GROUPS), ["month", "representative"], *MAY, wanted={"channel": ["call"]})

    # Ranked by share, five with the smallest and six with the largest; s00 to s04 have 1 of 2 by mail besides.
    assert shown(found, "representative", "interaction_count", "bypassed_count") == [
        ("1 of 2", 66, 15), ("2 of 2", 55, 40), (None, 2, 1),
    ]  # fmt: skip


def test_what_too_few_took_part_in_is_put_together_or_left_out(store: Store) -> None:
    found = measures.report(under(store, GROUPS), ["team", "channel", "representative"], *MAY)

    assert shown(found, "team", "channel", "representative", "interaction_count") == [
        ("Sales", "call", "1 of 2", 66), ("Sales", "call", "2 of 2", 55), ("Sales", "call", None, 2),
        ("Sales", "email", "1 of 2", 12),
    ]  # fmt: skip
    larger = replace(GROUPS, minimum_group=6)
    assert shown(measures.report(under(store, larger), ["channel", "representative"], *MAY), "channel") == [
        ("call",), ("call",), ("email",),
    ]  # fmt: skip


def test_a_month_that_is_not_over_is_left_out_because_every_day_would_tell_of_that_day(store: Store) -> None:
    found = split.share(under(store, GROUPS), ("representative",), "month")

    assert {row["month"] for row in found} == {"2024-04", "2024-05"}


@pytest.mark.parametrize(
    ("by", "period", "wanted", "problem"),
    [
        (["representative"], (MAY[0] + timedelta(days=1), MAY[1]), {}, "are of whole months"),
        (["representative"], (MAY[0], MAY[1] - timedelta(microseconds=1)), {}, "are of whole months"),
        (["representative", "day"], MAY, {}, "cannot be divided by day; only team, function, month, channel"),
        (["representative"], MAY, {"direction": ["inbound"]}, "cannot be narrowed to direction"),
        (["representative"], MAY, {"customer": ["C1"]}, "cannot be narrowed to customer"),
        (["team"], MAY, {"representative": ["s01", "s02"]}, "picks out single employees"),
    ],
)
def test_questions_that_would_take_groups_apart_are_refused(
    by: list[str], period: tuple[datetime, datetime], wanted: dict[str, list[str]], problem: str, store: Store
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        measures.report(under(store, GROUPS), by, *period, wanted=wanted)


def test_single_representatives_are_shown_where_the_company_and_a_grant_allow_it(store: Store) -> None:
    found = measures.report(under(store, NAMED), ["representative"], *MAY, wanted={"representative": ["s10"]})

    assert shown(found, "representative", "interaction_count", "bypassed_count") == [("s10", 11, 10)]
    with pytest.raises(ConfigurationError, match="picks out single employees"):
        measures.report(under(store, replace(NAMED, is_granted=False)), (), wanted={"representative": ["s10"]})
    without_grant = measures.report(under(store, replace(NAMED, is_granted=False)), ["representative"], *MAY)
    assert "s10" not in {row["representative"] for row in without_grant}


def test_teams_stay_as_they_are_unless_small_ones_are_to_be_merged(store: Store) -> None:
    assert {row["team"] for row in measures.report(store, ["team"])} == {"Back", "Sales"}

    merging = under(store, replace(GROUPS, merges_small_teams=True))
    assert shown(measures.report(merging, ["team"]), "team", "interaction_count") == [(MERGED, 261)]
    assert measures.dimension_values(merging)["team"] == []
    with pytest.raises(ConfigurationError, match="the team 'Back' has fewer than 5 representatives"):
        measures.report(merging, ["channel"], wanted={"team": ["Back"]})


def test_a_small_team_is_joined_by_the_next_smallest_when_it_is_small_alone() -> None:
    assert small_groups({"A": 30, "B": 9, "C": 3}, 8) == {"B", "C"}
    assert small_groups({"A": 30, "B": 4, "C": 5}, 8) == {"B", "C"}
    assert small_groups({"A": 30, "B": 3, "C": 2}, 8) == {"A", "B", "C"}
    assert small_groups({"A": 30, "B": 9}, 8) == frozenset()


def test_the_configuration_says_what_is_shown_and_no_group_has_fewer_than_five() -> None:
    told = '[privacy]\nrepresentatives = "groups"\nminimum_group = 12\nmerge_small_teams = true\n'
    assert group_rules(parse_configuration(told, "x")) == GroupRules("groups", 12, True)
    assert group_rules(parse_configuration("", "x")) == GroupRules("off", 8, False)
    with pytest.raises(SettingsError, match="minimum_group"):
        parse_configuration("[privacy]\nminimum_group = 4\n", "x")


@contextmanager
def asked(path: Path, rules: GroupRules) -> Iterator[TestClient]:
    with Store.open(path) as store:
        store.groups = rules
        asking = Asking(store)
        app = make_app(asking, now=lambda: NOON)
        yield TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        asking.close()


PERIOD = "since=2024-04-30T21:00:00Z&until=2024-05-31T21:00:00Z"
NAMES = ("s00", "s05", "s10", "b0")


def test_the_api_and_the_pages_name_no_representative_and_take_none_as_a_filter(path: Path) -> None:
    with asked(path, GROUPS) as client:
        for address in (
            "/v1/bypass-share?representative=s01", "/v1/interactions?representative=s01",
            "/v1/customers?representative=s01", "/v1/service/emails?representative=s01",
            "/v1/identifiers?representative=s01", "/?representative=s01&period=all",
            "/explore?representative=s01&period=all", "/interactions?representative=s01&period=all",
            "/interactions.csv?representative=s01&period=all", "/customers/c?representative=s01",
        ):  # fmt: skip
            answer = client.get(address)
            # Nobody is named in the question of an address: the API knows no such parameter, the pages say why.
            assert answer.status_code == (422 if address.startswith("/v1/") else 400), address
            assert "representative" in answer.text or "nobody is named" in answer.text
        share = client.get(f"/v1/bypass-share?by=representative&{PERIOD}")
        assert [row["representative"] for row in share.json()["rows"]] == ["1 of 2", "2 of 2", None]
        page = client.get("/explore?by=representative&since=2024-05-01&through=2024-05-31")
        assert page.status_code == 200
        assert "1 of 2" in page.text
        assert "representative" in [row["dimension"] for row in client.get("/v1/dimensions").json()["rows"]]
        lists = ("/v1/interactions", "/interactions?period=all", "/interactions.csv?period=all", "/explore.csv?by=team")
        for text in [share.text, page.text, *(client.get(address).text for address in lists)]:
            assert not [name for name in NAMES if f'{name}"' in text or f">{name}<" in text or f",{name}," in text]


def test_off_the_dimension_is_offered_nowhere(path: Path) -> None:
    with asked(path, GroupRules()) as client:
        assert client.get(f"/v1/bypass-share?by=representative&{PERIOD}").status_code == 403
        assert "representative" not in [row["dimension"] for row in client.get("/v1/dimensions").json()["rows"]]
        assert 'value="representative"' not in client.get("/explore?period=all").text


def test_lists_of_interactions_say_who_talked_to_those_who_may_know(path: Path) -> None:
    with asked(path, NAMED) as client:
        rows = client.get("/v1/interactions?limit=1000").json()["rows"]
        assert ("s10", ["s10"]) in [(row["representative_id"], row["participants"]) for row in rows]


def test_an_answer_that_was_kept_is_not_confirmed_to_who_may_see_less(path: Path) -> None:
    with asked(path, NAMED) as client:
        tag = client.get("/v1/interactions?limit=1").headers["etag"]
        assert client.get("/v1/interactions?limit=1", headers={"if-none-match": tag}).status_code == 304
    with asked(path, GROUPS) as client:
        assert client.get("/v1/interactions?limit=1", headers={"if-none-match": tag}).status_code == 200


def test_a_sink_that_is_asked_by_others_treats_them_alike(store: Store) -> None:
    answers = StoreAnswers(under(store, GROUPS))

    with pytest.raises(ConfigurationError, match="picks out single employees"):
        answers.interactions({"representative": ["s01"]}, None, None, None)
    with pytest.raises(ConfigurationError, match="picks out single employees"):
        answers.report((), None, None, {"representative": ["s01"]})
    assert shown(answers.report(["representative"], "2024-05-01", "2024-06-01").rows, "representative") == [
        ("1 of 2",), ("2 of 2",), (None,),
    ]  # fmt: skip


def test_the_command_line_goes_by_the_configuration_beside_the_store(path: Path) -> None:
    from typer.testing import CliRunner

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(commands, [*arguments, "--db", str(path)])
        return done.exit_code, done.output

    settings = path.parent / "bypassflow.toml"
    settings.write_text("")
    assert run("report", "--by", "representative")[0] == 1
    assert run("interactions", "--representative", "s01")[0] == 1
    settings.write_text('[privacy]\nrepresentatives = "groups"\nminimum_group = 5\n')
    code, text = run("report", "--by", "representative", "--since", "2024-05-01", "--until", "2024-06-01")
    assert (code, "1 of 2" in text, "s01" in text) == (0, True, False)
    assert run("interactions", "--representative", "s01")[0] == 1
    settings.write_text('[privacy]\nrepresentatives = "named"\n')
    assert "s01" in run("report", "--by", "representative")[1]
    assert run("interactions", "--representative", "s01")[0] == 0
    settings.unlink()


def test_a_change_of_the_share_is_told_by_groups_too_where_both_periods_are_months(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="are of whole months"):
        split.change(under(store, GROUPS), ("representative",), Filters({}, *MAY))
