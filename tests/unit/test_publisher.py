"""A replay into topics: everything in the order of its events, nothing twice that was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from agents import publisher
from agents.publisher import Pace, gather, parse_speed, publish
from agents.spool import Origin, Published, Spool
from pipeline.configuration import load
from pipeline.errors import ConfigurationError, TransientError
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.sources.discovery import discover
from pipeline.sources.feeding import feed
from pipeline.sources.registry import Batch
from schemas.log import Draft
from schemas.topics import RAW_TOPICS
from tests.acme import CALLS, write_acme
from tests.memory_log import MemoryLog

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes(32)
PARTITIONS = 4


class Recording(MemoryLog):
    """A log that remembers in which order all was appended, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(RAW_TOPICS, PARTITIONS))
        self.drafts: list[Draft] = []
        self.fail_after: int | None = None

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        if self.fail_after is not None and len(self.drafts) >= self.fail_after:
            raise TransientError("the broker did not confirm")
        offsets = super().append(drafts)
        self.drafts.extend(drafts)
        return offsets


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """The small company of the tests, with a call that no parser understands."""
    folder = write_acme(tmp_path / "acme")
    with (folder / "pbx" / "Master.csv").open("a") as stream:
        stream.write("too,few\n")
    return folder


def inputs(folder: Path, identifiers: Identifiers) -> Iterator[tuple[Origin, Iterator[Batch]]]:
    configuration = load((folder / "bypassflow.toml").read_text(), "bypassflow.toml")
    for item in discover([folder], configuration, folder):
        yield Origin(item.source, item.file, item.parser.name), feed(item, identifiers, READ_AT)


def spool_of(company: Path, folder: Path) -> Spool:
    spool = Spool.create(folder, "these")
    gather(spool, inputs(company, Identifiers(KEY, clear=True)), lambda byte_count, record_count: None)
    return spool


def as_fast_as_possible() -> Pace:
    return Pace(None, lambda: 0.0, lambda seconds: None)


def records_of(drafts: Sequence[Draft]) -> list[dict[str, object]]:
    return [orjson.loads(draft.value or b"") for draft in drafts]


def times_of(drafts: Sequence[Draft]) -> list[str]:
    """Return what was published in short: the fact and its time."""
    said = []
    for record in records_of(drafts):
        row = record.get("row", {})
        assert isinstance(row, dict)
        time = row.get("started_at") or row.get("logged_from") or row.get("complete_through") or ""
        said.append(f"{record.get('fact', 'rejected')} {time[:16]}".strip())
    return said


def test_everything_is_published_in_the_order_of_its_events(company: Path, tmp_path: Path) -> None:
    log = Recording()
    publish(spool_of(company, tmp_path / "spool"), log, PARTITIONS, as_fast_as_possible())
    said = times_of(log.drafts)
    firsts = [name for name in said if " " not in name and name != "rejected"]
    assert said[: len(firsts)] == firsts
    assert {"directory_entry", "contact"} <= set(firsts)
    rest = said[len(firsts) :]
    assert rest[0] == "rejected"
    assert rest[-1].startswith("feed_progress")
    events = [name.rsplit(" ", 1)[1] for name in rest[1:-1]]
    assert events == sorted(events)
    assert sum(name.startswith("observation") for name in rest) == len(CALLS)


def test_what_is_published_gives_the_facts_that_the_files_gave(company: Path, tmp_path: Path) -> None:
    log = Recording()
    publish(spool_of(company, tmp_path / "spool"), log, PARTITIONS, as_fast_as_possible())
    messages = [
        RawMessage(topic, partition, entry)
        for topic in RAW_TOPICS
        for partition in range(PARTITIONS)
        for entry in log.read(topic, partition, 0, log.end(topic, partition))
    ]
    taken = Intake(Identifiers(KEY), load("", "bypassflow.toml")).take(messages, READ_AT)
    expected: dict[str, set[str]] = {}
    letters = set()
    for origin, batches in inputs(company, Identifiers(KEY)):
        for batch in batches:
            letters |= set(batch.dead_letters)
            for kind, table in batch.facts.items():
                for row in table.to_pylist():
                    place = {} if kind == "identifier" else {"file": origin.file, "format": origin.format}
                    expected.setdefault(kind, set()).add(str(row | place))
    found = {kind: {str(row) for row in table.to_pylist()} for kind, table in taken.facts.items()}
    found["feed_progress"] &= expected["feed_progress"]  # on the way there are marks of days too
    assert found == expected
    assert {event.letter for event in taken.letters} == letters


