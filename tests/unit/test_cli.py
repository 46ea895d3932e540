"""The commands: what they print and where, and how they end."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import typer
from pydantic import TypeAdapter
from typer.testing import CliRunner

import cli
from commands.topics import topics
from pipeline.errors import TransientError
from schemas.interaction import AuditRow
from tests.acme import ACTIVITIES, CONFIGURATION, write_acme
from tests.integration.companies import bypassflow, rows_of

COUNTS = ["interaction_count", "traced_count", "siloed_count", "bypassed_count", "pending_count"]


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_acme(tmp_path_factory.mktemp("cli") / "acme")


@pytest.fixture(scope="module")
def db(acme: Path) -> Path:
    path = acme.parent / "acme.duckdb"
    ran = bypassflow("replay", acme, "--db", path)
    assert ran.exit_code == 0, ran.error
    return path


def rows(*arguments: str | Path) -> Any:
    """Return what a command prints as JSON."""
    ran = bypassflow(*arguments, "--format", "json")
    assert ran.exit_code == 0, ran.error
    return json.loads(ran.out)


# Exit codes and streams


@pytest.mark.parametrize(
    "arguments", [["--absent"], ["replay"], ["report", "--db", "x", "--format", "xml"], ["absent"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    ran = bypassflow(*arguments)
    assert (ran.exit_code, ran.out) == (2, "")


def test_every_command_has_a_help_that_begins_with_a_short_sentence() -> None:
    names = [info.name or info.callback.__name__ for info in cli.app.registered_commands if info.callback]
    assert set(names) == {
        "init", "check", "replay", "report", "interactions", "explain", "audit", "simulate", "evaluate", "sources",
        "schemas", "sink", "status", "up", "worker", "receive", "serve", "notify", "backup", "restore", "forget",
        "retain", "doctor",
    }  # fmt: skip
    assert [info.name for info in topics.registered_commands] == ["create", "check", "describe"]
    for info in (*cli.app.registered_commands, *topics.registered_commands):
        assert info.callback is not None
        first = str(info.callback.__doc__).splitlines()[0]
        assert first.endswith(".")
        assert len(first) <= 60


def every(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a command and those below it, with what is typed for them."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every(below, *path, name)


def test_help_shows_every_word_that_was_written_for_it() -> None:
    """What stands in square brackets is taken for a style, and goes."""
    for path, command in every(typer.main.get_command(cli.app)):
        shown = CliRunner().invoke(cli.app, [*path, "--help"], env={"COLUMNS": "300"}).stdout.split()
        helps = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
        assert {word for text in helps for word in text.split()} <= set(shown), path


def test_the_version_is_printed() -> None:
    assert bypassflow("--version").out == f"bypassflow {cli.__version__}\n"


def test_a_failure_is_a_sentence_on_standard_error_and_ends_with_1(tmp_path: Path) -> None:
    ran = bypassflow("report", "--db", tmp_path / "absent.duckdb")
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.error.startswith("bypassflow: ")


def test_an_interrupt_is_a_sentence_and_ends_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sinks.store.Store.open", interrupt)
    ran = bypassflow("report", "--db", tmp_path / "x.duckdb")
    assert ran.exit_code == 1
    assert "interrupted" in ran.error


def test_text_in_brackets_is_printed_as_it_is(tmp_path: Path) -> None:
    ran = bypassflow("report", "--db", tmp_path / "[bold]x.duckdb")
    assert "[bold]x.duckdb" in ran.error


def test_without_a_terminal_there_is_no_progress_and_no_colour(acme: Path, tmp_path: Path) -> None:
    ran = bypassflow("replay", acme, "--db", tmp_path / "x.duckdb")
    assert "\x1b" not in ran.written
    assert "records/s" not in ran.written


def test_the_store_may_be_named_by_the_environment(db: Path) -> None:
    result = CliRunner(env={"BYPASSFLOW_DB": str(db)}).invoke(cli.app, ["report", "--format", "json"])
    assert json.loads(result.stdout)[0]["interaction_count"] == 4


# init and check


def test_init_writes_a_configuration_and_a_key_and_replaces_neither(tmp_path: Path) -> None:
    folder = write_acme(tmp_path / "acme")
    (folder / "bypassflow.toml").unlink()
    assert bypassflow("init", folder).exit_code == 0
    key = (folder / "bypassflow.key").read_text()
    assert stat.S_IMODE((folder / "bypassflow.key").stat().st_mode) == 0o600
    assert 'directory = "directory.csv"' in (folder / "bypassflow.toml").read_text()
    (folder / "bypassflow.toml").write_text("# mine\n")
    again = bypassflow("init", folder)
    assert again.exit_code == 1
    assert "--force" in again.error
    assert (folder / "bypassflow.toml").read_text() == "# mine\n"
    assert bypassflow("init", folder, "--force").exit_code == 0
    assert (folder / "bypassflow.key").read_text() == key


def test_what_init_wrote_can_be_checked_and_replayed(tmp_path: Path) -> None:
    folder = write_acme(tmp_path / "acme")
    (folder / "bypassflow.toml").unlink()
    bypassflow("init", folder)
    assert bypassflow("check", folder).exit_code == 0
    assert bypassflow("replay", folder, "--db", tmp_path / "x.duckdb").exit_code == 0


def test_check_counts_and_writes_nothing(tmp_path: Path) -> None:
    folder = write_acme(tmp_path / "acme")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    ran = bypassflow("check", folder)
    assert ran.exit_code == 0
    assert "pbx/Master.csv" in ran.out
    assert "ready to replay" in ran.error
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_check_fails_when_a_replay_would_stop(tmp_path: Path) -> None:
    folder = write_acme(tmp_path / "acme")
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7\n")
    ran = bypassflow("check", folder)
    assert ran.exit_code == 1
    assert "scan.pdf: a PDF document" in " ".join(ran.out.split())


# replay


def test_replay_prints_what_was_read_the_accounts_and_the_share(acme: Path, tmp_path: Path) -> None:
    ran = bypassflow("replay", acme, "--db", tmp_path / "x.duckdb")
    for words in ("What was read", "pbx/Master.csv", "unaccounted", "Bypass share 75.0 %"):
        assert words in ran.out


def test_the_same_files_again_change_nothing(acme: Path, tmp_path: Path) -> None:
    db = tmp_path / "x.duckdb"
    bypassflow("replay", acme, "--db", db)
    before = rows_of(db)
    assert bypassflow("replay", acme, "--db", db).exit_code == 0
    assert rows_of(db) == before


def test_a_configuration_may_lie_elsewhere_with_the_key_beside_it(acme: Path, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(CONFIGURATION.replace('directory = "directory.csv"\n', "").replace("Acme Oy", "Other Oy"))
    assert bypassflow("replay", acme / "pbx", "--db", tmp_path / "x.duckdb", "--config", config).exit_code == 0
    assert (tmp_path / "bypassflow.key").exists()


def test_two_configurations_that_both_apply_are_refused(acme: Path, tmp_path: Path) -> None:
    other = write_acme(tmp_path / "other")
    ran = bypassflow("replay", acme, other, "--db", tmp_path / "x.duckdb")
    assert ran.exit_code == 1
    assert "--config" in ran.error


def test_files_without_any_configuration_are_read_too(acme: Path, tmp_path: Path) -> None:
    calls = tmp_path / "Master.csv"
    calls.write_bytes((acme / "pbx" / "Master.csv").read_bytes())
    assert bypassflow("replay", calls, "--db", tmp_path / "x.duckdb").exit_code == 0


# report, interactions, audit, explain


def test_a_report_without_dimensions_is_one_object(db: Path) -> None:
    (row,) = rows("report", "--db", db)
    assert [row[name] for name in COUNTS] == [4, 1, 0, 3, 0]
    assert (row["bypass_share"], row["bypass_share_low"] < 0.75 < row["bypass_share_high"]) == (0.75, True)


def test_a_report_has_the_asked_dimensions_first(db: Path) -> None:
    found = rows("report", "--db", db, "--by", "team, month")
    assert [list(row)[:2] for row in found] == [["team", "month"]] * 2
    assert [(row["team"], row["month"], row["interaction_count"]) for row in found] == [
        ("Sales", "2024-03", 3),
        ("Service", "2024-03", 1),
    ]


def test_a_report_over_nothing_has_no_share(db: Path) -> None:
    (row,) = rows("report", "--db", db, "--since", "2030-01-01")
    assert (row["interaction_count"], row["bypass_share"]) == (0, None)


def test_days_are_those_of_the_company(db: Path) -> None:
    (row,) = rows("report", "--db", db, "--since", "2024-03-04T09:30", "--until", "2024-03-04T11:00")
    assert row["interaction_count"] == 2


def test_an_unknown_dimension_names_the_nearest(db: Path) -> None:
    ran = bypassflow("report", "--db", db, "--by", "tem")
    assert ran.exit_code == 1
    assert "did you mean 'team'?" in ran.error


def test_a_report_as_csv_and_as_markdown(db: Path) -> None:
    table = list(csv.DictReader(io.StringIO(bypassflow("report", "--db", db, "--by", "team", "--format", "csv").out)))
    assert [row["team"] for row in table] == ["Sales", "Service"]
    markdown = bypassflow("report", "--db", db, "--by", "team", "--format", "markdown").out
    assert markdown.splitlines()[0].startswith("| team | interaction_count |")


def test_interactions_have_their_evidence(db: Path) -> None:
    first, *_ = rows("interactions", "--db", db)
    assert {
        "interaction_id", "channel", "line", "direction", "started_at", "ended_at", "talk_seconds", "team",
        "representative_id", "participants", "identifier", "outcome", "reason", "tier", "activity_id", "evidence",
    } <= first.keys()  # fmt: skip
    assert (first["outcome"], first["activity_id"], first["identifier"]) == ("traced", "E1", "+358…67")
    (evidence,) = first["evidence"]
    assert (evidence["source"], evidence["file"], evidence["position"]) == ("asterisk", "pbx/Master.csv", 1)


def test_filters_fit_when_any_of_their_values_does(db: Path) -> None:
    found = rows(
        "interactions", "--db", db, "--reason", "not_logged", "--reason", "unknown_customer", "--team", "Sales"
    )
    assert [row["representative_id"] for row in found] == ["eero", "eero"]


def test_a_filter_that_fits_nothing_gives_an_empty_list(db: Path) -> None:
    assert rows("interactions", "--db", db, "--team", "Absent") == []
    assert "no interaction fits" in bypassflow("interactions", "--db", db, "--team", "Absent").out


def test_no_cell_of_a_csv_begins_like_a_formula(db: Path) -> None:
    out = bypassflow("interactions", "--db", db, "--format", "csv").out
    cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
    assert any("358" in cell for cell in cells)
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []


def test_interactions_as_parquet(db: Path) -> None:
    result = CliRunner().invoke(cli.app, ["interactions", "--db", str(db), "--format", "parquet"])
    assert pq.read_table(io.BytesIO(result.stdout_bytes)).num_rows == 4


def test_the_accounts_follow_their_contract(db: Path) -> None:
    found = rows("audit", "--db", db)
    TypeAdapter(list[AuditRow]).validate_python(found)
    (account,) = found
    assert account == {
        "source": "asterisk", "raw_count": 6, "interaction_count": 4, "duplicate_count": 0,
        "excluded": {"unanswered": 1, "too_short": 1}, "rejected_count": 0, "late_count": 0, "unaccounted_count": 0,
    }  # fmt: skip


def test_an_audit_fails_when_a_raw_event_has_no_disposition(acme: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    bypassflow("replay", acme, "--db", path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM disposition_base WHERE raw_id = 'asterisk:pbx/Master.csv:1'")
    ran = bypassflow("audit", "--db", path)
    assert ran.exit_code == 1
    assert "1 raw events are unaccounted for" in ran.error


def test_a_placebo_finds_no_true_trace_and_one_of_zero_days_is_the_real_run(db: Path) -> None:
    by_tier = {row["tier"]: row for row in rows("audit", "--db", db, "--placebo", "14")}
    assert (by_tier["same_representative"]["trace_count"], by_tier["same_representative"]["placebo_count"]) == (1, 0)
    real = {row["tier"]: row for row in rows("audit", "--db", db, "--placebo", "0")}
    assert all(row["trace_count"] == row["placebo_count"] for row in real.values())


def test_a_shift_within_the_windows_is_no_placebo(db: Path) -> None:
    assert "not longer than the windows" in bypassflow("audit", "--db", db, "--placebo", "1").error


def test_an_interaction_is_explained_by_the_beginning_of_its_id(db: Path) -> None:
    interaction_id = rows("interactions", "--db", db, "--outcome", "traced")[0]["interaction_id"]
    ran = bypassflow("explain", interaction_id[:8], "--db", db)
    for words in (interaction_id, "asterisk:pbx/Master.csv:1", "contact", "E1", "the trace: same customer"):
        assert words in ran.out


def test_an_id_that_nothing_has_is_refused(db: Path) -> None:
    ran = bypassflow("explain", "ffff", "--db", db)
    assert ran.exit_code == 1
    assert "no interaction's id begins with 'ffff'" in ran.error


# simulate and evaluate


def test_a_simulated_company_is_replayed_and_compared_with_its_truth(tmp_path: Path) -> None:
    folder, db = tmp_path / "company", tmp_path / "company.duckdb"
    made = bypassflow("simulate", folder, "--days", "2", "--representatives", "5", "--seed", "3")
    assert made.exit_code == 0, made.error
    assert not list(folder.rglob("*truth*"))
    assert bypassflow("replay", folder, "--db", db).exit_code == 0
    found = rows("evaluate", "--db", db, "--truth", tmp_path / "company.truth.jsonl")
    assert found["interactions"]["recall"] > 0.9
    assert (
        "Measured beside the truth"
        in bypassflow("evaluate", "--db", db, "--truth", tmp_path / "company.truth.jsonl").out
    )


def test_simulate_leaves_a_folder_with_files_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    ran = bypassflow("simulate", tmp_path)
    assert ran.exit_code == 1
    assert "is not empty" in ran.error


# sources and schemas


def test_sources_say_how_each_format_is_recognised() -> None:
    found = {row["format"]: row for row in rows("sources")}
    assert {"asterisk_cdr", "mbox", "salesforce", "canonical_csv", "directory"} <= found.keys()
    assert all(row["title"] and row["description"] for row in found.values())
    assert "asterisk_cdr" in bypassflow("sources").out


def test_schemas_are_printed_all_or_one() -> None:
    assert "record" in json.loads(bypassflow("schemas").out)
    assert json.loads(bypassflow("schemas", "activity").out)["properties"].keys() >= ACTIVITIES[0].keys()
    assert bypassflow("schemas", "absent").exit_code == 2


def test_a_worker_without_the_companys_key_is_told_where_to_get_it(tmp_path: Path) -> None:
    config = tmp_path / "bypassflow.toml"
    config.write_text("")
    result = CliRunner().invoke(cli.app, ["worker", "--only", "ingest", "--config", str(config)])
    assert result.exit_code == 78
    assert "copy the company's key file" in result.stderr
    assert not (tmp_path / "bypassflow.key").exists()


@pytest.mark.parametrize("options", [[], ["--wait", "--patience", "1s"]], ids=["at once", "waiting"])
def test_who_waits_for_the_pipeline_asks_a_broker_that_is_not_ready_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str]
) -> None:
    asked: list[object] = []

    def not_ready(*settings: object) -> object:
        asked.append(settings)
        raise TransientError("the broker is still loading its groups")

    monkeypatch.setattr("agents.topics.check_topics", lambda *_: [])
    monkeypatch.setattr("agents.lag.readers", not_ready)
    (tmp_path / "bypassflow.toml").write_text("", encoding="utf-8")
    ran = bypassflow("status", "--config", tmp_path / "bypassflow.toml", "--bootstrap", "127.0.0.1:1", *options)

    assert ran.exit_code == 1
    assert "still loading its groups" in ran.error
    assert (len(asked) > 1) is bool(options)


def test_a_patience_that_is_no_length_of_time_is_told_before_the_broker_is_asked() -> None:
    result = CliRunner().invoke(cli.app, ["status", "--patience", "soon", "--bootstrap", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert "--patience 'soon'" in result.stderr


def test_a_chart_shows_the_trend_the_bars_of_the_first_dimension_and_the_number(db: Path) -> None:
    ran = bypassflow("report", "--db", db, "--by", "team,channel", "--chart")
    assert ran.exit_code == 0, ran.error
    assert "Share by day" in ran.out
    assert "Share by team" in ran.out
    assert "Share by channel" not in ran.out
    assert "\x1b" not in ran.out


def test_a_chart_of_a_period_without_interactions_says_so(db: Path) -> None:
    ran = bypassflow("report", "--db", db, "--since", "2030-01-01", "--chart")
    assert ran.exit_code == 0, ran.error
    assert ran.out.startswith("No interaction of this period is decided yet")


def test_a_chart_is_not_given_as_rows(db: Path) -> None:
    ran = bypassflow("report", "--db", db, "--chart", "--format", "json")
    assert ran.exit_code != 0
    assert "give one of the two" in ran.error


def test_a_chart_is_not_of_the_corrected_share(db: Path) -> None:
    ran = bypassflow("report", "--db", db, "--chart", "--corrected")

    assert ran.exit_code == 1
    assert "give one of them" in ran.error
