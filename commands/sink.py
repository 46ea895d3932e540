"""The sink: the live log into a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.application import process
from commands.arguments import AnnotationsFile, Bootstrap, Database, KafkaConfig, Watching
from commands.company import company_of, existing_key, forgotten_of, identifiers_of, kafka_here, run_record, utc_now
from commands.output import say
from commands.reloading import Take, reloading
from commands.serving import site_over
from commands.stopping import stop_at_signals
from commands.traces import tracer_of
from schemas.announcements import Announcement


@process
def sink(
    db: Database,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where questions are answered, see --url.")] = (
        "127.0.0.1:8766"
    ),
    snapshot_dir: Annotated[
        Path | None, typer.Option(help="Folder for snapshots of the store; DIR/current leads to the newest.")
    ] = None,
    snapshot_every: Annotated[str, typer.Option(metavar="TIME", help="Time between two snapshots.")] = "10min",
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="How much DuckDB may hold; the process takes 200 to 400 MB more.")
    ] = "1GB",
    served_at: Annotated[
        str | None, typer.Option("--serve", metavar="HOST:PORT", help="Serve the API here too, as `serve` does.")
    ] = None,
    annotations: AnnotationsFile = None,
    metrics: Watching = None,
) -> None:
    """Follow the live log into a store.

    Makes the store when there is none, and goes on where it stands otherwise. Answers report, interactions, explain,
    audit and notify with --url meanwhile, for nobody else can open the file. Stops at SIGTERM.
    """

    from agents.log import KafkaLog
    from agents.topics import require_topics
    from agents.watched import Watched
    from pipeline.configuration import engine_settings, group_rules
    from pipeline.fact_key import FactKey
    from schemas.topics import partition_of
    from sinks.asking import Asking
    from sinks.consumer import problem_of
    from sinks.figures import sink_registry
    from sinks.live import TOPICS, open_live
    from sinks.running import address, memory_limit, run, snapshot_plan

    tracer = tracer_of("sink", os.environ, say)
    plan = snapshot_plan(snapshot_dir, snapshot_every)
    limit = memory_limit(memory)
    settings, credentials = kafka_here(config, bootstrap)
    company = company_of([Path()], config)
    key = existing_key(company)
    fact_key = FactKey(key)
    rules = engine_settings(company.configuration, identifiers_of(company, key))
    record = run_record(company, rules, key, utc_now())
    require_topics(settings, credentials, TOPICS)
    partition = partition_of(rules.company_id, settings.fact_partitions)
    stop = stop_at_signals()
    with ExitStack() as opened:
        log = opened.enter_context(KafkaLog(settings, credentials))
        # Before a store is made that says it is of this key.
        fact_key.require_newest(log, rules.company_id, partition)
        forgotten = forgotten_of(company, key)
        live = opened.enter_context(
            open_live(
                db, record, partition, memory_limit=limit, tell=say, forgotten=forgotten, tracer=tracer, key=fact_key
            )
        )
        live.store.groups = group_rules(company.configuration)
        takes: dict[str, Take] = {}

        @contextmanager
        def site(status: Callable[[], dict[str, Any]]) -> Iterator[None]:
            with ExitStack() as parts:
                if metrics is not None:
                    asking = parts.enter_context(closing(Asking(live.store)))
                    registry = sink_registry(asking, status)
                    watched = Watched(registry, lambda: problem_of(status()), *address(metrics))
                    parts.enter_context(watched)
                    say(Announcement(f"figures at {watched.url}/metrics", "figures", url=f"{watched.url}/metrics"))
                if served_at is not None:
                    store = live.store
                    served, takes["access"] = parts.enter_context(
                        site_over(Asking(store), store.path, served_at, annotations, company, status, tracer)
                    )
                    say(f"the pages and the API are served at {served.url}")
                parts.enter_context(reloading(company, lambda: company_of([Path()], config), takes))
                yield

        run(
            live, log, partition, stop, listen=listen, plan=plan, now=lambda: utc_now().replace(tzinfo=None), tell=say,
            beside=site, tracer=tracer,
        )  # fmt: skip
