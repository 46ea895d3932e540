"""What the log still holds of the forgotten: told by the cluster's own retention, or else by the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agents.remaining import remaining
from schemas.kafka import NO_SECRETS, KafkaSettings, Secrets
from schemas.topics import CHECKPOINTS, DEAD_LETTERS, FACTS, OUTCOMES, RAW_TOPICS
from tests.brokers import make_topics
from tests.integration.live import free_port

AT = datetime(2024, 5, 3, 12, tzinfo=UTC)


def told(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> dict[str, str]:
    """Return what is said of each topic, by its name without the prefix."""
    sentences = [each.partition(": ") for each in remaining(settings, secrets, AT)]
    return {name.removeprefix(settings.prefix): said for name, _, said in sentences}


def test_what_the_cluster_keeps_counts_and_not_what_the_settings_ask_for(kafka_settings: KafkaSettings) -> None:
    made = kafka_settings.model_copy(update={"raw_retention": timedelta(days=2), "facts_retention": timedelta(days=3)})
    make_topics(made)
    asked = made.model_copy(update={"raw_retention": timedelta(days=7), "facts_retention": timedelta(days=1)})

    said = told(asked)

    assert said["raw.calls"] == "until about 2024-05-05 12:00 UTC, by its retention"
    assert said[FACTS] == "until about 2024-05-06 12:00 UTC, by its retention"
    assert said[CHECKPOINTS].startswith("until correlate has written two more checkpoints")


def test_of_topics_that_the_cluster_does_not_have_nothing_remains(kafka_settings: KafkaSettings) -> None:
    make_topics(kafka_settings, FACTS, "raw.calls")
    assert set(told(kafka_settings)) == {FACTS, "raw.calls"}


def test_without_a_broker_the_settings_are_told_of_every_topic_and_that_nobody_answered() -> None:
    settings = KafkaSettings(bootstrap=(f"127.0.0.1:{free_port()}",), raw_retention=timedelta(days=7))

    first, *sentences = remaining(settings, NO_SECRETS, AT)

    assert first.startswith("no broker answers; what follows is what the settings ask for")
    assert {each.partition(": ")[0] for each in sentences} == {
        settings.topic(name) for name in (*RAW_TOPICS, FACTS, OUTCOMES, DEAD_LETTERS, CHECKPOINTS)
    }
    assert f"{settings.topic('raw.calls')}: until about 2024-05-10 12:00 UTC, by its retention" in sentences
