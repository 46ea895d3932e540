"""The processes of the live pipeline but the sink: one agent, or all of them on one machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import logs
from commands.application import process
from commands.arguments import LISTEN, Bootstrap, KafkaConfig, Watching
from commands.company import (
    Company,
    company_of,
    existing_key,
    forgotten_of,
    identifiers_of,
    kafka_here,
    key_of,
    utc_now,
)
from commands.output import failure, say
from commands.reloading import reloading
from commands.traces import tracer_of

if TYPE_CHECKING:
    from agents.processes import Child
    from agents.watched import WorkerWatch
    from pipeline.identifiers import Identifiers
    from schemas.kafka import KafkaSettings
    from schemas.log import Log


class Role(StrEnum):
    """Which agent a worker runs."""

    INGEST = "ingest"
    CORRELATE = "correlate"


Name = Annotated[
    str | None,
    typer.Option(help="Name of this worker, the same over restarts: its coming back then moves no partitions."),
]


@process
def worker(
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    only: Annotated[Role | None, typer.Option(help="Only this agent; default: both, in a process each.")] = None,
    name: Name = None,
    metrics: Watching = None,
) -> None:
    """Run the agents of the live pipeline.

    Ingest turns raw messages into facts, correlate folds facts into outcomes. Any number of workers may run; a worker
    may be killed at any time. Without --only, ingest answers at the port of --metrics and correlate at the next one.
    """
    if only is None:
        arguments = _live_arguments(config, bootstrap)
        _supervise(
            [
                _worker_child(role, [*arguments, *_watching(metrics, place)], name and f"{name}-{role}")
                for place, role in reversed(list(enumerate(Role)))
            ]
        )
        return
    logs.rename(only)
    from agents.access import faust_options
    from agents.lag import correlate_group, ingest_group
    from agents.log import KafkaLog
    from agents.topics import require_topics

    settings, credentials = kafka_here(config, bootstrap)
    company = company_of([Path()], config)
    identifiers = identifiers_of(company, existing_key(company))
    require_topics(settings, credentials)
    company_id = company.configuration.company.id
    log = KafkaLog(settings, credentials)
    group = ingest_group if only is Role.INGEST else correlate_group
    from agents.app import LARGE_FETCH, SMALL_FETCH, make_app

    fetch = SMALL_FETCH if only is Role.INGEST else LARGE_FETCH
    agent = make_app(group(settings, company_id), faust_options(settings, credentials), name, fetch)
    run = _run_ingest if only is Role.INGEST else _run_correlate
    from agents.watched import WorkerWatch
    from sinks.running import address

    watch = WorkerWatch(agent, settings, credentials, None if metrics is None else address(metrics), say)
    # Nothing of the configuration is safe to take while facts are made and folded by it; what waits is named.
    with reloading(company, lambda: company_of([Path()], config)):
        run(agent, company, identifiers, log, settings, watch)


def _watching(listen: str | None, place: int) -> list[str]:
    """Return the option for the worker at this place among several: each answers at a port of its own."""
    from sinks.running import address

    if listen is None:
        return []
    host, port = address(listen)
    return ["--metrics", f"{f'[{host}]' if ':' in host else host}:{port + place if port else 0}"]


def _run_ingest(
    agent: Any, company: Company, identifiers: Identifiers, log: Log, settings: KafkaSettings, watch: WorkerWatch
) -> None:
    from agents.app import run
    from agents.figures import IngestFigures
    from agents.ingest import Ingest, add_ingest
    from agents.processes import give_way
    from pipeline.ceiling import Ceiling
    from pipeline.intake import Intake
    from schemas.topics import RAW_TOPICS

    key = existing_key(company)
    ingest = Ingest(
        Intake(identifiers, company.configuration, forgotten_of(company, key).blanked),
        log,
        company.configuration.company.id,
        settings.fact_partitions,
        Ceiling(),
        utc_now,
        IngestFigures(watch.registry),
        key,
        tracer_of(Role.INGEST, os.environ, say),
    )
    ingest.begin()
    add_ingest(agent, ingest, [settings.topic(name) for name in RAW_TOPICS], settings.prefix)
    watch.begin()
    give_way()
    run(agent)


def _run_correlate(
    agent: Any, company: Company, identifiers: Identifiers, log: Log, settings: KafkaSettings, watch: WorkerWatch
) -> None:
    from agents.app import run
    from agents.correlate import Correlate, add_correlate
    from agents.figures import CorrelateFigures
    from pipeline.configuration import engine_settings
    from pipeline.correlation import Correlator
    from pipeline.fact_key import FactKey
    from schemas.topics import FACTS, partition_of

    rules = engine_settings(company.configuration, identifiers)
    partition = partition_of(rules.company_id, settings.fact_partitions)
    key = existing_key(company)
    clean, fact_key = forgotten_of(company, key).blanked, FactKey(key)
    correlate = Correlate(
        lambda: Correlator(rules, partition, log, clean=clean, key=fact_key),
        say,
        CorrelateFigures(watch.registry),
        tracer_of(Role.CORRELATE, os.environ, say),
    )
    desk = add_correlate(agent, correlate, settings.topic(FACTS), partition)
    watch.begin(lambda: correlate.busy_with)
    run(agent, lambda: desk.do(correlate.finish))


@process
def up(
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    data: Annotated[Path, typer.Option(help="Folder for the broker's and the store's files.")] = Path(
        "bypassflow-live"
    ),
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the sink answers.")] = LISTEN,
) -> None:
    """Run the whole live pipeline on this machine.

    A broker, unless one is named, the topics, the agents and the sink, with one log; Ctrl-C ends all of them in order.
    For a laptop and a first try: on servers, let the service manager run each process.
    """
    import contextlib

    from agents.broker import start_broker
    from agents.topics import create_topics

    key_of(company_of([Path()], config))
    data.mkdir(parents=True, exist_ok=True)
    address = data / "bootstrap"
    address.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(address.unlink, missing_ok=True)
        if bootstrap is None:
            broker = stack.enter_context(start_broker(data / "broker"))
            bootstrap = broker.bootstrap
            say(f"broker     {broker.kind} at {bootstrap}")
        create_topics(*kafka_here(config, bootstrap))
        arguments = _live_arguments(config, bootstrap)
        sink = ["sink", "--db", str(data / "bypassflow.duckdb"), "--listen", listen, *arguments]
        children = [_child("sink", sink), *(_worker_child(role, arguments, f"up-{role}") for role in reversed(Role))]
        _supervise(children, lambda: address.write_text(f"{bootstrap}\n", encoding="utf-8"))


def _live_arguments(config: Path | None, bootstrap: str | None) -> list[str]:
    """Return the options that a child process needs to find the same company and broker."""
    chosen = ["--config", str(config)] if config is not None else []
    return [*chosen, *(["--bootstrap", bootstrap] if bootstrap is not None else [])]


def _worker_child(role: Role, arguments: Sequence[str], name: str | None) -> Child:
    named = ["--name", name] if name else []
    return _child(role, ["worker", "--only", role, *arguments, *named])


def _child(name: str, arguments: Sequence[str]) -> Child:
    from agents.processes import Child

    return Child(name, [sys.executable, "-m", "cli", *arguments], logs.inherited())


def _supervise(children: Sequence[Child], started: Callable[[], object] = lambda: None) -> None:
    """Keep children running until this process is told to end; `started` is called when all of them are."""
    import signal
    import time

    from agents.processes import Failed, Supervisor

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    supervisor = Supervisor(children, logs.relay)
    try:
        supervisor.start()
        started()
        while True:
            supervisor.watch()
            time.sleep(0.2)
    except Failed as failed:
        raise failure(f"{failed}; see above", failed.code) from None
    except KeyboardInterrupt:
        say("ending")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.stop()
        say("all processes have ended")
