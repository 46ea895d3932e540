"""What the log still holds of somebody who was forgotten, and until when its own retention takes it away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.topics import FoundTopic, find_topics
from pipeline.errors import TransientError
from schemas.kafka import KafkaSettings, Secrets
from schemas.topics import Topic


def remaining(settings: KafkaSettings, secrets: Secrets, at: datetime) -> list[str]:
    """Return a sentence for each topic that may hold records written before `at`, UTC.

    Retention is the cluster's own; where no broker answers, that of the settings.

    Raises:
        ConfigurationError: when the cluster refuses us.
    """
    try:
        found: dict[str, FoundTopic] | None = find_topics(settings, secrets)
        sentences = []
    except TransientError:
        found = None
        sentences = ["no broker answers; what follows is what the settings ask for, and `topics check` compares"]
    return [*sentences, *_sentences(settings, found, at)]


def _sentences(settings: KafkaSettings, found: dict[str, FoundTopic] | None, at: datetime) -> Iterator[str]:
    for topic in settings.topics():
        if found is not None and topic.name not in found:
            continue
        name = settings.topic(topic.name)
        if topic.is_compacted:
            yield f"{name}: until correlate has written two more checkpoints and the broker has compacted the topic"
            continue
        kept = _kept(topic, None if found is None else found[topic.name])
        until = "for ever" if kept is None else f"until about {at + kept:%Y-%m-%d %H:%M} UTC"
        yield f"{name}: {until}, by its retention"


def _kept(topic: Topic, found: FoundTopic | None) -> timedelta | None:
    """Return how long a topic keeps messages; None: for ever."""
    value = None if found is None else found.options.get("retention.ms")
    if value is None:
        return topic.retention
    return None if value == "-1" else timedelta(milliseconds=int(value))
