"""Measures: what the company changed, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from commands.application import app, guarded
from commands.arguments import AnnotationsFile, Author, Database, Note, Shapes
from commands.company import annotations_of, utc_now
from commands.output import Shape, say, show, write_json

measure = typer.Typer(no_args_is_help=True, help="Note what the company changed, and see what came of it.")


app.add_typer(measure, name="measure")


@measure.command("add")
@guarded
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
    added_at = utc_now().replace(tzinfo=None)
    kept = annotations_of(db, annotations)
    added = kept.add_measure(
        name, begins_at, added_at=added_at, teams=team or (), channels=channel or (), note=note, author=author
    )
    say(f"noted measure {added.measure_id} in {kept.path}; `bypassflow measure effect {added.measure_id}` shows more")


@measure.command("list")
@guarded
def list_measures(db: Database, annotations: AnnotationsFile = None, format: Shapes = Shape.TABLE) -> None:
    """Print the measures."""
    from dashboard.annotating import measure_table

    found = annotations_of(db, annotations).measures()
    if format is Shape.JSON:
        write_json([asdict(each) for each in found])
    elif found:
        show(measure_table(found))
    else:
        say("no measures; `bypassflow measure add` notes one")


@measure.command("remove")
@guarded
def remove_measure(
    name: Annotated[str, typer.Argument(help="Name or number of the measure.")],
    db: Database,
    annotations: AnnotationsFile = None,
) -> None:
    """Remove a measure that was noted by mistake."""
    kept = annotations_of(db, annotations)
    found = kept.measure(name)
    kept.remove_measure(found.measure_id)
    say(f"removed measure {found.measure_id}, {found.name!r}")


@measure.command("effect")
@guarded
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

    kept = annotations_of(db, annotations)
    asked = kept.measure(name)
    with Store.open(db) as store:
        found = effect(store, asked, compare_with=compare or (), span=timedelta(days=days), others=kept.measures())
    if format is Shape.JSON:
        write_json(found.to_dict())
    else:
        show(effect_page(found))
