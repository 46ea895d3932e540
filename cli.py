"""The `bypassflow` command: one function per command.

This is the only place that builds and connects things, and the only one that asks for the clock, the environment and
randomness. Data goes to standard output, everything else to standard error. Exit codes: 0 fine, 1 failure, 2 usage.

Heavy modules are imported by the commands that need them: --help and shell completion must be quick.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec
from zoneinfo import ZoneInfo

import typer
from rich.console import Console, RenderableType

from dashboard import terminal
from dashboard.reading import Reading
from pipeline.errors import BypassflowError, ConfigurationError, TransientError

if TYPE_CHECKING:
    from agents.crm_database.fitting import Fit
    from agents.crm_database.ledger import Ledger
    from agents.crm_database.pulling import Target
    from agents.dead_letters import DeadLetters
    from agents.processes import Child
    from agents.receivers.outbox import Outbox
    from agents.watched import WorkerWatch
    from dashboard.access.tokens import Tokens
    from dashboard.notifying import Deliver
    from dashboard.web import Site
    from pipeline.findings import Finding
    from pipeline.forgetting import Forgotten
    from pipeline.groups import GroupRules
    from pipeline.identifiers import Identifiers
    from pipeline.sources.discovery import Input
    from schemas.kafka import KafkaSettings, Secrets
    from schemas.log import Log
    from schemas.settings import Configuration, EngineSettings
    from sinks.annotations import Annotations
    from sinks.answers import Answers
    from sinks.asking import Asking
    from sinks.store import RunRecord, Store

    MakeTarget = Callable[[Ledger, Fit], Target]

__version__ = "0.1.0"

# Without a terminal there is no width to respect; tables are then as wide as they need.
WIDE = 200
# A table of more rows is read by nobody.
TABLE_ROWS = 50
DIMENSIONS = (
    "Dimensions, with commas: channel, line, team, function, direction, source, segment, reason, hour, weekday, day, "
    "week, month, representative."
)

app = typer.Typer(
    name="bypassflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measures the share of a company's customer interactions that leave no trace in its CRM.",
)
P = ParamSpec("P")


class Shape(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"


class ReportShape(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class RowShape(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


Paths = Annotated[list[Path], typer.Argument(help="Files and directories to read.")]
Directory = Annotated[Path, typer.Argument(help="Directory with the files.")]
Config = Annotated[
    Path | None, typer.Option(help="Configuration; default: bypassflow.toml in the given directory, if there is one.")
]
CompanyConfig = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration; default: bypassflow.toml beside the store."),
]
Shapes = Annotated[Shape, typer.Option(help="How to print it.")]
Values = Annotated[list[str] | None, typer.Option(metavar="VALUE", help="Only these; may be repeated.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="From this day or instant on, in the company's zone.")]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="Before this day or instant.")]
Database = Annotated[Path, typer.Option("--db", envvar="BYPASSFLOW_DB", help="The store, a DuckDB file.")]
StoreConfig = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; default: bypassflow.toml beside the store, or here."),
]
AnyDatabase = Annotated[
    Path | None, typer.Option("--db", envvar="BYPASSFLOW_DB", help="The store, a DuckDB file that nobody writes.")
]
Url = Annotated[
    str | None, typer.Option(metavar="URL", help="A running sink, such as http://127.0.0.1:8766, in place of a file.")
]


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Register a command whose expected errors become one sentence on standard error and exit code 1."""
    return app.command()(_guarded(function))


