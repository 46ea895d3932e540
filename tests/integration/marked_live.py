"""The marked company through the live path, in one process over a log in memory: topics, workers and sink."""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agents.correlate import Correlate
from agents.dead_letters import DeadLetters
from agents.figures import CorrelateFigures, IngestFigures
from agents.ingest import Ingest
from commands.logs import LogFormat, LogHandler, tell
from commands.traces import Traced, tracer_of
from pipeline.ceiling import Ceiling
from pipeline.configuration import FILE_NAME, engine_settings, load
from pipeline.correlation import Correlator
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from schemas.log import Draft
from schemas.topics import CHECKPOINTS, DEAD_LETTERS, FACTS, OUTCOMES, RAW_TOPICS
from schemas.tracing import Tracer
from sinks.keyfile import load_key
from sinks.live import open_live
from sinks.snapshots import write_snapshot
from sinks.store import RunRecord
from tests.collectors import collecting
from tests.integration.arrivals import records_of, send
from tests.integration.marked import CHAT, company
from tests.memory_log import MemoryLog

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
OUR_TOPICS = (FACTS, OUTCOMES, DEAD_LETTERS, CHECKPOINTS)
# What other people's systems send may be anything: an array, words, half a record.
SENT = (
    json.dumps([{**CHAT[0], "started_at": "2025-03-06T10:00:00+02:00"}, CHAT[3], {"from": "050 993 4567"}]),
    "Vexley Grimbourn <vexley@gromwell-estate.fi>",
    '{"kind": "call", "customer": "+358 50 993 4567", "vexley@gromwell-estate.fi": "Grimbourn"}',
    '{"kind": "Vexley Grimbourn", "note": "Fizzwarble"}',
    '{"kind": "Grimbourn", "channel": "Vexley Grimbourn", "owner_id": "vexley@gromwell-estate.fi"}',
    '{"kind": "message", "note": "Vexley Grimbourn, 050 993 4567", "subject": "Fizzwar',
    '{"kind": "reading", "fact": "observation", "row": {"raw_id": 5, "from": "0509934567", "Vexley": "Grimbourn"}}',
)


@dataclass
class LiveRun:
    """What the live path left behind; `said` are the sentences that its processes said."""

    folder: Path
    log: MemoryLog
    seal: Seal
    company_id: str
    said: list[str] = field(default_factory=list)
    logs: dict[LogFormat, str] = field(default_factory=dict)
    traces: list[bytes] = field(default_factory=list)
    spans: set[str] = field(default_factory=set)

    def tell(self, sentence: str) -> None:
        """Keep a sentence, and log it as processes do."""
        self.said.append(sentence)
        tell(sentence)

    @property
    def db(self) -> Path:
        return self.folder / "live.duckdb"

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.log, self.company_id, 1, self.seal)

    def messages(self, topic: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield each message of a topic: its value, and its key and headers."""
        for entry in self.log.read(topic, 0, 0, self.log.end(topic, 0)):
            yield entry.value or b"", b"\n".join([entry.key or b"", *entry.headers.values()])


@contextmanager
def _listening(run: LiveRun) -> Iterator[Tracer]:
    """Keep meanwhile what is logged, whoever logs it and however little it matters, in both forms, and the traces."""
    root = logging.getLogger()
    streams = {shape: io.StringIO() for shape in LogFormat}
    handlers = [LogHandler(shape, "marked", stream) for shape, stream in streams.items()]
    level = root.level
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        root.addHandler(handler)
    try:
        with collecting() as collector, pytest.MonkeyPatch.context() as variables:
            for name, value in collector.environment.items():
                variables.setenv(name, value)
            tracer = tracer_of("marked", collector.environment, run.tell)
            assert isinstance(tracer, Traced)
            yield tracer
            tracer.finish()
            run.traces = list(collector.bodies)
            run.spans = {span.name for span in collector.spans()}
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
    run.logs = {shape: stream.getvalue() for shape, stream in streams.items()}


def live_run(folder: Path, privacy: str = "", sent: Sequence[str] = SENT) -> LiveRun:
    """Send the marked company's records through the live path; `privacy` is appended to its configuration.

    `sent` are further messages of other people's systems. The company has its key already.
    """
    directory = Path(shutil.copytree(company(), folder / "company"))
    with (directory / FILE_NAME).open("a", encoding="utf-8") as settings:
        settings.write(privacy)
    configuration = load((directory / FILE_NAME).read_text(encoding="utf-8"), FILE_NAME)
    owner, key = configuration.company, load_key(directory / configuration.privacy.key_file)
    is_clear = configuration.privacy.identifiers == "clear"
    identifiers = Identifiers(key, owner.region, owner.outside_prefixes, clear=is_clear)
    rules = engine_settings(configuration, identifiers)
    log = MemoryLog(dict.fromkeys((*RAW_TOPICS, *OUR_TOPICS), 1))
    run = LiveRun(folder, log, Seal(key), owner.id)
    with _listening(run) as tracer:
        send(log, records_of(directory), 1)
        log.append([Draft("raw.messages", 0, text.encode()) for text in sent])
        intake = Intake(identifiers, configuration)
        registry = CollectorRegistry()
        figures = IngestFigures(registry)
        ingest = Ingest(intake, log, owner.id, 1, Ceiling(most_share=1.0), lambda: READ_AT, figures, key, tracer)
        for topic in RAW_TOPICS:
            ingest.take([RawMessage(topic, 0, entry) for entry in log.read(topic, 0, 0, log.end(topic, 0))])
        correlate = Correlate(lambda: Correlator(rules, 0, log), run.tell, CorrelateFigures(registry), tracer)
        correlate.fold(list(log.read(FACTS, 0, 0, log.end(FACTS, 0))), lambda: True)
        correlate.finish()
        run.said.append(generate_latest(registry).decode())
        _sink(run, rules.model_dump_json(), owner.timezone, tracer)
    return run


def _sink(run: LiveRun, rules: str, timezone: str, tracer: Tracer) -> None:
    """Write the store and a snapshot of it."""
    at = READ_AT.replace(tzinfo=None)
    record = RunRecord(at, at, "0", "digest", "digest", run.company_id, timezone, rules, None)
    read = {topic: list(run.log.read(topic, 0, 0, run.log.end(topic, 0))) for topic in OUR_TOPICS}
    with open_live(run.db, record, 0, tell=run.tell, tracer=tracer) as live:
        live.apply(read[FACTS], read[OUTCOMES], read[DEAD_LETTERS])
        live.settle()
        write_snapshot(live.store, run.folder / "snapshots", at)
