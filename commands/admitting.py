"""Who may look: tokens, and the trail of what they looked at."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.application import app, guarded
from commands.arguments import Database, KafkaConfig, Shapes, StoreConfig
from commands.company import Company, company_of, utc_now
from commands.output import TABLE_ROWS, Shape, say, show, write_json

if TYPE_CHECKING:
    from dashboard.access.tokens import Tokens


access = typer.Typer(no_args_is_help=True, help="Tokens of people and programs, and the trail of what they looked at.")


app.add_typer(access, name="access")


@access.command("create")
@guarded
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
    now, kept = utc_now().replace(tzinfo=None), _tokens(company_of([Path()], config))
    typer.echo(kept.create(name, scope, teams=team or (), days=days, now=now, random_bytes=secrets.token_bytes))
    say(f"made the token {name}; its secret is shown this once, so keep it where only its owner reads it")


@access.command("list")
@guarded
def list_tokens(config: KafkaConfig = None, format: Shapes = Shape.TABLE) -> None:
    """Show the tokens, without their secrets."""
    from dashboard.access import listing

    rows = listing.token_rows(_tokens(company_of([Path()], config)).all(), utc_now().replace(tzinfo=None))
    if format is Shape.JSON:
        write_json(rows)
    else:
        show(listing.token_table(rows))


@access.command("revoke")
@guarded
def revoke_token(name: Annotated[str, typer.Argument(help="Name of the token.")], config: KafkaConfig = None) -> None:
    """Take a token back; it opens nothing any more.

    A running server heeds it at once, and sessions that began with it end.
    """
    _tokens(company_of([Path()], config)).revoke(name)
    say(f"revoked the token {name}")


@access.command("log")
@guarded
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

    company = company_of([db.absolute().parent], config)
    rows = trail.read(trail.beside(db))
    if customer is not None:
        key = load_key(company.base / company.configuration.access.key_file)
        about = trail.Trail(trail.beside(db), key).digest(customer)
        rows = (row for row in rows if row["about"] == about)
    found = [row for row in rows if who in (None, row["who"])]
    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    shown = found if most is None else found[-most:] if most else []
    if format is Shape.JSON:
        write_json(shown)
    elif shown:
        show(listing.trail_table(shown))
    else:
        say("nothing was taken away, and no customer was looked at")


def _tokens(company: Company) -> Tokens:
    from dashboard.access.tokens import Tokens

    return Tokens(company.base / company.configuration.access.tokens_file)
