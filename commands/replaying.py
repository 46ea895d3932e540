"""Historical files into a store, or into topics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.application import command
from commands.arguments import Config, Paths, is_typed
from commands.company import (
    company_of,
    digest,
    identifiers_of,
    inputs_of,
    kafka_of,
    key_of,
    last_look,
    run_record,
    utc_now,
)
from commands.output import failure, say, show, standard_error
from dashboard import terminal
from dashboard.reading import Reading
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from sinks.store import Store


@command
def replay(
    context: typer.Context,
    paths: Paths,
    db: Annotated[
        Path | None, typer.Option("--db", envvar="BYPASSFLOW_DB", help="Read into this store, a DuckDB file.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Publish to the raw topics of these brokers instead.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="With --kafka: so many times as fast as it happened, such as 60x, or max.")
    ] = "max",
    resume: Annotated[
        bool, typer.Option("--resume", help="With --kafka: go on where the same replay was stopped.")
    ] = False,
    config: Config = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Go on without files that no parser recognises.")
    ] = False,
) -> None:
    """Read historical files into a store, or into topics.

    With --db, prints what was read, what became of each record, and the bypass share. The same files again change
    nothing; files of earlier runs that are not given again are kept.

    With --kafka, publishes every record to the raw topics in the order of the events.
    """
    if kafka is not None:
        if is_typed(context, "db"):
            raise typer.BadParameter("give --db or --kafka, not both")
        publish_files(paths, config, skip_unknown, kafka, speed, resume)
        return
    if db is None:
        raise typer.BadParameter("one of --db and --kafka is needed")
    if resume or is_typed(context, "speed"):
        raise typer.BadParameter("--speed and --resume go with --kafka")
    from pipeline import configuration as configurations
    from pipeline.engine import Engine
    from pipeline.replay import fold_all
    from pipeline.sources.feeding import feed
    from pipeline.summing import summed
    from sinks.build import InputInfo, Progress, build

    started_at = utc_now()
    company = company_of(paths, config)
    inputs = inputs_of(paths, company, skip_unknown)
    key = key_of(company)
    identifiers = identifiers_of(company, key)
    settings = configurations.engine_settings(company.configuration, identifiers)
    complete_through = configurations.complete_through(company.configuration)
    run = run_record(company, settings, key, started_at)
    engine = Engine(settings)
    with Reading(standard_error(), sum(item.size_bytes for item in inputs)) as reading:

        def fold(store: Store) -> None:
            fold_all(store, engine, folded=lambda done, total: reading.begin("folding", done, total))

        def tell(step: Progress) -> None:
            if step.phase == "read":
                reading.reach(step.byte_count, step.record_count)
            else:
                reading.begin({"fold": "folding", "publish": "writing"}[step.phase])

        summary = build(
            db,
            [
                (
                    InputInfo(item.source, item.file, item.parser.name, item.size_bytes, item.parser.carries),
                    feed(item, identifiers, started_at, complete_through),
                )
                for item in inputs
            ],
            fold,
            run,
            now=lambda: utc_now().replace(tzinfo=None),
            progress=tell,
            last=last_look(company, key, db),
        )
    for warning in summed(
        (read.info.source, read.info.file, warning) for read in summary.files for warning in read.warnings
    ):
        say(warning)
    if summary.kept_file_count:
        say(f"kept the facts of {summary.kept_file_count} files of earlier runs")
    show_run(db)


def show_run(db: Path) -> None:
    from sinks import measures
    from sinks.store import Store

    with Store.open(db) as store:
        (overall,) = measures.report(store)
        show(
            terminal.file_table(store.rows("FROM files ORDER BY source, file"), "What was read"),
            terminal.account_table(measures.audit(store)),
            terminal.report_table(measures.report(store, ["channel"]), ["channel"], overall),
            terminal.headline(overall),
        )


def publish_files(
    paths: Sequence[Path], config: Path | None, skip_unknown: bool, bootstrap: str, speed: str, resume: bool
) -> None:
    from agents.log import KafkaLog
    from agents.publisher import Pace, gather, parse_speed, publish
    from agents.spool import FOLDER_NAME, Origin, Spool
    from pipeline import configuration as configurations
    from pipeline.identifiers import Identifiers
    from pipeline.keys import fingerprint
    from pipeline.sources.feeding import feed

    pace = Pace(parse_speed(speed), time.monotonic, time.sleep)
    company = company_of(paths, config)
    kafka, credentials = kafka_of(company, bootstrap)
    inputs = inputs_of(paths, company, skip_unknown)
    key, settings = key_of(company), company.configuration
    # Raw topics carry clear identifiers; ingest makes the tokens.
    identifiers = Identifiers(key, settings.company.region, settings.company.outside_prefixes, clear=True)
    configurations.engine_settings(settings, identifiers)  # the company's own identifiers are told too, as in a store
    complete_through = configurations.complete_through(settings)
    stamps = [
        (item.source, item.file, item.parser.name, item.size_bytes, item.path.stat().st_mtime_ns) for item in inputs
    ]
    folder, same_inputs = company.base / FOLDER_NAME, digest(repr((stamps, company.text, fingerprint(key))).encode())
    with (
        Spool.resume(folder, same_inputs) if resume else Spool.create(folder, same_inputs) as spool,
        KafkaLog(kafka, credentials) as log,
        Reading(standard_error(), sum(item.size_bytes for item in inputs)) as reading,
    ):
        if not resume:
            feeds = (
                (Origin(item.source, item.file, item.parser.name), feed(item, identifiers, utc_now(), complete_through))
                for item in inputs
            )
            for warning in gather(spool, feeds, reading.advance):
                say(warning)
        try:
            publish(spool, log, kafka.partitions, pace, lambda done, total: reading.begin("publishing", done, total))
        except (TransientError, KeyboardInterrupt) as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            done = f"{spool.acknowledged_count:,} of {spool.record_count:,} records are published"
            raise failure(f"{reason}; {done}; the same command with --resume goes on there") from None
    say(f"published {spool.record_count:,} records to {kafka.topic('raw.*')}")
