"""What is received, read by the parsers of files: the same facts, under places of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pipeline import received
from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.received import Feed, Placing, Received, Translator, place_of_document, place_of_lines
from pipeline.sources.registry import by_name
from schemas.log import Entry
from schemas.settings import Configuration
from tests.acme import CALLS

READ_AT = datetime(2026, 6, 1, tzinfo=UTC)
CALL = {"kind": "call", "started_at": "2026-05-04T09:00:00+03:00", "talk_seconds": 60, "from": "0401234567",
        "to": "201", "direction": "inbound"}  # fmt: skip
CONTACT = {"kind": "contact", "contact_id": "C1", "phones": ["+358401234567"]}
ACTIVITY = {"kind": "activity", "activity_id": "E1", "activity_kind": "call", "logged_at": "2026-05-04T10:00:00+03:00"}


def feed(format: str = "canonical_jsonl", **values: Any) -> Feed:
    return Feed("tried", "hook", by_name(format), ZoneInfo("Europe/Helsinki"), **values)


def translate(
    tmp_path: Path, content: bytes, place: Placing | None = None, into: Feed | None = None, **values: Any
) -> Received:
    path = tmp_path / "content"
    path.write_bytes(content)
    translator = Translator(lambda: Identifiers(b"any", clear=True))
    return translator.translate(into or feed(), path, place or place_of_lines(content), READ_AT, **values)


def lines(*records: dict[str, Any]) -> bytes:
    return b"\n".join(orjson.dumps(record) for record in records)


def values(found: Received) -> list[dict[str, Any]]:
    return [orjson.loads(publication.value) for publication in found.publications]


def test_a_record_is_known_by_its_content_alone_whatever_comes_with_it(tmp_path: Path) -> None:
    alone = translate(tmp_path, lines(CALL))
    together = translate(tmp_path, lines(CONTACT, CALL, ACTIVITY))
    (call,) = [value for value in values(together) if value["fact"] == "observation"]
    assert values(alone) == [call]
    assert call["row"]["raw_id"].startswith("tried:hook:")
    assert alone.publications[0].topic == "raw.calls"
    assert alone.publications[0].headers["position"].decode() == call["row"]["raw_id"].rpartition(":")[2]


def test_records_of_one_document_are_told_apart_by_their_number() -> None:
    place = place_of_document(b"{}")
    number = place("1")
    assert number is not None
    assert place("0") == number  # a message's own offset
    assert [place("1#2"), place("2"), place("3#4")] == [f"{number}#2", f"{number}#1001", f"{number}#2004"]


def test_what_is_only_there_to_be_understood_by_is_not_published(tmp_path: Path) -> None:
    content = lines(CALL, {**CALL, "to": "202"}, {"kind": "none"}, {"kind": "neither"})
    found = translate(tmp_path, content, lambda line: line if line in ("2", "4") else None, count_as="other@1")
    assert [value.get("row", value)["raw_id"] for value in values(found)] == ["tried:other@1:2", "tried:other@1:4"]
    assert (found.record_count, found.refused_count) == (2, 1)
    assert values(found)[1]["file"] == "other@1"


def test_a_row_known_by_its_place_alone_is_known_by_its_place_for_good(tmp_path: Path) -> None:
    line = b"1767225600|NONE|NONE|NONE|QUEUESTART|\n"
    found = translate(tmp_path, line, lambda _: "77", feed("asterisk_queue_log"))
    (value,) = values(found)
    assert value["row"]["key"] == value["row"]["raw_id"] == "tried:hook:77"


def test_intake_makes_the_facts_that_the_parser_made(tmp_path: Path) -> None:
    found = translate(tmp_path, "\n".join(CALLS).encode(), lambda line: line, feed("asterisk_cdr"))
    messages = [
        RawMessage(each.topic, 0, Entry(number, each.value, each.key, each.headers))
        for number, each in enumerate(found.publications)
    ]
    taken = Intake(Identifiers(b"company"), Configuration()).take(messages, READ_AT)
    assert taken.facts["observation"].num_rows == len(CALLS) == found.record_count
    assert not taken.letters


def test_content_that_cannot_be_read_at_all_is_one_dead_letter_that_shows_nothing(tmp_path: Path) -> None:
    found = translate(tmp_path, b'{"sid": "CA1", "from": "+358401234567', place_of_document(b"x"), feed("twilio"))
    (letter,) = values(found)
    assert letter["kind"] == "rejected"
    assert "content" not in letter["reason"]  # the name under which it was given to the parser
    assert "358401234567" not in str(letter)
    assert (found.record_count, found.refused_count) == (1, 1)


def test_one_activity_does_not_tell_how_far_its_feed_reaches_unless_the_feed_is_in_order(tmp_path: Path) -> None:
    def kinds(found: Received) -> set[str]:
        return {value["fact"] for value in values(found)}

    said = {"kind": "feed_progress", "complete_through": "2026-05-04T12:00:00+03:00"}
    assert kinds(translate(tmp_path, lines(ACTIVITY))) == {"activity"}
    assert kinds(translate(tmp_path, lines(ACTIVITY), into=feed(tells_progress=True))) == {"activity", "feed_progress"}
    assert kinds(translate(tmp_path, lines(ACTIVITY, said))) == {"activity", "feed_progress"}


def test_a_record_that_no_message_can_hold_is_a_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "LARGEST_MESSAGE", 500)
    found = translate(tmp_path, lines({**CONTACT, "phones": [f"+3584012345{n}" for n in range(10, 60)]}, CONTACT))
    kinds = [(value["kind"], value.get("is_raw_event")) for value in values(found)]
    assert sorted(kinds, key=str) == [("reading", None), ("rejected", False)]
    assert found.refused_count == 1


def test_what_is_remembered_of_identifiers_is_bounded_and_forgetting_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "_MOST_IDENTIFIERS", 3)
    made: list[Identifiers] = []

    def make() -> Identifiers:
        made.append(Identifiers(b"any", clear=True))
        return made[-1]

    translator, path = Translator(make), tmp_path / "content"
    for number in range(20):
        content = lines({**CALL, "from": f"04012345{number:02}"}, CALL)
        path.write_bytes(content)
        found = translator.translate(feed(), path, place_of_lines(content), READ_AT)
        tokens = [value["row"]["from_token"] for value in values(found)]
        assert sorted(tokens) == sorted([f"phone:+3584012345{number:02}", "phone:+358401234567"])
    assert 2 < len(made) < 20


def test_a_mapping_that_does_not_fit_is_an_error_and_the_next_content_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        translate(tmp_path, b"nothing,of,the,kind\n", into=feed("asterisk_cdr"))
