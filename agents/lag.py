"""How far each agent has come in the topics that it reads, as the broker tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.errors import TransientError
from schemas.kafka import KafkaSettings, Secrets, client_options
from schemas.topics import RAW_TOPICS


@dataclass(frozen=True)
class Lag:
    """One partition as one agent sees it. `position` None: it has not begun. Topics are named without their prefix."""

    agent: str
    topic: str
    partition: int
    position: int | None
    end: int

    @property
    def behind(self) -> int:
        """Messages that are still to be read; as many as there are where nothing was read yet."""
        return max(0, self.end - (self.position or 0))


def ingest_group(settings: KafkaSettings, company_id: str) -> str:
    """Return the name of the consumer group of a company's ingest workers."""
    return f"{settings.prefix}ingest.{company_id}"


def correlate_group(settings: KafkaSettings, company_id: str) -> str:
    """Return the name of the consumer group of a company's correlate workers."""
    return f"{settings.prefix}correlate.{company_id}"


def ingest_lag(settings: KafkaSettings, secrets: Secrets, company_id: str) -> list[Lag]:
    """Return how far ingest has come in each partition of the raw topics that holds anything.

    Raises:
        TransientError: when the broker does not answer.
    """
    group = ingest_group(settings, company_id)
    options = client_options(settings, secrets)
    try:
        admin = KafkaAdminClient(**options)
        try:
            committed = _committed(admin.list_group_offsets({group: None}), group)
        finally:
            admin.close()
        consumer = KafkaConsumer(**options)
        try:
            places = [
                TopicPartition(settings.topic(name), partition)
                for name in RAW_TOPICS
                for partition in consumer.partitions_for_topic(settings.topic(name)) or ()
            ]
            ends = consumer.end_offsets(places)
            begins = consumer.beginning_offsets(places)
        finally:
            consumer.close()
    except KafkaError as error:
        raise TransientError(f"the broker {', '.join(settings.bootstrap)} does not answer ({error})") from None
    lags = []
    for place in places:
        name = place.topic.removeprefix(settings.prefix)
        if ends[place] > begins[place] or place in committed:
            position = committed.get(place)
            lags.append(Lag("ingest", name, place.partition, position or begins[place], ends[place]))
    return lags


def _committed(answer: Any, group: str) -> dict[TopicPartition, int]:
    offsets = answer.get(group, answer) if isinstance(answer, dict) else answer
    return {place: found.offset for place, found in offsets.items() if found.offset >= 0}
