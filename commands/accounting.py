"""Whether the number can be believed: accounts, chance, and a known truth."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.application import command
from commands.arguments import AnyDatabase, Database, Shapes, Url
from commands.output import Shape, failure, say, show, write_json
from dashboard import terminal
from pipeline.errors import ConfigurationError


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
        show(terminal.account_table(accounts))
    lost = sum(account["unaccounted_count"] for account in accounts)
    if lost:
        raise failure(f"{lost:,} raw events are unaccounted for; this is a defect of bypassflow, please report it")


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
        show(placebo_table(found, days))
    if is_short:
        say("the shift is not longer than the windows, so true traces are found again; try --placebo 14")


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
        write_json(found)
    else:
        show(evaluation(found))
