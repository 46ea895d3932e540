"""A person whom a live pipeline saw in every channel is forgotten in what its processes keep, publish and say later."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.checkpoints import Checkpoints
from pipeline.configuration import FILE_NAME
from schemas.kafka import KafkaSettings
from schemas.log import Log
from schemas.packing import unpack
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from sinks.store import Store
from tests.integration.companies import bypassflow, replay
from tests.integration.live import Pipeline, run_cli
from tests.integration.test_forgetting import ADDRESS, HANDLE, NUMBER, RECORDS, found, tokens_of, write_company
from tests.integration.test_sink_process import wait_for_snapshots

COMPANY_ID = "own-firm"
PROCESSES = ("ingest", "correlate", "sink")
# What names her. A record that comes later keeps its own name, such as its call id, and says no longer whose it is.
HERS = ("407712345", "zorvika", "quillmark", "zorv_q", "zork-contact", "zork-account")
FIRST_DAY, LATER_DAY = "2025-03-03", "2025-03-10"
PUBLISHED = (FACTS, OUTCOMES, CHECKPOINTS)


def later_files(company: Path) -> list[Path]:
    """Write what the same systems tell of the same people a week later; return the files."""
    written = []
    for name, records in RECORDS.items():
        text = "".join(json.dumps(record) + "\n" for record in records).replace(FIRST_DAY, LATER_DAY)
        text = text.replace("to-both", "later-to-both")
        for kind in ("letter", "call", "mobile", "text", "chat", "post", "task", "email", "ticket"):
            text = text.replace(f"zork-{kind}", f"later-{kind}").replace(f"other-{kind}", f"later-other-{kind}")
        path = (company / name).with_name("later.jsonl")
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def outcomes_of(db: Path, day: str) -> Counter[str]:
    """Return what became of the interactions of a day, whoever they were with."""
    with Store.open(db) as store:
        rows = store.rows(
            "SELECT channel, line, direction, outcome, reason, team, representative_id, segment, started_at "
            "FROM interactions WHERE strftime(started_at, '%Y-%m-%d') = $day",
            {"day": day},
        )
    return Counter(map(str, rows))


def channels_of(outcomes: Counter[str]) -> Counter[str]:
    return Counter(row.split("'")[3] for row in outcomes.elements())


def publish(pipeline: Pipeline, company: Path, *paths: Path) -> None:
    """Publish files as people do, and wait until everything stands in the store."""
    broker = pipeline.settings.bootstrap[0]
    pipeline.run("replay", *paths, "--kafka", broker, "--config", company / FILE_NAME)
    pipeline.wait()


def ends_of(log: Log) -> dict[str, int]:
    return {topic: log.end(topic, 0) for topic in PUBLISHED}


def told(log: Log, begun: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yield all that was published since, and the state of the engine in the newest checkpoint."""
    for topic, begin in begun.items():
        for entry in log.read(topic, 0, begin, log.end(topic, 0)):
            text = str((entry.key, entry.headers, entry.value))
            if topic != CHECKPOINTS:
                content = unpack(entry.value or b"")
                text += str(content.head) + "".join(str(table.to_pylist()) for table in content.tables.values())
            yield topic, text
    checkpoints = Checkpoints(log, 0, COMPANY_ID)
    state = checkpoints.load(next(checkpoints.manifests()))
    assert state is not None
    yield from ((f"engine {name}", str(table.to_pylist())) for name, table in state.tables.items())


def kept_by(pipeline: Pipeline, folder: Path, marks: list[str]) -> dict[str, list[str]]:
    """Return the marks that stand in a file of ours: store, snapshots, logs, and an export of the interactions."""
    exported = bypassflow("interactions", "--db", pipeline.db, "--format", "csv")
    assert exported.exit_code == 0, exported.error
    (folder / "interactions.csv").write_text(exported.out, encoding="utf-8")
    return found(folder, marks)


def test_nothing_is_found_of_a_person_whom_a_running_pipeline_has_forgotten_and_meets_again(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    company, ours = write_company(tmp_path / "company", "masked"), tmp_path / "live"
    snapshots, people = ours / "snapshots", tmp_path / "people.txt"
    people.write_text(f"{NUMBER}\n{ADDRESS}\n{HANDLE}\n", encoding="utf-8")
    replay(tmp_path / "unused.duckdb", company)  # makes the key, as in life
    marks = [*HERS, *tokens_of(company)]
    options = {"sink": ["--snapshot-dir", str(snapshots), "--snapshot-every", "1s"]}
    with Pipeline(kafka_settings, company, ours, options) as pipeline:
        shutil.copy(pipeline.config, company)
        for name in PROCESSES:
            pipeline.start(name)
        publish(pipeline, company, company)
        wait_for_snapshots(snapshots / "current", 2)
        for name in PROCESSES:
            pipeline.end(name)
        before = outcomes_of(pipeline.db, FIRST_DAY)
        assert channels_of(before) == {"call": 4, "email": 3, "sms": 1, "chat": 1, "social": 2}
        there = kept_by(pipeline, ours, marks)
        assert {*tokens_of(company), "zork-contact", "zork-account"} <= set(there["live.duckdb"])
        assert there.keys() >= {"live.duckdb", "interactions.parquet", "interactions.csv"}

        forgot = run_cli(
            "forget", "--db", pipeline.db, "--file", people, "--config", pipeline.config, "--snapshot-dir", snapshots
        )

        assert "7 interactions stay counted" in forgot.stderr, forgot.stderr
        assert f"{kafka_settings.topic(FACTS)}: until about" in forgot.stderr
        assert kept_by(pipeline, ours, marks) == {}
        assert outcomes_of(pipeline.db, FIRST_DAY) == before
        begun = ends_of(pipeline.log)
        for name in PROCESSES:
            pipeline.start(name)
        # Some of what is known already is sent once more.
        publish(pipeline, company, *later_files(company), company / "pbx" / "calls.jsonl")
        wait_for_snapshots(snapshots / "current", 2)
        for name in PROCESSES:
            pipeline.end(name)

        assert kept_by(pipeline, ours, marks) == {}
        news = list(told(pipeline.log, begun))
        assert {topic for topic, _ in news} > {*PUBLISHED, "engine interaction"}
        assert [(topic, mark) for topic, text in news for mark in marks if mark.lower() in text.lower()] == []
        assert outcomes_of(pipeline.db, FIRST_DAY) == before
        assert channels_of(outcomes_of(pipeline.db, LATER_DAY)) == channels_of(before)
        assert outcomes_of(snapshots / "current" / "live.duckdb", LATER_DAY) == outcomes_of(pipeline.db, LATER_DAY)
