"""The number, the rows behind it, and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from commands.application import command
from commands.arguments import DIMENSIONS, AnnotationsFile, AnyDatabase, Since, StoreConfig, Until, Url, Values
from commands.company import annotations_of, groups_of
from commands.output import TABLE_ROWS, ReportShape, RowShape, failure, say, show, standard_output
from dashboard import terminal
from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.groups import GroupRules
    from sinks.answers import Answers


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
        _write_pages(db, since, until, wanted, language, pages, groups_of(db, config))
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
    with answers(db, url, groups_of(db, config, is_granted=True)) as asked:
        if chart:
            _show_charts(asked, dimensions[:1], since, until, wanted)
            return
        found = asked.report(dimensions, since, until, wanted)
    rows, overall = found.rows, found.overall
    for warning in found.warnings:
        say(f"warning: {warning}")
    if format is ReportShape.TABLE:
        show(terminal.report_table(rows, dimensions, overall), terminal.headline(overall))
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
        say(f"written: {path}")


def _say_labels(db: Path, annotations: Path | None) -> None:
    """Say how many interactions people judged, when there are any."""
    from dashboard.annotating import label_sentence
    from sinks.labelling import count_labels
    from sinks.store import Store

    kept = annotations_of(db, annotations)
    if kept.labels():
        with Store.open(db) as store:
            say(label_sentence(count_labels(store, kept)))


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
    kept = annotations_of(db, annotations)
    with Store.open(db) as store:
        zone = ZoneInfo(measures.zone_of(store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        found = corrected(store, kept, begin, end)
        counts = count_labels(store, kept)
    if counts.judged_count:
        say(label_sentence(counts))
    if isinstance(found, TooLittle):
        raise failure(f"no corrected share: {found.reason}; `bypassflow label sample` draws what to judge")
    if format is ReportShape.TABLE:
        show(correction(found))
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
        say(f"warning: {warning}")
    width = standard_output().width
    drawn = [charts.trend(rows, step, width), *(charts.bars(found.rows, name, width) for name in dimensions)]
    typer.echo("\n\n".join(drawn))
    show("", terminal.headline(found.overall))


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
    with answers(db, url, groups_of(db, config, is_granted=True)) as asked:
        most = TABLE_ROWS if is_table and limit is None else limit
        found = asked.interactions({name: values for name, values in wanted.items() if values}, since, until, most)
    if format is RowShape.PARQUET:
        export.write_parquet(found, sys.stdout.buffer)
    elif is_table:
        show(terminal.interaction_table(found.to_pylist()) if found.num_rows else "no interaction fits")
        if limit is None and found.num_rows == TABLE_ROWS:
            say(f"the first {TABLE_ROWS}; --limit shows more, --format csv or parquet gives all")
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
    show(explanation(found, Annotations(kept).labels_of(found.interaction["interaction_id"]) if kept else ()))
