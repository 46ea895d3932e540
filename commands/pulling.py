"""The CRM's own database."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.application import app, guarded
from commands.arguments import Bootstrap, KafkaConfig, is_typed
from commands.company import Company, company_of, identifiers_of, kafka_of, key_of, last_look, run_record, utc_now
from commands.output import failure, say, standard_error
from commands.replaying import show_run
from commands.stopping import stop_at_signals
from dashboard.reading import Reading

if TYPE_CHECKING:
    from agents.crm_database.fitting import Fit
    from agents.crm_database.ledger import Ledger
    from agents.crm_database.pulling import Target

    MakeTarget = Callable[[Ledger, Fit], Target]


crm = typer.Typer(no_args_is_help=True, help="Read the CRM's own database.")


app.add_typer(crm, name="crm")


@crm.command("pull")
@guarded
def pull_crm(
    context: typer.Context,
    source: Annotated[str, typer.Option(metavar="NAME", help="Source of a crm_database in the configuration.")],
    db: Annotated[
        Path | None, typer.Option("--db", envvar="BYPASSFLOW_DB", help="Read into this store, a DuckDB file.")
    ] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="Publish to the raw topics instead.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Read on until stopped, see `poll`.")] = False,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Read contacts, accounts, activities and tickets out of the CRM's database.

    The first time everything, then what is new or has changed; a row that is gone is taken back. How far the feed
    reaches is said when a read is complete. May be stopped at any moment: the same command goes on there.
    """

    from agents.crm_database.running import database_of, ledger_path, opened, run
    from pipeline.identifiers import Identifiers

    if kafka and is_typed(context, "db"):
        raise typer.BadParameter("give --db or --kafka, not both")
    if not kafka and db is None:
        raise typer.BadParameter("one of --db and --kafka is needed")
    if bootstrap is not None and not kafka and is_typed(context, "bootstrap"):
        raise typer.BadParameter("--bootstrap goes with --kafka")
    company = company_of([Path()], config)
    settings = database_of(company.configuration, source)
    stop = stop_at_signals()
    region, prefixes = company.configuration.company.region, company.configuration.company.outside_prefixes
    unkept = Identifiers(secrets.token_bytes(32), region, prefixes)
    prefix = company.configuration.kafka.prefix if kafka else None
    path = ledger_path(company.base, settings, prefix)
    with (
        (_pulled_topics(company, bootstrap, source) if kafka else _pulled_store(company, db or Path(), source)) as make,
        Reading(standard_error(), 0) as reading,
        opened(
            settings, company.base, os.environ, path, make, unkept, keeps_values=not kafka, now=utc_now, stop=stop,
            read=lambda count: reading.advance(0, count),
        ) as pull,
    ):  # fmt: skip
        run(pull, follow, stop, say)
    if stop.is_set() and not follow:
        raise failure("interrupted; the same command goes on there")
    if not kafka and not follow and db is not None:
        show_run(db)


@contextmanager
def _pulled_topics(company: Company, bootstrap: str | None, source: str) -> Iterator[MakeTarget]:
    """Give what makes the target of a pull into topics."""
    from agents.crm_database.delivering import Topics
    from agents.log import KafkaLog
    from agents.topics import require_topics
    from schemas.topics import RAW_TOPICS

    settings, credentials = kafka_of(company, bootstrap)
    require_topics(settings, credentials, RAW_TOPICS)
    with KafkaLog(settings, credentials) as log:
        yield lambda ledger, fit: Topics(ledger, log, source, settings.partitions)


@contextmanager
def _pulled_store(company: Company, db: Path, source: str) -> Iterator[MakeTarget]:
    """Give what makes the target of a pull into a store."""
    from agents.crm_database.delivering import CARRIES, FORMAT, Kept, Stores
    from pipeline import configuration as configurations
    from pipeline.engine import Engine
    from pipeline.replay import fold_all
    from pipeline.sources.registry import ReadContext
    from sinks.build import InputInfo, build

    key = key_of(company)
    identifiers = identifiers_of(company, key)
    rules = configurations.engine_settings(company.configuration, identifiers)

    def make(kept: Sequence[Kept]) -> None:
        started_at = utc_now()
        engine = Engine(rules)
        build(
            db,
            [(InputInfo(source, each.file, FORMAT, each.byte_count, CARRIES), each.batches) for each in kept],
            lambda store: fold_all(store, engine),
            run_record(company, rules, key, started_at),
            now=lambda: utc_now().replace(tzinfo=None),
            last=last_look(company, key, db),
        )

    def target(ledger: Ledger, fit: Fit) -> Stores:
        def context(file: str) -> ReadContext:
            return ReadContext(source, file, fit.zone, identifiers, utc_now(), zone_is_given=True)

        return Stores(ledger, [fitted.table.name for fitted in fit.tables], context, make)

    yield target
