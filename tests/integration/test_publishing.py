"""A replay into a real broker's topics, and dead letters tried again there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agents.dead_letters import DeadLetters
from agents.log import KafkaLog
from agents.publisher import Pace, gather, publish
from agents.spool import Origin, Spool
from pipeline.configuration import load
from pipeline.fact_messages import letter_drafts
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from pipeline.sources.discovery import discover
from pipeline.sources.feeding import feed
from schemas.kafka import KafkaSettings
from schemas.topics import RAW_TOPICS
from tests.acme import CALLS, write_acme
from tests.brokers import make_topics

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes(32)
SEAL = Seal(KEY)


def messages(log: KafkaLog, settings: KafkaSettings) -> list[RawMessage]:
    return [
        RawMessage(topic, partition, entry)
        for topic in RAW_TOPICS
        for partition in range(settings.partitions)
        for entry in log.read(topic, partition, 0, log.end(topic, partition))
    ]


def test_files_go_through_topics_and_refused_records_are_tried_again(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    settings = make_topics(kafka_settings)
    folder = write_acme(tmp_path / "acme")
    with (folder / "pbx" / "Master.csv").open("a") as stream:
        stream.write("too,few\n")
    configuration = load((folder / "bypassflow.toml").read_text(), "bypassflow.toml")
    identifiers = Identifiers(KEY, clear=True)
    spool = Spool.create(tmp_path / "spool", "these")
    found = discover([folder], configuration, folder)
    batches = ((Origin(item.source, item.file, item.parser.name), feed(item, identifiers, READ_AT)) for item in found)
    gather(spool, batches, lambda byte_count, record_count: None)
    with KafkaLog(settings) as log:
        publish(spool, log, settings.partitions, Pace(None, lambda: 0.0, lambda seconds: None))
        taken = Intake(Identifiers(KEY), configuration).take(messages(log, settings), READ_AT)
        assert taken.facts["observation"].num_rows == len(CALLS)
        assert len(taken.letters) == 1

        log.append(letter_drafts(taken.letters, "acme", settings.fact_partitions, SEAL))
        letters = DeadLetters(log, "acme", settings.fact_partitions, SEAL)
        assert letters.retry(letters.find(), settings.partitions) == 1
        again = Intake(Identifiers(KEY), configuration).take(messages(log, settings), READ_AT)
        assert [event.letter for event in again.letters] == [taken.letters[0].letter] * 2
