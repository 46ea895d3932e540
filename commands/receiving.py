"""Receivers: events as they happen."""

from __future__ import annotations

import os
import secrets
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from commands.application import process
from commands.arguments import Bootstrap, KafkaConfig, Watching
from commands.company import company_of, kafka_of, utc_now
from commands.output import say
from commands.reloading import reloading

if TYPE_CHECKING:
    from agents.receivers.outbox import Outbox
    from pipeline.identifiers import Identifiers


@process
def receive(config: KafkaConfig = None, bootstrap: Bootstrap = None, metrics: Watching = None) -> None:
    """Take in events as they happen.

    Runs all receivers of the configuration, which follow files, look into mailboxes, and listen for webhooks, mail and
    an Asterisk, and publishes what they take in to the raw topics. A sender is told that a record is taken when the
    broker keeps it. Stops at SIGTERM.
    """
    from agents.log import KafkaLog
    from agents.receivers.assembly import Assembly
    from agents.receivers.positions import Positions
    from agents.receivers.reading import Reader
    from agents.receivers.running import run
    from agents.topics import require_topics
    from agents.watched import watch_receivers
    from pipeline.identifiers import Identifiers
    from pipeline.received import Translator
    from schemas.topics import RAW_TOPICS
    from sinks.running import address

    company = company_of([Path()], config)
    settings = company.configuration
    kafka, credentials = kafka_of(company, bootstrap)
    assembly = Assembly(settings, company.base, os.environ, say)

    def clear_identifiers() -> Identifiers:
        # Raw topics carry clear identifiers and ingest makes the tokens: the company's key is not needed here.
        return Identifiers(
            secrets.token_bytes(32), settings.company.region, settings.company.outside_prefixes, clear=True
        )

    def watch(outbox: Outbox) -> AbstractContextManager[object]:
        return nullcontext() if watched_at is None else watch_receivers(outbox, kafka, credentials, watched_at, say)

    watched_at = None if metrics is None else address(metrics)
    clear_identifiers()
    require_topics(kafka, credentials, RAW_TOPICS)
    with (
        Positions(company.base / settings.receive.folder) as positions,
        reloading(company, lambda: company_of([Path()], config)),
    ):
        run(
            lambda outbox, reader: assembly.make(positions, outbox, reader),
            KafkaLog(kafka, credentials, patience=timedelta(seconds=5)),
            kafka.partitions,
            settings.receive,
            lambda: Reader(Translator(clear_identifiers), utc_now),
            say,
            watch,
        )
