"""Topics on a real cluster: made once, compared, described; and what the commands say of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from agents.examination import cluster
from agents.log import KafkaLog
from agents.topics import check_topics, create_topics, describe_topics, differences, find_topics
from pipeline.errors import ConfigurationError
from pipeline.fact_key import FactKey
from pipeline.findings import Finding
from pipeline.keys import fingerprint
from schemas.kafka import KafkaSettings, broker_options
from schemas.log import Draft
from schemas.packing import Pack, pack
from schemas.topics import CHECKPOINTS, FACTS, RAW_TOPICS
from tests.brokers import Kafka, admin, delete_topics
from tests.integration.companies import bypassflow


def test_topics_are_made_once_and_are_then_as_asked_for(kafka_settings: KafkaSettings) -> None:
    made = create_topics(kafka_settings)
    assert made == [kafka_settings.topic(topic.name) for topic in kafka_settings.topics()]
    assert check_topics(kafka_settings) == []
    assert create_topics(kafka_settings) == []
    found = find_topics(kafka_settings)
    for topic in kafka_settings.topics():
        assert found[topic.name].partitions == topic.partitions
        assert broker_options(topic).items() <= found[topic.name].options.items()


def test_missing_topics_are_told_together(kafka_settings: KafkaSettings) -> None:
    create_topics(kafka_settings, only=[*RAW_TOPICS, FACTS, CHECKPOINTS])
    (sentence,) = check_topics(kafka_settings)
    prefix = kafka_settings.prefix
    assert sentence == (f"missing: {prefix}outcomes, {prefix}dead-letters; make them with: bypassflow topics create")
    assert create_topics(kafka_settings) == [f"{prefix}outcomes", f"{prefix}dead-letters"]


def test_what_differs_is_told_with_its_remedy(kafka_settings: KafkaSettings) -> None:
    create_topics(kafka_settings)
    changes = {
        "raw.calls": {"retention.ms": "-1", "message.timestamp.type": "CreateTime"},
        FACTS: {"cleanup.policy": "compact", "max.message.bytes": "1048588"},
        CHECKPOINTS: {"cleanup.policy": "delete"},
        # More room than is needed is no harm.
        "outcomes": {"max.message.bytes": "20000000"},
    }
    with admin(kafka_settings) as client:
        client.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, kafka_settings.topic(name), options)
                for name, options in changes.items()
            ]
        )
    wider = kafka_settings.model_copy(update={"partitions": 5, "fact_partitions": 2})
    told = "\n".join(check_topics(wider))
    prefix = kafka_settings.prefix
    for words in (
        f"{prefix}raw.calls has 4 of 5 partitions; add them with the cluster's own tool",
        f"{prefix}raw.calls keeps messages for ever instead of 7 days; set it with: kafka-configs --alter --topic "
        f"{prefix}raw.calls --add-config retention.ms=604800000, or change [kafka] raw_retention",
        f"{prefix}raw.calls has message.timestamp.type=CreateTime, so senders' clocks decide what expires",
        f"{prefix}facts has 1 of 2 partitions; set [kafka] fact_partitions = 1, or begin anew",
        f"{prefix}facts has cleanup.policy=compact, which drops messages that are still needed",
        f"{prefix}facts takes messages up to 1,048,588 bytes",
        f"{prefix}checkpoints has cleanup.policy=delete, which keeps every checkpoint",
    ):
        assert words in told
    assert "outcomes takes messages" not in told


def test_fewer_copies_and_another_retention_are_told(kafka_settings: KafkaSettings) -> None:
    create_topics(kafka_settings)
    found = find_topics(kafka_settings)
    stricter = kafka_settings.model_copy(
        update={"replication": 3, "facts_retention": timedelta(days=400), "dead_letter_retention": timedelta(hours=36)}
    )
    told = differences(stricter, found)
    assert sum("has 1 of 3 copies" in sentence for sentence in told) == len(found)
    assert any("for 90 days instead of 400 days" in sentence and "facts_retention" in sentence for sentence in told)
    assert any("instead of 1 day, 12:00:00" in sentence and "dead_letter_retention" in sentence for sentence in told)
    # A cluster that does not tell its options is not accused.
    silent = {name: replace(topic, options={}) for name, topic in found.items()}
    assert differences(kafka_settings, silent) == []


def test_more_copies_than_brokers_are_refused_with_what_the_broker_says(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses to make .*raw\.calls with 4 partitions and 3 copies"):
        create_topics(kafka_settings.model_copy(update={"replication": 3}))


def test_rows_describe_every_topic_whether_it_is_there_or_not(kafka_settings: KafkaSettings) -> None:
    create_topics(kafka_settings, only=[FACTS, CHECKPOINTS])
    rows = {row["topic"]: row for row in describe_topics(kafka_settings)}
    assert len(rows) == len(kafka_settings.topics())
    facts = rows[kafka_settings.topic(FACTS)]
    assert (facts["is_there"], facts["partitions"], facts["kept"]) == (True, 1, "90 days")
    assert rows[kafka_settings.topic(CHECKPOINTS)]["kept"] == "the newest of each key"
    assert rows[kafka_settings.topic("raw.calls")]["is_there"] is False


# The commands


def test_the_commands_make_check_and_describe(kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = kafka.settings()
    config = tmp_path / "bypassflow.toml"
    config.write_text(f'[kafka]\nprefix = "{settings.prefix}"\nbootstrap = ["127.0.0.1:9"]\n', encoding="utf-8")
    monkeypatch.setenv("BYPASSFLOW_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.chdir(tmp_path)
    try:
        ran = bypassflow("topics", "check")
        assert (ran.exit_code, ran.out) == (1, "")
        assert f"missing: {settings.prefix}raw.calls" in ran.error
        ran = bypassflow("topics", "create", "--config", config)
        assert ran.exit_code == 0, ran.error
        assert ran.out.split() == [settings.topic(topic.name) for topic in settings.topics()]
        ran = bypassflow("topics", "check")
        assert (ran.exit_code, ran.out, ran.error) == (0, "", "15 topics are as the configuration asks for\n")
        ran = bypassflow("topics", "describe", "--format", "json")
        assert [row["topic"] for row in json.loads(ran.out)] == [
            settings.topic(topic.name) for topic in settings.topics()
        ]
        ran = bypassflow("topics", "describe")
        assert ran.exit_code == 0, ran.error
        assert f"{settings.prefix}raw.calls" in ran.out
        assert "7 days" in ran.out
    finally:
        delete_topics(settings)


@pytest.mark.parametrize("name", ["create", "check", "describe"])
def test_an_unreachable_broker_is_one_sentence_and_ends_with_1(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started_at = time.monotonic()
    ran = bypassflow("topics", name, "--bootstrap", "127.0.0.1:9")
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.error.startswith("bypassflow: the broker at 127.0.0.1:9 cannot be reached: ")
    assert ran.error.count("\n") == 1
    assert time.monotonic() - started_at < 10


def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bypassflow("topics", "check", "--bootstrap", "kafka")
    assert ran.exit_code == 2
    assert "is not host:port" in ran.error


def test_a_secret_that_is_not_there_is_told_before_anything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACME_PASSWORD", raising=False)
    sign_in = 'security_protocol = "sasl_ssl"\nsasl_mechanism = "PLAIN"\nusername = "acme"\n'
    for secret, words in (
        ('password_env = "ACME_PASSWORD"', "the environment has no ACME_PASSWORD"),
        ('password_file = "absent"', "kafka.password_file: "),
        ('password_env = "HOME"\nca_file = "absent.pem"', "absent.pem cannot be read: no such file"),
    ):
        (tmp_path / "bypassflow.toml").write_text(f"[kafka]\n{sign_in}{secret}\n", encoding="utf-8")
        ran = bypassflow("topics", "check")
        assert ran.exit_code == 1
        assert words in ran.error


def test_doctor_finds_nothing_on_topics_that_were_made_and_says_what_is_missing(kafka_settings: KafkaSettings) -> None:
    def examine(key: FactKey | None = None, late: timedelta = timedelta(0)) -> list[Finding]:
        return cluster.examine(kafka_settings, {}, lambda: datetime.now(UTC) - late, "acme", key)

    key, made_with = FactKey(b"k" * 32), fingerprint(b"k" * 32)
    without = examine(key)
    create_topics(kafka_settings)
    with KafkaLog(kafka_settings) as log:
        log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": "acme", "key": made_with})))])
    healthy, behind = examine(), examine(late=timedelta(minutes=1))

    assert [(each.level, each.subject) for each in without] == [("ok", "broker"), ("error", "topics")]
    assert without[1].remedy == "make them with: bypassflow topics create"
    assert [(each.level, each.subject) for each in healthy] == [("ok", "broker"), ("ok", "topics"), ("ok", "clocks")]
    assert [(each.level, each.subject) for each in examine(key)[3:]] == [("ok", "key")]
    assert [(each.level, each.subject) for each in examine(FactKey(b"x" * 32))[3:]] == [("error", "key")]
    assert behind[-1].level == "error"
