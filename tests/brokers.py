"""Brokers for the tests: one Apache Kafka for a test process, or the one that BYPASSFLOW_BOOTSTRAP names."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from agents.broker import Broker, start_broker
from agents.topics import create_topics
from pipeline.errors import BypassflowError
from schemas.kafka import KafkaSettings, client_options

# Compaction and expiry within seconds; a broker of a company would do nothing else.
EAGER = {
    "log.cleaner.backoff.ms": "200",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "100",
    "log.initial.task.delay.ms": "500",
}


@dataclass(frozen=True)
class Kafka:
    """A broker that answers. `broker` is None when it is not ours to end."""

    bootstrap: str
    broker: Broker | None = None

    def settings(self, **values: object) -> KafkaSettings:
        """Return settings with a prefix that nobody else has."""
        prefix = f"t{uuid.uuid4().hex[:12]}."
        return KafkaSettings.model_validate({"bootstrap": self.bootstrap, "prefix": prefix, **values})


@contextlib.contextmanager
def running_kafka(folder: Path) -> Iterator[Kafka]:
    """Give a broker; skip the tests on a machine that can have none, but never in CI."""
    named = os.environ.get("BYPASSFLOW_BOOTSTRAP")
    if named:
        yield Kafka(named)
        return
    try:
        broker = start_broker(folder, kind="kafka", options=EAGER)
    except BypassflowError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no broker: {error}")
    with broker:
        yield Kafka(broker.bootstrap, broker)


def make_topics(settings: KafkaSettings, *names: str) -> KafkaSettings:
    """Make some topics of the settings, all without names; and return the settings."""
    create_topics(settings, only=names or None)
    return settings


@contextlib.contextmanager
def admin(settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    """Give a client for what only a test does to a cluster."""
    client = KafkaAdminClient(**client_options(settings))
    try:
        yield client
    finally:
        client.close()


def delete_topics(settings: KafkaSettings) -> None:
    """Remove every topic with the prefix: a broker that others use is left as it was."""
    with admin(settings) as client:
        names = [name for name in client.list_topics() if name.startswith(settings.prefix)]
        if names:
            client.delete_topics(names)
