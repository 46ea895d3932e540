"""Labels: what people say of single interactions."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from commands.application import app, guarded
from commands.arguments import AnnotationsFile, Author, Database, Note, Shapes, Since, Until
from commands.company import annotations_of, utc_now
from commands.output import TABLE_ROWS, Shape, say, show, write_json
from pipeline.errors import ConfigurationError

label = typer.Typer(no_args_is_help=True, help="Judge interactions, and correct the share by what comes out.")


app.add_typer(label, name="label")


@label.command("sample")
@guarded
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

    kept = annotations_of(db, annotations)
    with Store.open(db) as store:
        zone = ZoneInfo(measures.zone_of(store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        drawn_at = utc_now().replace(tzinfo=None)
        rows = draw(store, kept, size=size, seed=seed, drawn_at=drawn_at, since=begin, until=end)
    export.write_csv(rows, SAMPLE_COLUMNS, sys.stdout)
    sys.stdout.flush()
    say(f"drew {len(rows):,} interactions; verdicts: {_verdicts()}")


@label.command("add")
@guarded
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

    labelled_at = utc_now().replace(tzinfo=None)
    with Store.open(db) as store:
        kept = annotations_of(db, annotations)
        added = labelling.add_label(
            store, kept, interaction, verdict, labelled_at=labelled_at, note=note, author=author
        )
    say(f"labelled {added.interaction_id} as {added.verdict}")


@label.command("import")
@guarded
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
            labels, open_count = read_labels(store, stream, labelled_at=utc_now().replace(tzinfo=None), author=author)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is no UTF-8 text; save it as CSV in UTF-8") from None
    annotations_of(db, annotations).add_labels(labels)
    say(f"took in {len(labels):,} labels; {open_count:,} rows have no verdict yet")


@label.command("list")
@guarded
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

    kept = annotations_of(db, annotations)
    found = kept.labels()
    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    if format is Shape.JSON:
        write_json([asdict(each) for each in found[:most]])
    elif found:
        show(label_table(found[:most]))
        with Store.open(db) as store:
            say(label_sentence(count_labels(store, kept)))
    else:
        say("no labels; `bypassflow label sample` draws what to judge")


def _verdicts() -> str:
    from schemas.annotations import VERDICTS

    return "; ".join(f"{name} ({meaning})" for name, meaning in VERDICTS.items())
