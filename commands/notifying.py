"""Alerts and digests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.application import command
from commands.arguments import Database, StoreConfig
from commands.company import Company, company_of, utc_now
from commands.output import failure, say
from commands.reloading import reloading
from pipeline.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from dashboard.notifying import Deliver


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

    company = company_of([db.absolute().parent], config)
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
            raise failure("not everything could be looked at and delivered; the next run tries again")
        return
    now = [company]

    def take(changed: Company) -> None:
        check_variables(changed.configuration, os.environ)
        now[0] = changed

    def again() -> Company:
        return company_of([db.absolute().parent], config)

    with reloading(company, again, {"alert": take, "digest": take}):
        while True:
            try:
                _send_notices(db, now[0], kept, hand_over)
            except (ConfigurationError, TransientError) as error:
                # A store may be away while a new one is moved into its place.
                say(f"nothing sent this time: {error}")
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
            wrong = decide(store, company.configuration, standings, utc_now().replace(tzinfo=None))
        # What is to be said is kept before it is delivered: whatever ends the process, it is said.
        save(kept, standings)
        waiting = len(standings.outbox)
        failed = deliver(standings, kept, hand_over)
    for sentence in wrong:
        say(sentence)
    for letter, why in failed:
        reason = "" if why is None else f": {why}"
        say(f"{letter.title!r} could not be delivered to the address in {letter.variable}{reason}")
    say(f"sent: {waiting - len(failed)}")
    return not wrong and not failed


def _print_notices(db: Path, company: Company, kept: Path) -> None:
    from dashboard.notifying import decide
    from sinks.alerting import load
    from sinks.store import Store

    standings = load(kept)
    with Store.open(db) as store:
        wrong = decide(store, company.configuration, standings, utc_now().replace(tzinfo=None))
    for sentence in wrong:
        say(sentence)
    for letter in standings.outbox:
        typer.echo(f"to {letter.variable}\n{letter.title}\n{letter.body}\n")
    if not standings.outbox:
        typer.echo("nothing is to be sent")
