"""How far each agent has come in the topics that it reads, as the broker tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.faults import explain
from schemas.kafka import KafkaSettings, Secrets, client_options
from schemas.topics import FACTS, RAW_TOPICS, partition_of

# Somebody waits at a terminal. Unit: milliseconds.
_PATIENCE_MS: Final = 8_000
# The state of a group without members, in the broker's own word.
_NOBODY: Final = "Empty"


@dataclass(frozen=True)
class Lag:
    """One partition as one agent sees it: the next offset to read, and the next to be written.

    Topics are named without their prefix.
    """

    agent: str
    topic: str
    partition: int
    position: int
    end: int

    @property
    def behind(self) -> int:
        """Messages that are still to be read."""
        return max(0, self.end - self.position)


def ingest_group(settings: KafkaSettings, company_id: str) -> str:
    """Return the name of the consumer group of a company's ingest workers."""
    return f"{settings.prefix}ingest.{company_id}"


def correlate_group(settings: KafkaSettings, company_id: str) -> str:
    """Return the name of the consumer group of a company's correlate workers."""
    return f"{settings.prefix}correlate.{company_id}"


@dataclass(frozen=True)
class Readers:
    """Who reads the topics of a company: how far ingest is, how many workers there are, and where facts end.

    The embedded broker tells no more of workers than whether there are any.
    """

    ingest: tuple[Lag, ...]
    ingest_workers: int
    correlate_workers: int
    facts_end: int


def readers(settings: KafkaSettings, secrets: Secrets, company_id: str) -> Readers:
    """Return how the broker sees a company's workers.

    Raises:
        TransientError: when the broker does not answer.
        ConfigurationError: when it refuses us.
    """
    groups = [group(settings, company_id) for group in (ingest_group, correlate_group)]
    options = client_options(settings, secrets)
    facts = TopicPartition(settings.topic(FACTS), partition_of(company_id, settings.fact_partitions))
    try:
        admin = KafkaAdminClient(**options, bootstrap_timeout_ms=_PATIENCE_MS)
        try:
            states = {found["group_id"]: found["group_state"] for found in admin.list_groups()}
            committed = _committed(admin, groups[0]) if groups[0] in states else {}
            workers = [_worker_count(admin, group, states.get(group, _NOBODY)) for group in groups]
        finally:
            admin.close()
        consumer = KafkaConsumer(**options, bootstrap_timeout_ms=_PATIENCE_MS, metrics_enabled=False)
        try:
            places = [
                TopicPartition(settings.topic(name), partition)
                for name in RAW_TOPICS
                for partition in consumer.partitions_for_topic(settings.topic(name)) or ()
            ]
            ends = consumer.end_offsets([*places, facts])
            begins = consumer.beginning_offsets(places)
        finally:
            consumer.close()
    except KafkaError as error:
        raise explain(error, settings, secrets) from None
    lags = (
        Lag(
            "ingest",
            place.topic.removeprefix(settings.prefix),
            place.partition,
            max(committed.get(place, 0), begins[place]),
            ends[place],
        )
        for place in places
    )
    return Readers(tuple(lags), workers[0], workers[1], ends[facts])


def _worker_count(admin: KafkaAdminClient, group: str, state: str) -> int:
    if state in (_NOBODY, "Dead"):
        return 0
    try:
        return len(admin.describe_groups([group])[group]["members"])
    except ValueError:  # The embedded broker describes groups in a way that the client cannot read.
        return 1


def _committed(admin: KafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    offsets = admin.list_group_offsets({group: None})[group]
    return {place: found.offset for place, found in offsets.items() if found.offset >= 0}
