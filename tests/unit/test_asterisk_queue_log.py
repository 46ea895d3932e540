"""Specification of queue logs: what the caller waited is no talk, and who answered is a member."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources.asterisk_queue_log import SOURCE
from pipeline.sources.registry import Batch, ReadContext, Sample
from schemas.facts import OBSERVATION

IDENTIFIERS = Identifiers(b"tests", "FI")
CUSTOMER = "+358405550101"
BASE = 1772438400
CALL = f"{BASE}.10"


def queue_line(seconds: int, event: str, *parameters: object, call: str = CALL, agent: str = "NONE") -> str:
    fields = [str(BASE + seconds), call, "support", agent, event, *map(str, parameters)]
    return "|".join(fields) + "\n"


def batches(tmp_path: Path, *lines: str) -> list[Batch]:
    path = tmp_path / "queue_log"
    path.write_text("".join(lines), encoding="utf-8")
    context = ReadContext("pbx", "queue_log", ZoneInfo("Europe/Helsinki"), IDENTIFIERS, datetime(2026, 6, 1))
    found = list(SOURCE.read(path, context))
    for batch in found:
        assert batch.facts["observation"].schema == OBSERVATION
        assert batch.record_count == batch.facts["observation"].num_rows + len(batch.dead_letters)
    return found


def observed(tmp_path: Path, *lines: str) -> list[dict[str, Any]]:
    found = batches(tmp_path, *lines)
    assert [letter.reason for batch in found for letter in batch.dead_letters] == []
    return [row for batch in found for row in batch.facts["observation"].to_pylist()]


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(BASE + seconds, UTC).replace(tzinfo=None)


def test_an_answered_call_talks_without_its_waiting(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        queue_line(0, "ENTERQUEUE", "", CUSTOMER, 1),
        queue_line(14, "CONNECT", 14, f"{BASE}.12", 3, agent="PJSIP/201"),
        queue_line(74, "COMPLETECALLER", 14, 60, 1, agent="PJSIP/201"),
    )

    assert [row["attempt"] for row in rows] == [None, None, "talk"]
    assert {row["key"] for row in rows} == {f"pbx:{CALL}"}
    leg = rows[2]
    assert (leg["started_at"], leg["answered_at"], leg["ended_at"]) == (utc(0), utc(14), utc(74))
    assert (leg["talk_seconds"], leg["talk_basis"]) == (60.0, 2)
    assert (leg["from_token"], leg["to_endpoint"]) == (IDENTIFIERS.phone(CUSTOMER).token, "201")
    assert (leg["via_endpoint"], leg["event_id"], leg["line"]) == ("support", CALL, "pbx")


@pytest.mark.parametrize(
    ("agent", "endpoint"),
    [
        ("PJSIP/201", "201"),
        ("SIP/201", "201"),
        ("Local/204@from-internal/n", "204"),
        ("Agent/1", "1"),
        ("Agent 202", "Agent 202"),
        ("Maija Meikäläinen", "Maija Meikäläinen"),
        ("Local/0405550199@from-internal/n", None),
    ],
)
def test_a_member_is_a_device_or_a_name(tmp_path: Path, agent: str, endpoint: str | None) -> None:
    (leg,) = observed(tmp_path, queue_line(74, "COMPLETEAGENT", 14, 60, 1, agent=agent))

    assert leg["to_endpoint"] == endpoint


@pytest.mark.parametrize(
    ("event", "parameters"),
    [
        ("COMPLETEAGENT", (14, 60, 1)),
        ("BLINDTRANSFER", ("202", "internal", 14, 60, 1)),
        ("ATTENDEDTRANSFER", ("BRIDGE", "x", 14, 60, 1)),
        ("TRANSFER", ("202", "internal", 14, 60)),
    ],
)
def test_a_talk_ends_by_hanging_up_or_by_a_transfer(tmp_path: Path, event: str, parameters: tuple[object, ...]) -> None:
    (leg,) = observed(tmp_path, queue_line(74, event, *parameters, agent="PJSIP/201"))

    assert (leg["attempt"], leg["talk_seconds"], leg["started_at"]) == ("talk", 60.0, utc(0))


@pytest.mark.parametrize("event", ["ABANDON", "EXITWITHTIMEOUT", "EXITWITHKEY", "EXITEMPTY"])
@pytest.mark.parametrize(("has_rung", "attempt"), [(True, "unanswered"), (False, "no_human")])
def test_giving_up_is_unanswered_only_when_a_member_was_rung(
    tmp_path: Path, event: str, has_rung: bool, attempt: str
) -> None:
    ringing = [queue_line(5, "RINGNOANSWER", 5000, agent="PJSIP/201")] if has_rung else []
    rows = observed(tmp_path, queue_line(0, "ENTERQUEUE", "", CUSTOMER, 1), *ringing, queue_line(20, event, 1, 1, 20))

    assert rows[-1]["attempt"] == attempt
    assert rows[-1]["from_token"] == IDENTIFIERS.phone(CUSTOMER).token
    assert [row["attempt"] for row in rows[:-1]] == [None] * (len(rows) - 1)


def test_a_colleague_who_calls_the_queue_is_an_endpoint(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        queue_line(0, "ENTERQUEUE", "", "203", 1),
        queue_line(74, "COMPLETECALLER", 14, 60, 1, agent="PJSIP/201"),
    )

    assert (rows[1]["from_endpoint"], rows[1]["from_token"]) == ("203", None)


def test_a_withheld_caller_has_no_identifier(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        queue_line(0, "ENTERQUEUE", "", "anonymous", 1),
        queue_line(74, "COMPLETECALLER", 14, 60, 1, agent="PJSIP/201"),
    )

    assert (rows[1]["from_endpoint"], rows[1]["from_token"]) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        f"{BASE}|NONE|NONE|NONE|QUEUESTART|\n",
        f"{BASE}|NONE|NONE|NONE|CONFIGRELOAD|\n",
        queue_line(0, "ADDMEMBER", call=CALL, agent="PJSIP/201"),
        queue_line(0, "PAUSE", "lunch", call="MANAGER", agent="PJSIP/201"),
        queue_line(0, "AGENTLOGIN", "SIP/x-1", call="NONE", agent="Agent/1"),
    ],
)
def test_what_members_and_servers_do_is_no_call(tmp_path: Path, line: str) -> None:
    (row,) = observed(tmp_path, line)

    assert (row["attempt"], row["key"], row["event_id"]) == ("no_human", "pbx:queue_log:1", None)


def test_a_talk_of_no_seconds_is_a_mark(tmp_path: Path) -> None:
    (row,) = observed(tmp_path, queue_line(14, "COMPLETECALLER", 14, 0, 1, agent="PJSIP/201"))

    assert (row["attempt"], row["talk_basis"]) == (None, 0)


def test_bad_lines_are_dead_letters(tmp_path: Path) -> None:
    (batch,) = batches(
        tmp_path,
        queue_line(0, "ENTERQUEUE", "", CUSTOMER, 1),
        "noise\n",
        f"yesterday|{CALL}|support|NONE|ABANDON|1|1|5\n",
        queue_line(400 * 86_400, "ABANDON", 1, 1, 5),
        queue_line(0, "COMPLETECALLER", "x", agent="PJSIP/201"),
        "\n",
    )

    assert [(letter.position, letter.reason) for letter in batch.dead_letters] == [
        (2, "has 1 field between bars, expected at least 5"),
        (3, "the time is no epoch"),
        (4, "dated in the future: the event is more than a day after the file was read"),
        (5, "COMPLETECALLER without hold time and call time"),
    ]
    assert batch.facts["observation"].num_rows == 1


def test_a_dead_letter_shows_the_line_without_identifiers(tmp_path: Path) -> None:
    (batch,) = batches(tmp_path, f"yesterday|x|support|NONE|ENTERQUEUE||{CUSTOMER}|1\n")

    (letter,) = batch.dead_letters
    assert CUSTOMER not in letter.raw_text
    assert "ENTERQUEUE" in letter.raw_text


def test_a_line_too_long_is_a_dead_letter_and_the_next_is_read(tmp_path: Path) -> None:
    found = batches(
        tmp_path,
        queue_line(0, "ENTERQUEUE", "", CUSTOMER, 1),
        "x" * 3_000_000 + "\n",
        queue_line(74, "COMPLETECALLER", 14, 60, 1, agent="PJSIP/201"),
    )

    rows = [row for batch in found for row in batch.facts["observation"].to_pylist()]
    assert [letter.position for batch in found for letter in batch.dead_letters] == [2]
    assert rows[-1]["from_token"] == IDENTIFIERS.phone(CUSTOMER).token


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    lines = "".join(queue_line(n, "ENTERQUEUE", "", CUSTOMER, 1) for n in range(5_000))
    packed = gzip.compress(lines.encode())
    path = tmp_path / "queue_log.gz"
    path.write_bytes(packed[: len(packed) // 2])
    context = ReadContext("pbx", "queue_log", ZoneInfo("UTC"), IDENTIFIERS, datetime(2026, 6, 1))

    with pytest.raises(InvalidRecord, match="ends in the middle"):
        list(SOURCE.read(path, context))


def test_queue_logs_are_recognised_by_content_and_nothing_else_is() -> None:
    text = f"{BASE}|NONE|NONE|NONE|QUEUESTART|\n" + queue_line(0, "ENTERQUEUE", "", CUSTOMER, 1)

    assert SOURCE.recognise(Sample(Path("queue_log"), text.encode())) is not None
    for other in ("", "a|b|c|d|e\n", "Id,Subject\n1,Call\n", "1772438400,x\n"):
        assert SOURCE.recognise(Sample(Path("x"), other.encode())) is None
    assert SOURCE.recognise(Sample(Path(), b"", is_directory=True)) is None
