"""Is the live pipeline well, and the set-up around it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from commands.application import command
from commands.arguments import LISTEN, AnyDatabase, Bootstrap, KafkaConfig, Shapes
from commands.company import Company, company_of, kafka_here, quiet_kafka, utc_now
from commands.output import Shape, failure, say, show, write_json
from dashboard import terminal
from pipeline.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from pipeline.fact_key import FactKey
    from pipeline.findings import Finding


@command
def status(
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    url: Annotated[str, typer.Option(envvar="BYPASSFLOW_URL", help="Where the sink answers.")] = f"http://{LISTEN}",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all that was published stands in the store.")
    ] = False,
    patience: Annotated[str, typer.Option(metavar="DURATION", help="How long to wait at most.")] = "10min",
    format: Shapes = Shape.TABLE,
) -> None:
    """Say how the live pipeline is doing.

    Lag per agent and partition, how far event time is, what the sink holds. Ends with 1 when something is wrong.
    """
    import time

    from agents.lag import readers
    from agents.topics import check_topics
    from dashboard.progress import progress, progress_table
    from schemas.settings_values import parse_duration

    try:
        deadline = time.monotonic() + parse_duration(patience).total_seconds()
    except ValueError as error:
        raise ConfigurationError(f"--patience {patience!r} is none that can be read; expected {error}") from None
    settings, credentials = kafka_here(config, bootstrap)
    company_id = company_of([Path()], config).configuration.company.id
    topic_problems = check_topics(settings, credentials)
    before = None
    while True:
        try:
            found = progress(readers(settings, credentials, company_id), sink_status(url), topic_problems)
        except TransientError:
            # A broker that has just started does not know its groups yet.
            if not wait or time.monotonic() > deadline:
                raise
            time.sleep(1)
            continue
        # The embedded broker may tell of an end that is none: twice the same is the end.
        if (found.is_done and found.lags == before) or not wait or time.monotonic() > deadline:
            break
        before = found.lags
        time.sleep(1)
    if format is Shape.JSON:
        write_json(found.row())
    else:
        show(progress_table(found))
    if wait and not found.is_done:
        raise failure(f"{found.behind:,} messages are still to be read after {patience}; see above")
    for problem in found.problems:
        say(problem)
    if found.problems:
        raise typer.Exit(1)


@command
def doctor(
    db: AnyDatabase = None,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    url: Annotated[str, typer.Option(envvar="BYPASSFLOW_URL", help="Where the sink answers.")] = f"http://{LISTEN}",
    format: Shapes = Shape.TABLE,
) -> None:
    """Say what is wrong with a set-up, and the remedy.

    Looks at the installation, the configuration, its secrets, the store and its disk, and, where the configuration or
    --bootstrap names a broker, at that and its topics. Changes nothing. Ends with 1 when something is in the
    way.
    """
    from pipeline.findings import is_failed

    findings = _examined(db, config, bootstrap, lambda: sink_status(url) is not None)
    if format is Shape.JSON:
        write_json([asdict(finding) for finding in findings])
    else:
        show(terminal.finding_table(findings))
    if is_failed(findings):
        raise failure("something is in the way; see above")


def _examined(
    db: Path | None, config: Path | None, bootstrap: str | None, is_served: Callable[[], bool]
) -> list[Finding]:
    from agents.examination import cluster, installation, secrets
    from pipeline.findings import of_error, ok
    from pipeline.keys import fingerprint
    from schemas.kafka import with_bootstrap
    from sinks import examination

    findings = installation.examine(installation.installation(Path(__file__).resolve().parents[1]))
    try:
        company = company_of([Path()], config)
        settings = company.configuration
        kafka = settings.kafka.beside(str(company.base))
        kafka = kafka if bootstrap is None else with_bootstrap(kafka, bootstrap)
    except ConfigurationError as error:
        return [*findings, *of_error("configuration", str(config or Path().absolute()), error)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bootstrap") from None
    is_live = bootstrap is not None or "kafka" in settings.model_fields_set
    around = examination.Surroundings(
        settings.company.id,
        ZoneInfo(settings.company.timezone),
        company.key_path,
        fingerprint,
        is_live,
        is_served,
        utc_now,
    )
    findings.append(ok("configuration", str(company.base), "can be read" if company.text else "none; the defaults"))
    findings += secrets.examine(settings, company.base, os.environ)
    findings += examination.examine_key(around)
    findings += examination.examine_folder(around, company.base, "configuration, spool and receivers")
    if db is not None:
        findings += examination.examine_store(around, db)
    if is_live:
        quiet_kafka()
        return [*findings, *cluster.examine(kafka, os.environ, utc_now, settings.company.id, _fact_key(company))]
    return [*findings, ok("broker", str(company.base), "no [kafka] in the configuration; not looked at")]


def _fact_key(company: Company) -> FactKey | None:
    """Return the company's key; None without one that can be read, which is found elsewhere."""
    from pipeline.fact_key import FactKey
    from sinks.keyfile import load_key

    try:
        return FactKey(load_key(company.key_path))
    except (FileNotFoundError, ConfigurationError):
        return None


def sink_status(url: str) -> dict[str, Any] | None:
    """Return what a sink says of itself; None when nobody answers."""
    from sinks.remote import RemoteAnswers

    try:
        with RemoteAnswers(url) as asked:
            return asked.status()
    except TransientError:
        return None
