"""Does the broker let us in, are topics as they are asked for, are facts of our key, do the clocks agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from agents.access import read_secrets
from agents.log import KafkaLog
from agents.probe import probe
from agents.topics import check_topics
from pipeline.errors import BypassflowError, ConfigurationError
from pipeline.fact_key import FactKey
from pipeline.findings import Finding, latest, of_error, of_sentence, ok
from schemas.kafka import KafkaSettings, Secrets
from schemas.log import Log
from schemas.topics import FACTS, partition_of

_CLOCK: Final = "keep the broker's and this machine's clock by a time server (timedatectl shows whether this one is)"


def examine(
    settings: KafkaSettings,
    environment: Mapping[str, str],
    now: Callable[[], datetime],
    company_id: str,
    key: FactKey | None,
) -> list[Finding]:
    """Return what is to be said of a cluster. Names of files in the settings are whole; `key` None: there is none."""
    place = ", ".join(settings.bootstrap)
    try:
        secrets = read_secrets(settings, environment)
        refusal = probe(settings, secrets)
        if refusal is not None:
            raise refusal
        findings = [ok("broker", place, f"lets us in by {settings.security_protocol}"), *_topics(settings, secrets)]
        if not any(finding.remedy for finding in findings):
            with KafkaLog(settings, secrets) as log:
                findings += newest(log, settings, now())
                if key is not None:
                    findings += made_with(log, settings, company_id, key)
    except BypassflowError as problem:
        return of_error("broker", place, problem)
    return findings


def newest(log: Log, settings: KafkaSettings, now: datetime) -> Iterator[Finding]:
    """Yield whether the broker, which stamps every message by its own clock, wrote in what is the future to us."""
    stamps = []
    for topic in settings.topics():
        for partition in range(topic.partitions):
            end = log.end(topic.name, partition)
            if end > log.begin(topic.name, partition):
                stamps += [entry.written_at_ms for entry in log.read(topic.name, partition, end - 1, end)]
    if stamps:
        at = datetime.fromtimestamp(max(stamps) / 1000, UTC)
        yield latest("clocks", f"the broker's, by its messages in {settings.prefix}*", at, now, _CLOCK)


def made_with(log: Log, settings: KafkaSettings, company_id: str, key: FactKey) -> list[Finding]:
    """Return whether the newest facts of a company were made with its key."""
    place = settings.topic(FACTS)
    try:
        key.require_newest(log, company_id, partition_of(company_id, settings.fact_partitions))
    except ConfigurationError as problem:
        return of_error("key", place, problem)
    return [ok("key", place, "its newest facts are of no other key")]


def _topics(settings: KafkaSettings, secrets: Secrets) -> Iterator[Finding]:
    place = f"{settings.prefix}*"
    problems = [of_sentence("topics", place, sentence) for sentence in check_topics(settings, secrets)]
    yield from problems or [ok("topics", place, f"{len(settings.topics())} are as the configuration asks for")]
