"""The commands that publish files to topics and look after dead letters, as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from agents.log import KafkaLog
from pipeline.configuration import load
from pipeline.fact_messages import letter_drafts
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from schemas.kafka import KafkaSettings
from schemas.topics import RAW_TOPICS
from tests.acme import CALLS, write_acme
from tests.brokers import make_topics
from tests.integration.companies import bypassflow


@pytest.fixture
def company(tmp_path: Path) -> Path:
    folder = write_acme(tmp_path / "acme")
    with (folder / "pbx" / "Master.csv").open("a") as stream:
        stream.write("too,few\n")
    return folder


def on_broker(company: Path, kafka_settings: KafkaSettings) -> KafkaSettings:
    """Make the topics, and let the company's configuration name them."""
    settings = make_topics(kafka_settings)
    with (company / "bypassflow.toml").open("a") as stream:
        stream.write(f'\n[kafka]\nbootstrap = ["{settings.bootstrap[0]}"]\nprefix = "{settings.prefix}"\n')
    return settings


def messages(settings: KafkaSettings) -> list[RawMessage]:
    with KafkaLog(settings) as log:
        return [
            RawMessage(topic, partition, entry)
            for topic in RAW_TOPICS
            for partition in range(settings.partitions)
            for entry in log.read(topic, partition, 0, log.end(topic, partition))
        ]


def test_files_are_published_and_what_is_refused_is_shown_and_tried_again(
    company: Path, kafka_settings: KafkaSettings
) -> None:
    settings = on_broker(company, kafka_settings)
    bootstrap, config = settings.bootstrap[0], company / "bypassflow.toml"
    ran = bypassflow("replay", company, "--kafka", bootstrap, "--speed", "1000000x")
    assert ran.exit_code == 0, ran.written
    assert not (company / ".bypassflow-replay").exists()
    key = bytes.fromhex((company / "bypassflow.key").read_text().strip())
    configuration = load(config.read_text(), "bypassflow.toml")
    taken = Intake(Identifiers(key), configuration).take(messages(settings), datetime.now(UTC))
    assert taken.facts["observation"].num_rows == len(CALLS)
    with KafkaLog(settings) as log:
        log.append(letter_drafts(taken.letters, configuration.company.id, settings.fact_partitions, Seal(key)))

    (raw_id,) = [event.letter.raw_id for event in taken.letters]
    listed = bypassflow("dead-letters", "list", "--config", config, "--format", "json")
    assert [row["raw_id"] for row in orjson.loads(listed.out)] == [raw_id]
    counted = bypassflow("dead-letters", "list", "--by-reason", "--config", config)
    assert "columns" in counted.out
    shown = bypassflow("dead-letters", "show", raw_id, "--config", config)
    assert orjson.loads(shown.out)["kind"] == "rejected"
    count = len(messages(settings))
    assert bypassflow("dead-letters", "retry", raw_id, "--config", config).exit_code == 0
    assert len(messages(settings)) == count + 1
    none = bypassflow("dead-letters", "retry", "--reason", "no such reason", "--config", config)
    assert (none.exit_code, "no dead letter fits" in none.error) == (1, True)


def test_a_replay_into_a_broker_that_is_away_says_how_to_go_on(company: Path) -> None:
    ran = bypassflow("replay", company, "--kafka", "127.0.0.1:1")
    assert ran.exit_code == 1
    assert "cannot be reached" in ran.error
    assert "--resume goes on there" in ran.error


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "one of --db and --kafka is needed"),
        (("--db", "x.duckdb", "--kafka", "127.0.0.1:1"), "not both"),
        (("--db", "x.duckdb", "--resume"), "go with --kafka"),
        (("--kafka", "127.0.0.1:1", "--speed", "fast"), "neither max nor a number"),
        (("--kafka", "nowhere"), "is not host:port"),
        (("--kafka", "127.0.0.1:1", "--resume"), "nothing to resume"),
    ],
)
def test_options_that_do_not_go_together_are_refused(company: Path, options: tuple[str, ...], problem: str) -> None:
    ran = bypassflow("replay", company, *options)
    assert ran.exit_code != 0
    assert problem in ran.error
    assert not (company / "x.duckdb").exists()