def _guarded(function: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(function)
    def guarded(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            function(*arguments, **options)
        except BypassflowError as error:
            raise _failure(str(error)) from None
        except KeyboardInterrupt:
            raise _failure("interrupted; the store is whole, and the same command run again starts afresh") from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise _failure(f"{place}{(error.strerror or str(error)).lower()}") from None

    return guarded


# What commands share


@dataclass(frozen=True)
class Company:
    """A configuration and where it stands; `text` is empty when there is no file."""

    configuration: Configuration
    base: Path
    text: str = ""

    @property
    def key_path(self) -> Path:
        return self.base / self.configuration.privacy.key_file

    @property
    def forgotten_path(self) -> Path:
        return self.base / self.configuration.privacy.forgotten_file


def _company(paths: Sequence[Path], config: Path | None) -> Company:
    """Return the configuration that is named, or that stands in one of the directories, or the default one."""
    from pipeline.configuration import FILE_NAME, load
    from schemas.settings import Configuration

    if config is None:
        found = sorted({path / FILE_NAME for path in paths if (path / FILE_NAME).is_file()})
        if len(found) > 1:
            raise ConfigurationError(f"{found[0]} and {found[1]} both apply; name one with --config")
        if not found:
            folders = [path.absolute() if path.is_dir() else path.absolute().parent for path in paths]
            return Company(Configuration(), Path(os.path.commonpath(folders)))
        config = found[0]
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise ConfigurationError(f"{config} cannot be read: {reason}; `bypassflow init DIR` writes one") from None
    return Company(load(text, str(config)), config.absolute().parent, text)


def _identifiers(company: Company, key: bytes) -> Identifiers:
    from pipeline.identifiers import Identifiers

    settings = company.configuration
    is_clear = settings.privacy.identifiers == "clear"
    return Identifiers(key, settings.company.region, settings.company.outside_prefixes, clear=is_clear)


def _inputs(paths: Sequence[Path], company: Company, skip_unknown: bool) -> list[Input]:
    from pipeline.sources import discovery

    inputs = discovery.discover(paths, company.configuration, company.base, skip_unknown)
    if skip_unknown:
        for unknown in discovery.survey(paths, company.configuration, company.base).unknown:
            _say(f"skipped {unknown.file}: {unknown.reason}")
    return inputs


def _groups(db: Path | None, config: Path | None, *, is_granted: bool = False) -> GroupRules:
    """Return what may be shown of representatives: as the configuration beside the store says, or else the one here."""
    from pipeline.configuration import FILE_NAME, group_rules

    beside = [db.absolute().parent] if db is not None and (db.absolute().parent / FILE_NAME).is_file() else [Path()]
    return group_rules(_company(beside, config).configuration, is_granted=is_granted)


def _key(company: Company) -> bytes:
    """Return the company's secret key; made when there is none."""
    from sinks.keyfile import load_or_create_key

    key, is_new = load_or_create_key(company.key_path, secrets.token_bytes)
    if is_new:
        _say(f"made {company.key_path}, the secret key of the tokens; keep it as long as the store")
    return key


def _forgotten(company: Company, key: bytes) -> Forgotten:
    from sinks.forgotten_list import load

    return load(company.forgotten_path, key)


def _last_look(company: Company, key: bytes, db: Path) -> Callable[[Path], None]:
    """Return what erases the forgotten and what is too old from a new store, before it takes its place at `db`."""
    from sinks.erasure.forgetting import erase_draft
    from sinks.retaining import retain_draft

    forgotten = _forgotten(company, key)

    def last(draft: Path) -> None:
        erase_draft(draft, forgotten, secrets.token_bytes(32))
        retain_draft(draft, db, company.configuration.retention, _now().replace(tzinfo=None))

    return last


def _run_record(company: Company, rules: EngineSettings, key: bytes, started_at: datetime) -> RunRecord:
    """Return what a store keeps of a run that begins now."""
    from pipeline.configuration import complete_through
    from sinks.store import RunRecord

    return RunRecord(
        started_at=started_at.replace(tzinfo=None),
        finished_at=started_at.replace(tzinfo=None),
        bypassflow_version=__version__,
        configuration_digest=_digest(company.text.encode()),
        key_digest=_digest(key),
        company_id=rules.company_id,
        timezone=company.configuration.company.timezone,
        settings=rules.model_dump_json(),
        complete_through=complete_through(company.configuration),
    )


def _is_typed(context: typer.Context, parameter: str) -> bool:
    """Return whether an option stands on the command line, and is no default or variable of the environment."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _failure(sentence: str) -> typer.Exit:
    _say(f"bypassflow: {sentence}")
    return typer.Exit(1)


def _messages() -> Console:
    return Console(stderr=True)


def _say(thing: RenderableType) -> None:
    """Print on standard error, where everything goes that is no data."""
    _messages().print(thing, markup=False, highlight=False, soft_wrap=isinstance(thing, str))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)


def _show(*things: RenderableType) -> None:
    """Print on standard output, for people."""
    console = _console()
    for thing in things:
        console.print(thing, markup=False, highlight=False)
    sys.stdout.flush()  # before what is said next on standard error


def _write_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bypassflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Measures the share of a company's customer interactions that leave no trace in its CRM."""


# Before a run


@command
def init(
    directory: Directory,
    force: Annotated[bool, typer.Option("--force", help="Replace a bypassflow.toml that is there.")] = False,
) -> None:
    """Write a commented bypassflow.toml.

    Looks at the files in the directory, guesses the columns of tables that no parser knows, and makes the company's
    secret key.
    """
    from pipeline.configuration import FILE_NAME
    from pipeline.sources import discovery, proposal
    from schemas.settings import Configuration
    from sinks.keyfile import load_or_create_key

    target = directory / FILE_NAME
    if target.exists() and not force:
        raise ConfigurationError(f"{target} is there already; change it, or replace it with --force")
    survey = discovery.survey([directory], Configuration(), directory)
    company = proposal.describe_company(directory.absolute().name, survey.inputs)
    proposed = proposal.propose(survey, company, _local_zone())
    target.write_text(proposed.text, encoding="utf-8")
    _say(
        f"wrote {target}: {len(survey.inputs)} recognised, {proposed.guessed_count} guessed from the names of their "
        f"columns, {proposed.unread_count} not read yet"
    )
    key_path = directory / Configuration().privacy.key_file
    _, is_new = load_or_create_key(key_path, secrets.token_bytes)
    if is_new:
        _say(f"made {key_path}, the secret key of the tokens; keep it with the store's backups, but not beside them")
    _say(f"next: look at {target.name}, then: bypassflow check {directory}")


@command
def check(directory: Directory, config: Config = None) -> None:
    """Check configuration and files; write nothing.

    Recognises and counts every file, validates the directory of representatives, and shows the first problems with
    their lines. Then it sets the sources side by side: the time that each covers, when it was silent though usually it
    is not, and who took part in its records without being in the directory.
    """
    from pipeline.configuration import engine_settings
    from pipeline.coverage import Coverage
    from pipeline.keys import KEY_BYTES
    from pipeline.sources import discovery
    from pipeline.summing import summed
    from sinks.inspection import inspect
    from sinks.keyfile import load_key

    company = _company([directory], config)
    key = load_key(company.key_path) if company.key_path.exists() else secrets.token_bytes(KEY_BYTES)
    identifiers = _identifiers(company, key)
    coverage = Coverage(
        engine_settings(company.configuration, identifiers), ZoneInfo(company.configuration.company.timezone)
    )
    survey = discovery.survey([directory], company.configuration, company.base)
    with Reading(_messages(), sum(item.size_bytes for item in survey.inputs)) as reading:
        findings = list(inspect(survey.inputs, identifiers, _now(), advance=reading.advance, coverage=coverage))
    findings.sort(key=lambda found: (found.item.source, found.item.file))
    _show(terminal.file_table(found.summary for found in findings))
    if covered := coverage.sources():
        _show(terminal.coverage_table(covered))
    problems = [problem for found in findings for problem in found.problems]
    warnings = summed((found.item.source, found.item.file, warning) for found in findings for warning in found.warnings)
    refused = [f"{unknown.file}: {unknown.reason}" for unknown in survey.unknown]
    told = (
        ("rejected records", problems),
        ("not recognised", refused),
        ("to look at", warnings),
        ("sources side by side", coverage.sentences()),
    )
    for name, sentences in told:
        if sentences:
            _show(f"{name}:", terminal.problem_list(sentences))
    if refused or any(found.failure for found in findings):
        raise _failure("a replay of this directory would stop; see above")
    _say("ready to replay" if not problems else "ready to replay; the rejected records would be kept as dead letters")


# The run


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
        if _is_typed(context, "db"):
            raise typer.BadParameter("give --db or --kafka, not both")
        _publish(paths, config, skip_unknown, kafka, speed, resume)
        return
    if db is None:
        raise typer.BadParameter("one of --db and --kafka is needed")
    if resume or _is_typed(context, "speed"):
        raise typer.BadParameter("--speed and --resume go with --kafka")
    from pipeline import configuration as configurations
    from pipeline.engine import Engine
    from pipeline.replay import fold_all
    from pipeline.sources.feeding import feed
    from pipeline.summing import summed
    from sinks.build import InputInfo, Progress, build

    started_at = _now()
    company = _company(paths, config)
    inputs = _inputs(paths, company, skip_unknown)
    key = _key(company)
    identifiers = _identifiers(company, key)
    settings = configurations.engine_settings(company.configuration, identifiers)
    complete_through = configurations.complete_through(company.configuration)
    run = _run_record(company, settings, key, started_at)
    engine = Engine(settings)
    with Reading(_messages(), sum(item.size_bytes for item in inputs)) as reading:

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
            now=lambda: _now().replace(tzinfo=None),
            progress=tell,
            last=_last_look(company, key, db),
        )
    for warning in summed(
        (read.info.source, read.info.file, warning) for read in summary.files for warning in read.warnings
    ):
        _say(warning)
    if summary.kept_file_count:
        _say(f"kept the facts of {summary.kept_file_count} files of earlier runs")
    _show_run(db)


def _show_run(db: Path) -> None:
    from sinks import measures
    from sinks.store import Store

    with Store.open(db) as store:
        (overall,) = measures.report(store)
        _show(
            terminal.file_table(store.rows("FROM files ORDER BY source, file"), "What was read"),
            terminal.account_table(measures.audit(store)),
            terminal.report_table(measures.report(store, ["channel"]), ["channel"], overall),
            terminal.headline(overall),
        )


# The number, the rows behind it, and why


@command
def report(
    db: AnyDatabase = None,
    url: Url = None,
    by: Annotated[str, typer.Option(metavar="DIMENSIONS", help=DIMENSIONS)] = "",
    since: Since = None,
    until: Until = None,
    channel: Values = None,
    line: Values = None,
    direction: Values = None,
    team: Values = None,
    function: Values = None,
    source: Values = None,
    segment: Values = None,
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Corrected for the matcher's errors, see `label`.")
    ] = False,
    annotations: AnnotationsFile = None,
    format: Annotated[ReportShape, typer.Option(help="How to print it.")] = ReportShape.TABLE,
    chart: Annotated[
        bool, typer.Option("--chart", help="Draw the trend, and bars by the first of the dimensions, instead.")
    ] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page for managers to this file.")] = None,
    pdf: Annotated[Path | None, typer.Option(metavar="FILE", help="The same page, to be printed or sent.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="The same page as a picture.")] = None,
    language: Annotated[str, typer.Option(help="Of these pages: en or fi.")] = "en",
    config: StoreConfig = None,
) -> None:
    """Print the bypass share.

    As a whole or by dimensions, of all interactions or of those that fit the filters, with the counts that it is made
    of and its 95 % interval; the filter none stands for no value. A warning tells of sources that were silent in the
    period though usually they are not. With --corrected, the share that a judged sample shows to be behind it; ends
    with 1 when the sample is too small.
    """
    from sinks import export
    from sinks.answers import answers

    given = {
        "channel": channel, "line": line, "direction": direction, "team": team, "function": function,
        "source": source, "segment": segment,
    }  # fmt: skip
    wanted = {name: values for name, values in given.items() if values}
    pages = {kind: path for kind, path in (("html", html), ("pdf", pdf), ("png", png)) if path is not None}
    if pages:
        if url is not None:
            raise ConfigurationError("--html, --pdf and --png read a store and no running sink; leave out --url")
        if chart or corrected or by.strip() or format is not ReportShape.TABLE:
            raise ConfigurationError(
                "--html, --pdf and --png write a page of its own form; leave out --by, --format, --chart, --corrected"
            )
        _write_pages(db, since, until, wanted, language, pages, _groups(db, config))
        return
    if chart and format is not ReportShape.TABLE:
        raise ConfigurationError(f"--chart draws and --format {format} prints rows; give one of the two")
    if chart and corrected:
        raise ConfigurationError("--chart draws the share as measured and --corrected prints another; give one of them")
    if corrected and wanted:
        raise ConfigurationError(
            f"--corrected knows the matcher's errors of all interactions alone; leave out --{next(iter(wanted))}"
        )
    if corrected:
        _report_corrected(db, by, since, until, annotations, format)
        return
    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    with answers(db, url, _groups(db, config, is_granted=True)) as asked:
        if chart:
            _show_charts(asked, dimensions[:1], since, until, wanted)
            return
        found = asked.report(dimensions, since, until, wanted)
    rows, overall = found.rows, found.overall
    for warning in found.warnings:
        _say(f"warning: {warning}")
    if format is ReportShape.TABLE:
        _show(terminal.report_table(rows, dimensions, overall), terminal.headline(overall))
        if db is not None and url is None:
            _say_labels(db, annotations)
    elif format is ReportShape.JSON:
        export.write_json(rows, sys.stdout)
    else:
        write = export.write_csv if format is ReportShape.CSV else export.write_markdown
        write(rows, list(dict.fromkeys([*dimensions, *overall])), sys.stdout)


def _write_pages(
    db: Path | None,
    since: str | None,
    until: str | None,
    wanted: Mapping[str, Sequence[str]],
    language: str,
    pages: Mapping[str, Path],
    groups: GroupRules,
) -> None:
    """Write the report for managers in each form that was asked for."""
    from dashboard import management_report
    from dashboard.pages.languages import LANGUAGES
    from sinks import measures
    from sinks.store import Store

    if db is None:
        raise ConfigurationError("--html, --pdf and --png read a store; name a file, or a snapshot, with --db")
    measures.known(language, LANGUAGES, "language")
    with Store.open(db) as store:
        store.groups = groups
        zone = ZoneInfo(measures.zone_of(store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        found = management_report.gather(store, measures.Filters(wanted, begin, end), language)
    for kind, path in pages.items():
        management_report.write(found, path, kind)
        _say(f"written: {path}")


def _say_labels(db: Path, annotations: Path | None) -> None:
    """Say how many interactions people judged, when there are any."""
    from dashboard.annotating import label_sentence
    from sinks.labelling import count_labels
    from sinks.store import Store

    kept = _annotations(db, annotations)
    if kept.labels():
        with Store.open(db) as store:
            _say(label_sentence(count_labels(store, kept)))


def _report_corrected(
    db: Path | None, by: str, since: str | None, until: str | None, annotations: Path | None, format: ReportShape
) -> None:
    from dashboard.annotating import correction, label_sentence
    from pipeline.estimate import TooLittle
    from sinks import export, measures
    from sinks.labelling import corrected, count_labels
    from sinks.store import Store

    if db is None:
        raise ConfigurationError("--corrected reads the labels beside a store; name a file, or a snapshot, with --db")
    if by.strip():
        raise ConfigurationError(
            "--corrected knows the matcher's errors of the whole company, not of each group; leave out --by"
        )
    kept = _annotations(db, annotations)
    with Store.open(db) as store:
        zone = ZoneInfo(measures.zone_of(store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        found = corrected(store, kept, begin, end)
        counts = count_labels(store, kept)
    if counts.judged_count:
        _say(label_sentence(counts))
    if isinstance(found, TooLittle):
        raise _failure(f"no corrected share: {found.reason}; `bypassflow label sample` draws what to judge")
    if format is ReportShape.TABLE:
        _show(correction(found))
        return
    row = asdict(found)
    if format is ReportShape.JSON:
        export.write_json([row], sys.stdout)
    else:
        (export.write_csv if format is ReportShape.CSV else export.write_markdown)([row], list(row), sys.stdout)


def _show_charts(
    asked: Answers, dimensions: Sequence[str], since: str | None, until: str | None, wanted: Mapping[str, Sequence[str]]
) -> None:
    from dashboard import charts

    found = asked.report(dimensions, since, until, wanted)
    rows = asked.report(["day"], since, until, wanted).rows
    step = charts.step_of(rows)
    if step == "week":
        rows = asked.report(["week"], since, until, wanted).rows
    for warning in found.warnings:
        _say(f"warning: {warning}")
    width = _console().width
    drawn = [charts.trend(rows, step, width), *(charts.bars(found.rows, name, width) for name in dimensions)]
    typer.echo("\n\n".join(drawn))
    _show("", terminal.headline(found.overall))


@command
def interactions(
    db: AnyDatabase = None,
    url: Url = None,
    since: Since = None,
    until: Until = None,
    channel: Values = None,
    line: Values = None,
    direction: Values = None,
    team: Values = None,
    function: Values = None,
    representative: Values = None,
    source: Values = None,
    segment: Values = None,
    customer: Values = None,
    outcome: Values = None,
    reason: Values = None,
    tier: Values = None,
    limit: Annotated[int | None, typer.Option(help="At most so many rows; a table shows 50 unless told.")] = None,
    format: Annotated[RowShape, typer.Option(help="How to print them.")] = RowShape.TABLE,
    config: StoreConfig = None,
) -> None:
    """Print the interactions behind the number.

    Filters fit when any of their values does; the value none stands for no value. CSV, JSON and Parquet hold the
    evidence too.
    """
    from sinks import export
    from sinks.answers import answers

    wanted = {
        "channel": channel, "line": line, "direction": direction, "team": team, "function": function,
        "representative": representative, "source": source, "segment": segment, "customer": customer,
        "outcome": outcome, "reason": reason, "tier": tier,
    }  # fmt: skip
    is_table = format is RowShape.TABLE
    if format is RowShape.PARQUET and sys.stdout.isatty():
        raise ConfigurationError("Parquet is no text; send it to a file: ... --format parquet > interactions.parquet")
    with answers(db, url, _groups(db, config, is_granted=True)) as asked:
        most = TABLE_ROWS if is_table and limit is None else limit
        found = asked.interactions({name: values for name, values in wanted.items() if values}, since, until, most)
    if format is RowShape.PARQUET:
        export.write_parquet(found, sys.stdout.buffer)
    elif is_table:
        _show(terminal.interaction_table(found.to_pylist()) if found.num_rows else "no interaction fits")
        if limit is None and found.num_rows == TABLE_ROWS:
            _say(f"the first {TABLE_ROWS}; --limit shows more, --format csv or parquet gives all")
    else:
        rows = (row for batch in found.to_batches(max_chunksize=10_000) for row in batch.to_pylist())
        if format is RowShape.JSON:
            export.write_json(rows, sys.stdout)
        else:
            export.write_csv(rows, found.column_names, sys.stdout)


@command
def explain(
    interaction: Annotated[str, typer.Argument(help="Id of the interaction, or enough of its beginning.")],
    db: AnyDatabase = None,
    url: Url = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Explain one interaction.

    Shows its raw events, whose identifier it is, every activity around it with why it won or lost, and what people
    said of it.
    """
    from dashboard.explanation import explanation
    from sinks.annotations import Annotations, beside
    from sinks.answers import answers

    with answers(db, url) as asked:
        found = asked.explain(interaction)
    # A sink that is asked has a store of its own, not the one of --db.
    kept = annotations or (beside(db) if db is not None and url is None else None)
    _show(explanation(found, Annotations(kept).labels_of(found.interaction["interaction_id"]) if kept else ()))


@command
def audit(
    db: AnyDatabase = None,
    url: Url = None,
    placebo: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="Move all activities by so many days and count what still matches."),
    ] = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Account for every raw event.

    Per source, what became of each; fails when any is unaccounted for. With --placebo, counts what is traced by chance
    instead.
    """
    from sinks import export
    from sinks.answers import answers

    if placebo is not None:
        _audit_chance(db, placebo, format)
        return
    with answers(db, url) as asked:
        accounts = asked.audit()
    if format is Shape.JSON:
        export.write_json(accounts, sys.stdout)
    else:
        _show(terminal.account_table(accounts))
    lost = sum(account["unaccounted_count"] for account in accounts)
    if lost:
        raise _failure(f"{lost:,} raw events are unaccounted for; this is a defect of bypassflow, please report it")


def _audit_chance(db: Path | None, days: int, format: Shape) -> None:
    from dashboard.exactness import placebo_table
    from sinks import export
    from sinks.placebo import chance, longest_window
    from sinks.store import Store

    if db is None:
        raise ConfigurationError("--placebo folds the whole store again; name a file, or a snapshot, with --db")
    with Store.open(db) as store:
        found = chance(store, timedelta(days=days))
        is_short = bool(days) and timedelta(days=abs(days)) <= longest_window(store)
    if format is Shape.JSON:
        export.write_json(found, sys.stdout)
    else:
        _show(placebo_table(found, days))
    if is_short:
        _say("the shift is not longer than the windows, so true traces are found again; try --placebo 14")


# What people add: measures


measure = typer.Typer(no_args_is_help=True, help="Note what the company changed, and see what came of it.")
app.add_typer(measure, name="measure")
AnnotationsFile = Annotated[
    Path | None,
    typer.Option(
        "--annotations", envvar="BYPASSFLOW_ANNOTATIONS", metavar="FILE",
        help="Where measures and labels are kept; default: beside the store, *.annotations.sqlite.",
    ),
]  # fmt: skip
Note = Annotated[str, typer.Option(help="What else is to be known.")]
Author = Annotated[str, typer.Option(envvar="USER", show_default=False, help="Who says so; default: who you are.")]


def _annotations(db: Path, file: Path | None) -> Annotations:
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file

    check_file(db)
    return Annotations(file or beside(db))


@measure.command("add")
@_guarded
def add_measure(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    begins: Annotated[str, typer.Option(metavar="DATE", help="Day or instant from which on it holds.")],
    db: Database,
    team: Annotated[list[str] | None, typer.Option(help="Team it holds for; may be repeated; default: all.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Channel; may be repeated; default: all.")] = None,
    note: Note = "",
    author: Author = "",
    annotations: AnnotationsFile = None,
) -> None:
    """Note a measure: what was changed, from when on, and for whom.

    It is kept apart from the store, in a file beside it, and stays when the store is made anew.
    """
    from sinks import measures
    from sinks.effects import check_scope
    from sinks.store import Store

    with Store.open(db) as store:
        begins_at = measures.instant(begins, ZoneInfo(measures.zone_of(store)))
        check_scope(store, team or (), channel or ())
    added_at = _now().replace(tzinfo=None)
    kept = _annotations(db, annotations)
    added = kept.add_measure(
        name, begins_at, added_at=added_at, teams=team or (), channels=channel or (), note=note, author=author
    )
    _say(f"noted measure {added.measure_id} in {kept.path}; `bypassflow measure effect {added.measure_id}` shows more")


@measure.command("list")
@_guarded
def list_measures(db: Database, annotations: AnnotationsFile = None, format: Shapes = Shape.TABLE) -> None:
    """Print the measures."""
    from dashboard.annotating import measure_table

    found = _annotations(db, annotations).measures()
    if format is Shape.JSON:
        _write_json([asdict(each) for each in found])
    elif found:
        _show(measure_table(found))
    else:
        _say("no measures; `bypassflow measure add` notes one")


@measure.command("remove")
@_guarded
def remove_measure(
    name: Annotated[str, typer.Argument(help="Name or number of the measure.")],
    db: Database,
    annotations: AnnotationsFile = None,
) -> None:
    """Remove a measure that was noted by mistake."""
    kept = _annotations(db, annotations)
    found = kept.measure(name)
    kept.remove_measure(found.measure_id)
    _say(f"removed measure {found.measure_id}, {found.name!r}")


@measure.command("effect")
@_guarded
def measure_effect(
    name: Annotated[str, typer.Argument(help="Name or number of the measure.")],
    db: Database,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="TEAM", help="Team to compare with; may be repeated; default: all that it left alone."),
    ] = None,
    days: Annotated[int, typer.Option(help="Days before and after it, at most.")] = 28,
    annotations: AnnotationsFile = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Show what a measure changed.

    The bypass share before and after it, and how much more it changed than that of teams which the measure left alone:
    each with a 95 % interval. Says so where there is too little to tell.
    """
    from dashboard.annotating import effect_page
    from sinks.effects import effect
    from sinks.store import Store

    kept = _annotations(db, annotations)
    asked = kept.measure(name)
    with Store.open(db) as store:
        found = effect(store, asked, compare_with=compare or (), span=timedelta(days=days), others=kept.measures())
    if format is Shape.JSON:
        _write_json(found.to_dict())
    else:
        _show(effect_page(found))


# What people add: labels


label = typer.Typer(no_args_is_help=True, help="Judge interactions, and correct the share by what comes out.")
app.add_typer(label, name="label")


@label.command("sample")
@_guarded
def sample_labels(
    db: Database,
    size: Annotated[int, typer.Option(help="How many to judge.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed draws the same.")] = 1,
    since: Since = None,
    until: Until = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Draw interactions to be judged, as CSV.

    Half of them are traced, half not, in proportion to their channels. Which were drawn is remembered. Fill in the
    column verdict, and take the table in with `label import`.
    """
    from sinks import export, measures
    from sinks.labelling import SAMPLE_COLUMNS, draw
    from sinks.store import Store

    kept = _annotations(db, annotations)
    with Store.open(db) as store:
        zone = ZoneInfo(measures.zone_of(store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        drawn_at = _now().replace(tzinfo=None)
        rows = draw(store, kept, size=size, seed=seed, drawn_at=drawn_at, since=begin, until=end)
    export.write_csv(rows, SAMPLE_COLUMNS, sys.stdout)
    sys.stdout.flush()
    _say(f"drew {len(rows):,} interactions; verdicts: {_verdicts()}")


@label.command("add")
@_guarded
def add_label(
    interaction: Annotated[str, typer.Argument(help="Id of the interaction, or enough of its beginning.")],
    verdict: Annotated[str, typer.Argument(help="correct, logged_elsewhere, wrong_contact or no_customer.")],
    db: Database,
    note: Note = "",
    author: Author = "",
    annotations: AnnotationsFile = None,
) -> None:
    """Say of one interaction that its outcome is right, or what it is in truth.

    Labels are kept apart from the facts and shown in `explain`; the newest one of an interaction counts.
    """
    from sinks import labelling
    from sinks.store import Store

    labelled_at = _now().replace(tzinfo=None)
    with Store.open(db) as store:
        kept = _annotations(db, annotations)
        added = labelling.add_label(
            store, kept, interaction, verdict, labelled_at=labelled_at, note=note, author=author
        )
    _say(f"labelled {added.interaction_id} as {added.verdict}")


@label.command("import")
@_guarded
def import_labels(
    file: Annotated[Path, typer.Argument(help="The table that `label sample` wrote, with verdicts.")],
    db: Database,
    author: Author = "",
    annotations: AnnotationsFile = None,
) -> None:
    """Take in a judged sample.

    Rows without a verdict are left for later. All rows are taken in, or none.
    """
    from sinks.labelling import read_labels
    from sinks.store import Store

    try:
        with Store.open(db) as store, file.open(encoding="utf-8", newline="") as stream:
            labels, open_count = read_labels(store, stream, labelled_at=_now().replace(tzinfo=None), author=author)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is no UTF-8 text; save it as CSV in UTF-8") from None
    _annotations(db, annotations).add_labels(labels)
    _say(f"took in {len(labels):,} labels; {open_count:,} rows have no verdict yet")


@label.command("list")
@_guarded
def list_labels(
    db: Database,
    limit: Annotated[int | None, typer.Option(help="At most so many; a table shows 50 unless told.")] = None,
    annotations: AnnotationsFile = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Print the labels: of each interaction the one that counts."""
    from dashboard.annotating import label_sentence, label_table
    from sinks.labelling import count_labels
    from sinks.store import Store

    kept = _annotations(db, annotations)
    found = kept.labels()
    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    if format is Shape.JSON:
        _write_json([asdict(each) for each in found[:most]])
    elif found:
        _show(label_table(found[:most]))
        with Store.open(db) as store:
            _say(label_sentence(count_labels(store, kept)))
    else:
        _say("no labels; `bypassflow label sample` draws what to judge")


def _verdicts() -> str:
    from schemas.annotations import VERDICTS

    return "; ".join(f"{name} ({meaning})" for name, meaning in VERDICTS.items())


# Where the truth is known


@command
def simulate(
    directory: Annotated[Path, typer.Argument(help="Directory to make; it must be new or empty.")],
    days: Annotated[int, typer.Option(help="Days that the company is watched.")] = 28,
    representatives: Annotated[int, typer.Option(help="Its representatives.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
) -> None:
    """Make a fictitious company.

    Writes its files in the systems' own formats, and its truth into a file beside the directory.
    """
    from pipeline.simulate import simulate as invent
    from pipeline.simulate import truth_path

    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigurationError(f"{directory} is not empty; name a new directory")
    company = invent(days, representatives, seed)
    for name, content in company.files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    truth = truth_path(directory)
    truth.write_bytes(b"".join(company.truth()))
    _say(f"wrote {directory} and its truth, {truth}: {len(company.interactions):,} interactions")


@command
def evaluate(
    db: Database,
    truth: Annotated[Path, typer.Option(help="The truth that simulate wrote.")],
    format: Shapes = Shape.TABLE,
) -> None:
    """Compare a simulated company with its truth.

    Shows the error of the share per cell and overall, and precision and recall of interactions and traces.
    """
    from dashboard.exactness import evaluation
    from pipeline.evaluate import evaluate as compare
    from sinks.store import Store

    with Store.open(db) as store, truth.open("rb") as lines:
        found = compare(store.query("FROM interactions"), store.query("FROM evidence"), lines).to_dict()
    if format is Shape.JSON:
        _write_json(found)
    else:
        _show(evaluation(found))


# What is known


@command
def sources(
    format: Shapes = Shape.TABLE,
    tried: Annotated[
        Path | None, typer.Option("--try", metavar="FILE", help="Show how each parser judges this file or directory.")
    ] = None,
) -> None:
    """List the formats that are known.

    And how each is recognised. With --try: what each parser says of a file, and what the first of its records would
    become, for those who write a parser or wonder why a file is read as what it is.
    """
    from pipeline.sources.registry import sources as known

    if tried is not None:
        _try_sources(tried, format)
        return
    rows = [{"format": source.name, "title": source.title, "description": source.description} for source in known()]
    if format is Shape.JSON:
        _write_json(rows)
    else:
        _show(terminal.source_table(rows))


def _try_sources(path: Path, format: Shape) -> None:
    from pipeline.identifiers import Identifiers
    from pipeline.keys import KEY_BYTES
    from pipeline.sources.trial import try_path

    company = _company([path if path.is_dir() else path.parent], None)
    # Tokens are for nobody to keep here.
    identifiers = Identifiers(secrets.token_bytes(KEY_BYTES), company.configuration.company.region)
    trial = try_path(path, identifiers, ZoneInfo(company.configuration.company.timezone), _now())
    if format is Shape.JSON:
        _write_json(asdict(trial))
    else:
        _show(terminal.judgement_table(trial.judgements), terminal.trial_summary(trial))
    if trial.chosen is None:
        raise _failure(f"no parser recognises {path}; it {trial.appearance}")


@command
def schemas(
    name: Annotated[str | None, typer.Argument(help="One contract, such as call; default: all of them.")] = None,
) -> None:
    """Print the contracts as JSON Schema.

    Of the records that files and topics may hold, and of the results.
    """
    from schemas.export import json_schemas

    known = json_schemas()
    if name is not None and name not in known:
        raise typer.BadParameter(f"unknown contract {name!r}; expected one of {', '.join(known)}")
    _write_json(known if name is None else known[name])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _now() -> datetime:
    return datetime.now(UTC)


def _local_zone() -> str:
    """Return the name of this machine's time zone, or the default one when it says none."""
    import zoneinfo

    from schemas.settings import CompanySettings

    names = zoneinfo.available_timezones()
    for name in (os.environ.get("TZ", ""), os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]):
        if name in names and name not in ("UTC", "Etc/UTC", "localtime"):
            return name
    return CompanySettings().timezone


# The live pipeline: topics

topics = typer.Typer(no_args_is_help=True, help="Make and check the topics of the live pipeline.")
app.add_typer(topics, name="topics")

KafkaConfig = Annotated[
    Path | None, typer.Option("--config", help="Configuration; default: bypassflow.toml here, if there is one.")
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="BYPASSFLOW_BOOTSTRAP",
        help="Brokers to begin with, with commas; instead of the configuration's.",
    ),
]


@topics.command("create")
@_guarded
def create_topics(config: KafkaConfig = None, bootstrap: Bootstrap = None) -> None:
    """Make the topics that are missing.

    Prints their names. Topics that are there stay as they are.
    """
    from agents import topics as agent

    settings, credentials = _kafka(config, bootstrap)
    made = agent.create_topics(settings, credentials)
    for name in made:
        typer.echo(name)
    _say(f"made {len(made)} of {len(settings.topics())} topics; the others were there")


@topics.command("check")
@_guarded
def check_topics(config: KafkaConfig = None, bootstrap: Bootstrap = None) -> None:
    """Compare the topics with the configuration.

    Says what is missing or different, and ends with 1 then.
    """
    from agents import topics as agent

    settings, credentials = _kafka(config, bootstrap)
    differences = agent.check_topics(settings, credentials)
    for difference in differences:
        _say(difference)
    if differences:
        raise _failure("the topics are not as the configuration asks for; see above")
    _say(f"{len(settings.topics())} topics are as the configuration asks for")


@topics.command("describe")
@_guarded
def describe_topics(
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Print what the topics are for and how they are kept."""
    from agents import topics as agent

    rows = agent.describe_topics(*_kafka(config, bootstrap))
    if format is Shape.JSON:
        _write_json(rows)
    else:
        _show(terminal.topic_table(rows))


def _kafka(config: Path | None, bootstrap: str | None) -> tuple[KafkaSettings, Secrets]:
    """Return how the broker is reached: what the configuration says, with files whole and secrets read."""
    return _kafka_of(_company([Path()], config), bootstrap)


def _kafka_of(company: Company, bootstrap: str | None) -> tuple[KafkaSettings, Secrets]:
    from agents.access import read_secrets
    from schemas.kafka import with_bootstrap

    _quiet_kafka()
    settings = company.configuration.kafka.beside(str(company.base))
    if bootstrap is not None:
        try:
            settings = with_bootstrap(settings, bootstrap)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--bootstrap") from None
    return settings, read_secrets(settings, os.environ)


def _quiet_kafka() -> None:
    import logging

    # Its complaints about a broker that is away repeat, for engineers, what we say in one sentence.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


# The live pipeline: processes


class Role(StrEnum):
    """Which agent a worker runs."""

    INGEST = "ingest"
    CORRELATE = "correlate"


Name = Annotated[
    str | None,
    typer.Option(help="Name of this worker, the same over restarts: its coming back then moves no partitions."),
]
LISTEN = "127.0.0.1:8766"
Watching = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="HOST:PORT", help="Where to answer /metrics, /healthz and /readyz; not said: nowhere."
    ),
]


@command
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
    from agents.access import faust_options
    from agents.lag import correlate_group, ingest_group
    from agents.log import KafkaLog
    from agents.topics import require_topics

    settings, credentials = _kafka(config, bootstrap)
    company = _company([Path()], config)
    identifiers = _identifiers(company, _key_of(company))
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

    watch = WorkerWatch(agent, settings, credentials, None if metrics is None else address(metrics), _say)
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
    from pipeline.sealing import Seal
    from schemas.topics import RAW_TOPICS

    ingest = Ingest(
        Intake(identifiers, company.configuration, _forgotten(company, _key_of(company)).blanked),
        log,
        company.configuration.company.id,
        settings.fact_partitions,
        Ceiling(),
        _now,
        IngestFigures(watch.registry),
        Seal(_key_of(company)),
    )
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
    from schemas.topics import FACTS, partition_of

    rules = engine_settings(company.configuration, identifiers)
    partition = partition_of(rules.company_id, settings.fact_partitions)
    clean = _forgotten(company, _key_of(company)).blanked
    correlate = Correlate(
        lambda: Correlator(rules, partition, log, clean=clean), _say, CorrelateFigures(watch.registry)
    )
    desk = add_correlate(agent, correlate, settings.topic(FACTS), partition)
    watch.begin(lambda: correlate.busy_with)
    run(agent, lambda: desk.do(correlate.finish))


@command
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

    _key(_company([Path()], config))
    data.mkdir(parents=True, exist_ok=True)
    address = data / "bootstrap"
    address.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(address.unlink, missing_ok=True)
        if bootstrap is None:
            broker = stack.enter_context(start_broker(data / "broker"))
            bootstrap = broker.bootstrap
            _say(f"broker     {broker.kind} at {bootstrap}")
        create_topics(*_kafka(config, bootstrap))
        arguments = _live_arguments(config, bootstrap)
        sink = ["sink", "--db", str(data / "bypassflow.duckdb"), "--listen", listen, *arguments]
        children = [_child("sink", sink), *(_worker_child(role, arguments, f"up-{role}") for role in reversed(Role))]
        _supervise(children, lambda: address.write_text(f"{bootstrap}\n", encoding="utf-8"))


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
    settings, credentials = _kafka(config, bootstrap)
    company_id = _company([Path()], config).configuration.company.id
    topic_problems = check_topics(settings, credentials)
    before = None
    while True:
        found = progress(readers(settings, credentials, company_id), _sink_status(url), topic_problems)
        # The embedded broker may tell of an end that is none: twice the same is the end.
        if (found.is_done and found.lags == before) or not wait or time.monotonic() > deadline:
            break
        before = found.lags
        time.sleep(1)
    if format is Shape.JSON:
        _write_json(found.row())
    else:
        _show(progress_table(found))
    if wait and not found.is_done:
        raise _failure(f"{found.behind:,} messages are still to be read after {patience}; see above")
    for problem in found.problems:
        _say(problem)
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

    Looks at the installation, the configuration, its secrets, the store and its disk, and, with [kafka] in the
    configuration or --bootstrap, at the broker and its topics. Changes nothing. Ends with 1 when something is in the
    way.
    """
    from pipeline.findings import is_failed

    findings = _examined(db, config, bootstrap, lambda: _sink_status(url) is not None)
    if format is Shape.JSON:
        _write_json([asdict(finding) for finding in findings])
    else:
        _show(terminal.finding_table(findings))
    if is_failed(findings):
        raise _failure("something is in the way; see above")


def _examined(
    db: Path | None, config: Path | None, bootstrap: str | None, is_served: Callable[[], bool]
) -> list[Finding]:
    from agents.examination import cluster, installation, secrets
    from pipeline.findings import of_error, ok
    from schemas.kafka import with_bootstrap
    from sinks import examination

    findings = installation.examine(installation.installation(Path(__file__).resolve().parent))
    try:
        company = _company([Path()], config)
        settings = company.configuration
        kafka = settings.kafka.beside(str(company.base))
        kafka = kafka if bootstrap is None else with_bootstrap(kafka, bootstrap)
    except ConfigurationError as error:
        return [*findings, *of_error("configuration", str(config or Path().absolute()), error)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bootstrap") from None
    is_live = bootstrap is not None or "kafka" in settings.model_fields_set
    around = examination.Surroundings(
        settings.company.id, ZoneInfo(settings.company.timezone), company.key_path, _digest, is_live, is_served, _now
    )
    findings.append(ok("configuration", str(company.base), "can be read" if company.text else "none; the defaults"))
    findings += secrets.examine(settings, company.base, os.environ)
    findings += examination.examine_key(around)
    findings += examination.examine_folder(around, company.base, "configuration, spool and receivers")
    if db is not None:
        findings += examination.examine_store(around, db)
    if is_live:
        _quiet_kafka()
        return [*findings, *cluster.examine(kafka, os.environ, _now)]
    return [*findings, ok("broker", str(company.base), "no [kafka] in the configuration; not looked at")]


def _sink_status(url: str) -> dict[str, Any] | None:
    """Return what a sink says of itself; None when nobody answers."""
    from sinks.remote import RemoteAnswers

    try:
        with RemoteAnswers(url) as asked:
            return asked.status()
    except TransientError:
        return None


def _key_of(company: Company) -> bytes:
    """Return the key of a company whose tokens must be those of its other processes: it is never made here."""
    from sinks.keyfile import load_key

    if not company.key_path.exists():
        raise ConfigurationError(
            f"{company.key_path} is not there: copy the company's key file from where its other processes run; "
            "`bypassflow init` or a first replay makes one for a new company"
        )
    return load_key(company.key_path)


def _live_arguments(config: Path | None, bootstrap: str | None) -> list[str]:
    """Return the options that a child process needs to find the same company and broker."""
    chosen = ["--config", str(config)] if config is not None else []
    return [*chosen, *(["--bootstrap", bootstrap] if bootstrap is not None else [])]


def _worker_child(role: Role, arguments: Sequence[str], name: str | None) -> Child:
    named = ["--name", name] if name else []
    return _child(role, ["worker", "--only", role, *arguments, *named])


def _child(name: str, arguments: Sequence[str]) -> Child:
    from agents.processes import Child

    return Child(name, [sys.executable, "-m", "cli", *arguments])


def _supervise(children: Sequence[Child], started: Callable[[], object] = lambda: None) -> None:
    """Keep children running until this process is told to end; `started` is called when all of them are."""
    import signal
    import time

    from agents.processes import Failed, Supervisor

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    supervisor = Supervisor(children, _say)
    try:
        supervisor.start()
        started()
        while True:
            supervisor.watch()
            time.sleep(0.2)
    except Failed as failure:
        raise _failure(f"{failure}; see above") from None
    except KeyboardInterrupt:
        _say("ending")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.stop()
        _say("all processes have ended")


# The live pipeline: the sink


@command
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
        str, typer.Option(metavar="SIZE", help="How much DuckDB may hold; the process takes some 150 MB more.")
    ] = "1GB",
    served_at: Annotated[
        str | None, typer.Option("--serve", metavar="HOST:PORT", help="Serve the API here too, as `serve` does.")
    ] = None,
    annotations: AnnotationsFile = None,
    metrics: Watching = None,
) -> None:
    """Follow the live log into a store.

    Makes the store when there is none, and goes on where it stands otherwise. Answers report, interactions, explain
    and audit with --url meanwhile, for nobody else can open the file. Stops at SIGTERM.
    """
    import signal
    import threading

    from agents.log import KafkaLog
    from agents.topics import require_topics
    from agents.watched import Watched
    from pipeline.configuration import engine_settings, group_rules
    from schemas.topics import partition_of
    from sinks.asking import Asking
    from sinks.consumer import problem_of
    from sinks.figures import sink_registry
    from sinks.live import TOPICS, open_live
    from sinks.running import address, memory_limit, run, snapshot_plan

    plan = snapshot_plan(snapshot_dir, snapshot_every)
    limit = memory_limit(memory)
    settings, credentials = _kafka(config, bootstrap)
    company = _company([Path()], config)
    key = _key(company)
    rules = engine_settings(company.configuration, _identifiers(company, key))
    record = _run_record(company, rules, key, _now())
    require_topics(settings, credentials, TOPICS)
    partition = partition_of(rules.company_id, settings.fact_partitions)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        KafkaLog(settings, credentials) as log,
        open_live(db, record, partition, memory_limit=limit, tell=_say, forgotten=_forgotten(company, key)) as live,
    ):
        live.store.groups = group_rules(company.configuration)

        @contextmanager
        def site(status: Callable[[], dict[str, Any]]) -> Iterator[None]:
            with ExitStack() as parts:
                if metrics is not None:
                    asking = parts.enter_context(closing(Asking(live.store)))
                    registry = sink_registry(asking, status)
                    watched = Watched(registry, lambda: problem_of(status()), *address(metrics))
                    parts.enter_context(watched)
                    _say(f"figures at {watched.url}/metrics")
                if served_at is not None:
                    store = live.store
                    served = parts.enter_context(
                        _site(Asking(store), store.path, served_at, annotations, company, status)
                    )
                    _say(f"the pages and the API are served at {served.url}")
                yield

        run(
            live, log, partition, stop, listen=listen, plan=plan, now=lambda: _now().replace(tzinfo=None), tell=_say,
            beside=site,
        )  # fmt: skip


# Keeping a store


@command
def backup(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    db: Database,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy the secret key too: who has it can test guesses.")
    ] = False,
) -> None:
    """Copy a store and what belongs to it into a folder.

    The store, its annotations and the configuration, with a manifest of checksums and of the rows of each table. While
    a sink writes the store, give its newest snapshot: --db SNAPSHOTS/current/NAME.duckdb.
    """
    from pipeline.configuration import FILE_NAME
    from sinks.annotations import beside
    from sinks.backup import Part, back_up

    company = _company([db.absolute().parent], config)
    parts: dict[Part, Path] = {
        "annotations": annotations or beside(db),
        "configuration": config or company.base / FILE_NAME,
        "forgotten": company.forgotten_path,
    }
    if with_key:
        parts["key"] = company.key_path
    made = back_up(db, folder, parts, taken_at=_now(), bypassflow_version=__version__)
    size = sum(file.byte_count for file in made.files)
    names = ", ".join(file.part for file in made.files)
    _say(f"wrote {folder}: {names}; {sum(made.row_counts.values()):,} rows, {size:,} bytes")
    if not with_key:
        _say("the key is not in it; keep a copy of it elsewhere, for without it new records meet none of these rows")


@command
def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that `backup` made.")],
    db: Database,
    company: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put configuration and key into this directory, too.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Put a backup in place, after checking all of it.

    Checksums and the rows of every table are held against the manifest first; the store takes its place last.
    """
    from sinks.restoring import restore as put_back

    for path, part in put_back(folder, db, company, replaces=force).items():
        _say(f"restored {path} ({part})")


keys = typer.Typer(no_args_is_help=True, help="Keep the company's secret key.")
app.add_typer(keys, name="keys")


@keys.command("rotate")
@_guarded
def rotate_key(
    db: Database,
    snapshot_dir: Annotated[
        Path | None, typer.Option(help="Folder of snapshots: all are removed, and one is taken anew.")
    ] = None,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Give the company a new key, and the store its tokens.

    Identifiers go on to meet their tokens. Stop the live pipeline first: it begins anew under another prefix, since
    its topics hold the old tokens. After a kill the same command ends what was begun.
    """
    from pipeline.keys import KEY_BYTES
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file
    from sinks.rotating import rotate
    from sinks.snapshots import renew_snapshots

    check_file(db)
    company = _company([db.absolute().parent], config)
    kept = Annotations(annotations or beside(db))
    key = rotate(db, company.key_path, kept, secrets.token_bytes(KEY_BYTES), _digest)
    if snapshot_dir is not None:
        renew_snapshots(db, snapshot_dir, _now().replace(tzinfo=None))
    _say(f"rotated {company.key_path.name}, {len(key.links)} times so far, and the tokens of {db}")
    _say("next: copy the key to every machine that has it; keep no old copy beside old stores and backups")
    _say("other stores of this key must be made again by a replay; live topics begin anew under another [kafka] prefix")


@command
def retain(db: Database, config: CompanyConfig = None) -> None:
    """Let leave what the store has kept for long enough.

    As [retention] of the configuration says. What leaves is counted, so that the accounts still add up. A replay does
    the same at its end. Run it by a timer, while no sink writes the store.
    """
    from sinks.connection import check_file
    from sinks.retaining import retain as retain_in

    check_file(db)
    company = _company([db.absolute().parent], config)
    if not company.configuration.retention.is_set:
        raise ConfigurationError(
            "[retention] of the configuration names no length of time, so nothing leaves; set evidence, interactions "
            "or dead_letters, such as evidence = '400d'"
        )
    gone = retain_in(db, company.configuration.retention, _now().replace(tzinfo=None))
    _say(
        f"left {db}: {gone.event_count:,} raw events, {gone.activity_count:,} activities, "
        f"{gone.interaction_count:,} interactions, {gone.letter_count:,} dead letters"
    )


@command
def forget(
    db: Database,
    identifiers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IDENTIFIER]...", help="Numbers, addresses, or handles such as whatsapp:anna."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read them from a file, one a line; -: from standard input.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Erase all who were forgotten before, such as after a restore.")
    ] = False,
    snapshot_dir: Annotated[
        Path | None, typer.Option(help="Folder of snapshots: all are removed, and one is taken anew.")
    ] = None,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Erase people from a store and what lies beside it.

    Everything that names them goes: tokens, masked forms, contacts, keys and places of their records. Their
    interactions stay counted, and nothing tells whose they were. Whatever comes of them later is forgotten as well.
    Prefer --file, or - for standard input: a shell remembers what is typed. Stop the sink first.
    """
    from pipeline.forgetting import identities, significant_digits
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file
    from sinks.erasure.forgetting import forget as forget_in
    from sinks.erasure.forgetting import require_strangers
    from sinks.erasure.names import clear_patterns
    from sinks.forgotten_list import add

    check_file(db)
    company = _company([db.absolute().parent], config)
    key = _key_of(company)
    texts = list(identifiers or ())
    if file is not None:
        texts += sys.stdin.read().splitlines() if str(file) == "-" else file.read_text(encoding="utf-8").splitlines()
    named = [] if again and not texts else identities(texts, _identifiers(company, key))
    tokens = {str(each.token) for each in named}
    require_strangers(db, tokens)
    shown = company.configuration.model_copy(update={"privacy": company.configuration.privacy.shown_clear()})
    clear = _identifiers(Company(shown, company.base), key)
    forms = [each.display for each in identities(texts, clear)] if named else []
    forgotten = add(company.forgotten_path, key, tokens)
    erased = forget_in(
        db,
        forgotten,
        secrets.token_bytes(32),
        clear_patterns(forms, significant_digits),
        Annotations(annotations or beside(db)),
        snapshot_dir,
        keep=lambda people: add(company.forgotten_path, key, people.tokens, people.ids),
        now=lambda: _now().replace(tzinfo=None),
    )
    _say(
        f"erased from {db}: {erased.token_count} identifiers, {erased.contact_count} contacts, "
        f"{erased.event_count} raw events, {erased.activity_count} activities; "
        f"{erased.interaction_count} interactions stay counted"
    )
    _say_remains(company, db)


def _say_remains(company: Company, db: Path) -> None:
    """Say where records of somebody who was forgotten may still be."""
    _say("what bypassflow does not erase:")
    _say("- the records in the source systems and their files; a replay of them forgets again what is on the list")
    _say("- backups made before; after a restore run: bypassflow forget --again")
    for name in sorted(path.name for path in company.base.glob(".bypassflow-*") if path.is_dir()):
        _say(f"- {company.base / name}: what was received or pulled and not yet given on")
    if company.configuration.company.never_log:
        _say("- [company] never_log of the configuration, if it names them")
    if "kafka" in company.configuration.model_fields_set:
        from agents.remaining import remaining

        for sentence in remaining(*_kafka_of(company, None), _now()):
            _say(f"- {sentence}")


# Answers for people and programs


@command
def serve(
    db: Database,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to answer; port 0: any that is free.")] = (
        "127.0.0.1:8765"
    ),
    annotations: AnnotationsFile = None,
    config: StoreConfig = None,
    opens: Annotated[bool, typer.Option("--open", help="Open the pages in this machine's browser.")] = False,
) -> None:
    """Show pages to people, and answer programs over HTTP.

    Over a store that nobody writes: a file or a snapshot; when a new one takes its place, the answers come from that.
    Prints where it answers. The store is only read; measures and labels are kept beside it. Only this machine reaches
    it unless --listen says otherwise, and then people and programs have to sign in, see [access] of the configuration.
    Stops at Ctrl-C and SIGTERM.
    """
    import signal
    import threading
    import webbrowser

    from sinks.following import Following

    company = _company([db.absolute().parent], config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        Following(db, _say, _groups(db, config)) as following,
        _site(following.asking, db, listen, annotations, company) as site,
    ):
        site.warm()
        typer.echo(site.url)
        if opens:
            webbrowser.open(site.url)
        following.run(stop)


@contextmanager
def _site(
    asking: Asking,
    db: Path,
    listen: str,
    annotations: Path | None,
    company: Company,
    status: Callable[[], dict[str, Any]] | None = None,
) -> Iterator[Site]:
    """Serve the pages and the API over the store at a path meanwhile."""
    from dashboard.access import trail
    from dashboard.access.opening import open_access
    from dashboard.web import Site, is_loopback_name, make_app
    from sinks.annotations import beside
    from sinks.running import address

    host, port = address(listen)
    is_local = is_loopback_name(f"[{host}]" if ":" in host else host)

    def now() -> datetime:
        return _now().replace(tzinfo=None)

    access = open_access(
        company.configuration.access, company.base, trail.beside(db), is_local=is_local, environment=os.environ,
        random_bytes=secrets.token_bytes, now=now, tell=_say,
    )  # fmt: skip
    app = make_app(
        asking, status=status, is_local=is_local, annotations=annotations or beside(db), access=access, now=now
    )
    with Site(app, asking, host, port) as site:
        yield site


# Who may look


access = typer.Typer(no_args_is_help=True, help="Tokens of people and programs, and the trail of what they looked at.")
app.add_typer(access, name="access")


@access.command("create")
@_guarded
def create_token(
    name: Annotated[str, typer.Argument(help="Whose it is, such as grafana; shown in the trail.")],
    scope: Annotated[
        list[str], typer.Option(help="What it opens: read, customer, representative, export, admin; may be repeated.")
    ],
    team: Annotated[list[str] | None, typer.Option(help="Only these teams; may be repeated.")] = None,
    days: Annotated[int | None, typer.Option(help="It expires after so many days.")] = None,
    config: KafkaConfig = None,
) -> None:
    """Make a token and print its secret, once.

    Only a digest of it is kept, beside the configuration.
    """
    now, kept = _now().replace(tzinfo=None), _tokens(_company([Path()], config))
    typer.echo(kept.create(name, scope, teams=team or (), days=days, now=now, random_bytes=secrets.token_bytes))
    _say(f"made the token {name}; its secret is shown this once, so keep it where only its owner reads it")


@access.command("list")
@_guarded
def list_tokens(config: KafkaConfig = None, format: Shapes = Shape.TABLE) -> None:
    """Show the tokens, without their secrets."""
    from dashboard.access import listing

    rows = listing.token_rows(_tokens(_company([Path()], config)).all(), _now().replace(tzinfo=None))
    if format is Shape.JSON:
        _write_json(rows)
    else:
        _show(listing.token_table(rows))


@access.command("revoke")
@_guarded
def revoke_token(name: Annotated[str, typer.Argument(help="Name of the token.")], config: KafkaConfig = None) -> None:
    """Take a token back; it opens nothing any more.

    A running server heeds it at once, and sessions that began with it end.
    """
    _tokens(_company([Path()], config)).revoke(name)
    _say(f"revoked the token {name}")


@access.command("log")
@_guarded
def show_trail(
    db: Database,
    who: Annotated[str | None, typer.Option(help="Only what this token or person asked.")] = None,
    customer: Annotated[
        str | None, typer.Option(help="Only visits of this customer, identifier or interaction.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="The last so many; a table shows 50 unless told.")] = None,
    config: StoreConfig = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Show who took tables away, and who looked at customers.

    From the trail that a server with sign-in keeps beside the store, the oldest first.
    """
    from dashboard.access import listing, trail
    from sinks.keyfile import load_key

    company = _company([db.absolute().parent], config)
    rows = trail.read(trail.beside(db))
    if customer is not None:
        key = load_key(company.base / company.configuration.access.key_file)
        about = trail.Trail(trail.beside(db), key).digest(customer)
        rows = (row for row in rows if row["about"] == about)
    found = [row for row in rows if who in (None, row["who"])]
    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    shown = found if most is None else found[-most:] if most else []
    if format is Shape.JSON:
        _write_json(shown)
    elif shown:
        _show(listing.trail_table(shown))
    else:
        _say("nothing was taken away, and no customer was looked at")


def _tokens(company: Company) -> Tokens:
    from dashboard.access.tokens import Tokens

    return Tokens(company.base / company.configuration.access.tokens_file)


# Alerts


@command
def notify(
    db: Database,
    config: StoreConfig = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was told; default: beside the store, *.notices.json."),
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", help="Look again after so long, such as 15min.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")] = False,
) -> None:
    """Send the alerts and digests that are due.

    Those of the configuration, [[alert]] and [[digest]]. An alert is told once when it is raised and once when it is
    over. Ends with 1 when something could not be delivered; it is tried again the next time. Run it by a timer, or with
    --every.
    """
    import signal
    import threading

    from dashboard.notifying import by_apprise, check_variables
    from schemas.settings import parse_duration
    from sinks.alerting import beside

    company = _company([db.absolute().parent], config)
    if not company.configuration.alert and not company.configuration.digest:
        raise ConfigurationError(
            "the configuration has neither [[alert]] nor [[digest]]; write one, or name another file with --config"
        )
    try:
        pause = None if every is None else parse_duration(every).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}", param_hint="--every") from None
    kept = state or beside(db)
    if dry_run:
        _print_notices(db, company, kept)
        return
    check_variables(company.configuration, os.environ)
    hand_over = by_apprise(os.environ)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if pause is None:
        if not _send_notices(db, company, kept, hand_over):
            raise _failure("not everything could be looked at and delivered; the next run tries again")
        return
    while True:
        try:
            _send_notices(db, company, kept, hand_over)
        except (ConfigurationError, TransientError) as error:
            # A store may be away while a new one is moved into its place.
            _say(f"nothing sent this time: {error}")
        if stop.wait(pause):
            return


def _send_notices(db: Path, company: Company, kept: Path, hand_over: Deliver) -> bool:
    """Look, and deliver; return whether that was all that there is."""
    from dashboard.notifying import decide, deliver
    from sinks.alerting import alone, load, save
    from sinks.store import Store

    with alone(kept):
        standings = load(kept)
        with Store.open(db) as store:
            wrong = decide(store, company.configuration, standings, _now().replace(tzinfo=None))
        # What is to be said is kept before it is delivered: whatever ends the process, it is said.
        save(kept, standings)
        waiting = len(standings.outbox)
        failed = deliver(standings, kept, hand_over)
    for sentence in wrong:
        _say(sentence)
    for letter, why in failed:
        reason = "" if why is None else f": {why}"
        _say(f"{letter.title!r} could not be delivered to the address in {letter.variable}{reason}")
    _say(f"sent: {waiting - len(failed)}")
    return not wrong and not failed


def _print_notices(db: Path, company: Company, kept: Path) -> None:
    from dashboard.notifying import decide
    from sinks.alerting import load
    from sinks.store import Store

    standings = load(kept)
    with Store.open(db) as store:
        wrong = decide(store, company.configuration, standings, _now().replace(tzinfo=None))
    for sentence in wrong:
        _say(sentence)
    for letter in standings.outbox:
        typer.echo(f"to {letter.variable}\n{letter.title}\n{letter.body}\n")
    if not standings.outbox:
        typer.echo("nothing is to be sent")


# The live pipeline: receivers


@command
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

    company = _company([Path()], config)
    settings = company.configuration
    kafka, credentials = _kafka_of(company, bootstrap)
    assembly = Assembly(settings, company.base, os.environ, _say)

    def clear_identifiers() -> Identifiers:
        # Raw topics carry clear identifiers and ingest makes the tokens: the company's key is not needed here.
        return Identifiers(
            secrets.token_bytes(32), settings.company.region, settings.company.outside_prefixes, clear=True
        )

    def watch(outbox: Outbox) -> AbstractContextManager[object]:
        return nullcontext() if watched_at is None else watch_receivers(outbox, kafka, credentials, watched_at, _say)

    watched_at = None if metrics is None else address(metrics)
    clear_identifiers()
    require_topics(kafka, credentials, RAW_TOPICS)
    with Positions(company.base / settings.receive.folder) as positions:
        run(
            lambda outbox, reader: assembly.make(positions, outbox, reader),
            KafkaLog(kafka, credentials, patience=timedelta(seconds=5)),
            kafka.partitions,
            settings.receive,
            lambda: Reader(Translator(clear_identifiers), _now),
            _say,
            watch,
        )


# The live pipeline: files into topics


def _publish(
    paths: Sequence[Path], config: Path | None, skip_unknown: bool, bootstrap: str, speed: str, resume: bool
) -> None:
    from agents.log import KafkaLog
    from agents.publisher import Pace, gather, parse_speed, publish
    from agents.spool import FOLDER_NAME, Origin, Spool
    from pipeline import configuration as configurations
    from pipeline.identifiers import Identifiers
    from pipeline.sources.feeding import feed

    pace = Pace(parse_speed(speed), time.monotonic, time.sleep)
    company = _company(paths, config)
    kafka, credentials = _kafka_of(company, bootstrap)
    inputs = _inputs(paths, company, skip_unknown)
    key, settings = _key(company), company.configuration
    # Raw topics carry clear identifiers; ingest makes the tokens.
    identifiers = Identifiers(key, settings.company.region, settings.company.outside_prefixes, clear=True)
    configurations.engine_settings(settings, identifiers)  # the company's own identifiers are told too, as in a store
    complete_through = configurations.complete_through(settings)
    stamps = [
        (item.source, item.file, item.parser.name, item.size_bytes, item.path.stat().st_mtime_ns) for item in inputs
    ]
    folder, same_inputs = company.base / FOLDER_NAME, _digest(repr((stamps, company.text, _digest(key))).encode())
    with (
        Spool.resume(folder, same_inputs) if resume else Spool.create(folder, same_inputs) as spool,
        KafkaLog(kafka, credentials) as log,
        Reading(_messages(), sum(item.size_bytes for item in inputs)) as reading,
    ):
        if not resume:
            feeds = (
                (Origin(item.source, item.file, item.parser.name), feed(item, identifiers, _now(), complete_through))
                for item in inputs
            )
            for warning in gather(spool, feeds, reading.advance):
                _say(warning)
        try:
            publish(spool, log, kafka.partitions, pace, lambda done, total: reading.begin("publishing", done, total))
        except (TransientError, KeyboardInterrupt) as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            done = f"{spool.acknowledged_count:,} of {spool.record_count:,} records are published"
            raise _failure(f"{reason}; {done}; the same command with --resume goes on there") from None
    _say(f"published {spool.record_count:,} records to {kafka.topic('raw.*')}")


# The CRM's own database


crm = typer.Typer(no_args_is_help=True, help="Read the CRM's own database.")
app.add_typer(crm, name="crm")


@crm.command("pull")
@_guarded
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
    import signal
    import threading

    from agents.crm_database.running import database_of, ledger_path, opened, run
    from pipeline.identifiers import Identifiers

    if kafka and _is_typed(context, "db"):
        raise typer.BadParameter("give --db or --kafka, not both")
    if not kafka and db is None:
        raise typer.BadParameter("one of --db and --kafka is needed")
    if bootstrap is not None and not kafka and _is_typed(context, "bootstrap"):
        raise typer.BadParameter("--bootstrap goes with --kafka")
    company = _company([Path()], config)
    settings = database_of(company.configuration, source)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    region, prefixes = company.configuration.company.region, company.configuration.company.outside_prefixes
    unkept = Identifiers(secrets.token_bytes(32), region, prefixes)
    prefix = company.configuration.kafka.prefix if kafka else None
    path = ledger_path(company.base, settings, prefix)
    with (
        (_pulled_topics(company, bootstrap, source) if kafka else _pulled_store(company, db or Path(), source)) as make,
        Reading(_messages(), 0) as reading,
        opened(
            settings, company.base, os.environ, path, make, unkept, keeps_values=not kafka, now=_now, stop=stop,
            read=lambda count: reading.advance(0, count),
        ) as pull,
    ):  # fmt: skip
        run(pull, follow, stop, _say)
    if stop.is_set() and not follow:
        raise _failure("interrupted; the same command goes on there")
    if not kafka and not follow and db is not None:
        _show_run(db)


@contextmanager
def _pulled_topics(company: Company, bootstrap: str | None, source: str) -> Iterator[MakeTarget]:
    """Give what makes the target of a pull into topics."""
    from agents.crm_database.delivering import Topics
    from agents.log import KafkaLog
    from agents.topics import require_topics
    from schemas.topics import RAW_TOPICS

    settings, credentials = _kafka_of(company, bootstrap)
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

    key = _key(company)
    identifiers = _identifiers(company, key)
    rules = configurations.engine_settings(company.configuration, identifiers)

    def make(kept: Sequence[Kept]) -> None:
        started_at = _now()
        engine = Engine(rules)
        build(
            db,
            [(InputInfo(source, each.file, FORMAT, each.byte_count, CARRIES), each.batches) for each in kept],
            lambda store: fold_all(store, engine),
            _run_record(company, rules, key, started_at),
            now=lambda: _now().replace(tzinfo=None),
            last=_last_look(company, key, db),
        )

    def target(ledger: Ledger, fit: Fit) -> Stores:
        def context(file: str) -> ReadContext:
            return ReadContext(source, file, fit.zone, identifiers, _now(), zone_is_given=True)

        return Stores(ledger, [fitted.table.name for fitted in fit.tables], context, make)

    yield target


# The live pipeline: dead letters


dead_letters = typer.Typer(no_args_is_help=True, help="Show records that could not be used, and try them again.")
app.add_typer(dead_letters, name="dead-letters")
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Those whose reason contains this text.")]


@dead_letters.command("list")
@_guarded
def list_dead_letters(
    reason: Reason = None,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count them by source and reason.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many; a table shows 50 unless told.")] = None,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Print which records could not be used, where they stand and why."""
    from itertools import islice

    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    with _dead_letters(config, bootstrap) as (letters, _):
        rows: list[dict[str, Any]]
        if by_reason:
            rows = [
                {"source": source, "reason": text, "count": count} for source, text, count in letters.reasons(reason)
            ]
        else:
            rows = [
                {
                    "raw_id": letter.raw_id,
                    "reason": letter.reason,
                    "topic": letter.topic,
                    "refused_at": letter.written_at,
                }
                for letter in islice(letters.find(reason=reason), most)
            ]
    if format is Shape.JSON:
        _write_json(rows)
    elif rows:
        _show(terminal.letter_table(rows[:most]))
    else:
        _say("no dead letters")


@dead_letters.command("show")
@_guarded
def show_dead_letter(
    raw_id: Annotated[str, typer.Argument(help="Identity of the record, as list prints it.")],
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Print one record as it was received, with everything in clear."""
    with _dead_letters(config, bootstrap) as (letters, _):
        letter = letters.one(raw_id)
    _say(f"{letter.raw_id} from {letter.topic}, refused {letter.written_at:%Y-%m-%d %H:%M:%S} UTC: {letter.reason}")
    typer.echo(letter.value)


@dead_letters.command("retry")
@_guarded
def retry_dead_letters(
    raw_ids: Annotated[list[str] | None, typer.Argument(metavar="RAW_ID", help="Identities of records.")] = None,
    reason: Reason = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Publish records again, once what was wrong is mended.

    They keep their identity: one that is used then is a dead letter no longer.
    """
    if sum((bool(raw_ids), reason is not None, every)) != 1:
        raise typer.BadParameter("name records, or give one of --reason and --all")
    with _dead_letters(config, bootstrap) as (letters, partitions):
        count = letters.retry(letters.find(raw_ids or (), reason), partitions)
    if not count:
        raise _failure("no dead letter fits; `bypassflow dead-letters list` shows them")
    _say(f"published {count:,} records again")


@contextmanager
def _dead_letters(config: Path | None, bootstrap: str | None) -> Iterator[tuple[DeadLetters, int]]:
    """Give the company's dead letters, and how many partitions a raw topic has."""
    from agents.dead_letters import DeadLetters
    from agents.log import KafkaLog
    from pipeline.sealing import Seal

    company = _company([Path()], config)
    settings, credentials = _kafka_of(company, bootstrap)
    seal = Seal(_key_of(company))
    with KafkaLog(settings, credentials) as log:
        yield DeadLetters(log, company.configuration.company.id, settings.fact_partitions, seal), settings.partitions


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