def test_a_record_stands_on_the_topic_of_its_kind_under_its_place(company: Path, tmp_path: Path) -> None:
    log = Recording()
    publish(spool_of(company, tmp_path / "spool"), log, PARTITIONS, as_fast_as_possible())
    topics = {
        (str(record.get("fact", "rejected")), draft.topic)
        for record, draft in zip(records_of(log.drafts), log.drafts, strict=True)
    }
    assert {("contact", "raw.contacts"), ("activity", "raw.activities"), ("directory_entry", "raw.directory")} <= topics
    assert {topic for kind, topic in topics if kind in ("observation", "rejected")} == {"raw.pbx-legs"}
    first = next(draft for draft in log.drafts if b'"observation"' in (draft.value or b""))
    assert first.headers == {
        "source": b"asterisk",
        "file": b"pbx/Master.csv",
        "format": b"asterisk_cdr",
        "position": b"1",
    }


def test_at_each_full_day_it_is_said_how_far_the_activities_reach(tmp_path: Path) -> None:
    folder = write_acme(tmp_path / "acme")
    lines = [
        {
            "kind": "activity",
            "activity_id": f"a{day}",
            "activity_kind": "call",
            "logged_at": f"2024-03-{day:02}T10:00:00Z",
        }
        for day in (4, 6, 5)
    ]
    lines.append({**lines[0], "activity_id": "at midnight", "logged_at": "2024-03-06T00:00:00Z"})
    (folder / "crm" / "activities.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    log = Recording()
    publish(spool_of(folder, tmp_path / "spool"), log, PARTITIONS, as_fast_as_possible())
    said = [name for name in times_of(log.drafts) if name.startswith(("activity", "feed_progress"))]
    assert said == [
        "activity 2024-03-04T10:00",
        "feed_progress 2024-03-05T00:00",
        "activity 2024-03-05T10:00",
        "feed_progress 2024-03-06T00:00",
        "activity 2024-03-06T00:00",
        "activity 2024-03-06T10:00",
        "feed_progress 2024-03-06T10:00",
    ]


def test_the_order_is_the_same_each_time(company: Path, tmp_path: Path) -> None:
    logs = [Recording(), Recording()]
    for number, log in enumerate(logs):
        publish(spool_of(company, tmp_path / f"spool{number}"), log, PARTITIONS, as_fast_as_possible())
    assert logs[0].drafts == logs[1].drafts


def test_a_resumed_replay_publishes_the_rest_and_nothing_twice(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Recording()
    publish(spool_of(company, tmp_path / "whole"), whole, PARTITIONS, as_fast_as_possible())
    monkeypatch.setattr(publisher, "CHUNK_RECORDS", 3)
    log = Recording()
    log.fail_after = 6
    spool = spool_of(company, tmp_path / "spool")
    with pytest.raises(TransientError), spool:
        publish(spool, log, PARTITIONS, as_fast_as_possible())
    log.fail_after = None
    with Spool.resume(tmp_path / "spool", "these") as again:
        assert (again.acknowledged_count, again.record_count) == (6, len(whole.drafts))
        publish(again, log, PARTITIONS, as_fast_as_possible())
    assert log.drafts == whole.drafts
    assert not (tmp_path / "spool").exists()


def test_only_what_was_stopped_with_the_same_inputs_is_resumed(company: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to resume"):
        Spool.resume(tmp_path / "spool", "these")
    spool_of(company, tmp_path / "spool").__exit__(None, None, None)
    with pytest.raises(ConfigurationError, match="other files"):
        Spool.resume(tmp_path / "spool", "those")


def test_nobody_else_can_read_the_spool(company: Path, tmp_path: Path) -> None:
    with spool_of(company, tmp_path / "spool"):
        assert (tmp_path / "spool").stat().st_mode & 0o077 == 0


def test_a_pace_waits_until_a_record_is_due() -> None:
    clock = Clock()
    start = datetime(2024, 3, 4)
    times = [None, start, start + timedelta(seconds=1), start + timedelta(minutes=10), None]
    records = [Published("raw.calls", b"", str(number).encode(), {}, at) for number, at in enumerate(times)]
    due = [[record.value for record in part] for part in Pace(60, clock.now, clock.sleep).paced(records)]
    assert due == [[b"0", b"1", b"2"], [b"3"], [b"4"]]
    assert clock.slept == [pytest.approx(10, abs=0.2)]


@pytest.mark.parametrize("text", ["", "0", "0x", "fast", "-1", "60 x"])
def test_a_speed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--speed"):
        parse_speed(text)
