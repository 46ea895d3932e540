"""Alerts and digests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.application import command
from commands.arguments import AnyDatabase, StoreConfig, Url
from commands.company import Company, company_of, utc_now
from commands.output import failure, say
from commands.reloading import reloading
from commands.stopping import stop_at_signals
from pipeline.errors import ConfigurationError, TransientError

if TYPE_CHECKING:
    from dashboard.delivering import Deliver


@command
def notify(
    db: AnyDatabase = None,
    url: Url = None,
    config: StoreConfig = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was told; default: beside the store, *.notices.json."),
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", help="Look again after so long, such as 15min.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")] = False,
) -> None:
    """Send the alerts and digests that are due.

    Those that the configuration asks for. An alert is told once when it is raised and once when it is over. Ends with
    1 when something could not be delivered; it is tried again the next time. Run it by a timer, or with --every. A
    running sink is asked with --url; what was told is then kept where --state says.
    """

    from dashboard.delivering import by_apprise
    from dashboard.notifying import check_variables
    from schemas.settings import parse_duration

    def read() -> Company:
        return company_of([Path() if db is None or url is not None else db.absolute().parent], config)

    kept = state or _beside(db, url)
    company = read()
    if not company.configuration.alert and not company.configuration.digest:
        raise ConfigurationError(
            "the configuration has neither [[alert]] nor [[digest]]; write one, or name another file with --config"
        )
    try:
        pause = None if every is None else parse_duration(every).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}", param_hint="--every") from None
    if dry_run:
        _print_notices(db, url, company, kept)
        return
    check_variables(company.configuration, os.environ)
    hand_over = by_apprise(os.environ)
    stop = stop_at_signals()
    if pause is None:
        if not _send_notices(db, url, company, kept, hand_over):
            raise failure("not everything could be looked at and delivered; the next run tries again")
        return
    now = [company]

    def take(changed: Company) -> None:
        check_variables(changed.configuration, os.environ)
        now[0] = changed

    with reloading(company, read, {"alert": take, "digest": take}):
        while True:
            try:
                _send_notices(db, url, now[0], kept, hand_over)
            except (ConfigurationError, TransientError) as error:
                # A store may be away while a new one is moved into its place, and a sink while it starts again.
                say(f"nothing sent this time: {error}")
            if stop.wait(pause):
                return


def _beside(db: Path | None, url: str | None) -> Path:
    from sinks.alerting import beside

    if db is None or url is not None:
        raise ConfigurationError(
            "name a store with --db FILE, or a running sink with --url http://127.0.0.1:PORT and a file with --state, "
            "in which is kept what was told"
        )
    return beside(db)


def _send_notices(db: Path | None, url: str | None, company: Company, kept: Path, hand_over: Deliver) -> bool:
    """Look, and deliver; return whether that was all that there is."""
    from dashboard.notifying import decide, deliver
    from pipeline.configuration import group_rules
    from sinks.alerting import alone, load, save
    from sinks.answers import answers

    with alone(kept):
        standings = load(kept)
        with answers(db, url, group_rules(company.configuration)) as asked:
            wrong = decide(asked, company.configuration, standings, utc_now().replace(tzinfo=None))
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


def _print_notices(db: Path | None, url: str | None, company: Company, kept: Path) -> None:
    from dashboard.notifying import decide
    from pipeline.configuration import group_rules
    from sinks.alerting import load
    from sinks.answers import answers

    standings = load(kept)
    with answers(db, url, group_rules(company.configuration)) as asked:
        wrong = decide(asked, company.configuration, standings, utc_now().replace(tzinfo=None))
    for sentence in wrong:
        say(sentence)
    for letter in standings.outbox:
        typer.echo(f"to {letter.variable}\n{letter.title}\n{letter.body}\n")
    if not standings.outbox:
        typer.echo("nothing is to be sent")
