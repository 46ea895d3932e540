"""Does the broker let us in, are the topics as they are asked for, and does its clock agree with ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from agents.access import read_secrets
from agents.log import KafkaLog
from agents.probe import probe
from agents.topics import check_topics
from pipeline.errors import BypassflowError
from pipeline.findings import Finding, latest, of_error, of_sentence, ok
from schemas.kafka import KafkaSettings, Secrets
from schemas.log import Log

_CLOCK: Final = "keep the broker's and this machine's clock by a time server (timedatectl shows whether this one is)"


def examine(settings: KafkaSettings, environment: Mapping[str, str], now: Callable[[], datetime]) -> list[Finding]:
    """Return what is to be said of a cluster. Names of files in the settings are whole."""
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


def _topics(settings: KafkaSettings, secrets: Secrets) -> Iterator[Finding]:
    place = f"{settings.prefix}*"
    problems = [of_sentence("topics", place, sentence) for sentence in check_topics(settings, secrets)]
    yield from problems or [ok("topics", place, f"{len(settings.topics())} are as the configuration asks for")]
