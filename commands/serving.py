"""Answers for people and programs, over HTTP."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.application import process
from commands.arguments import AnnotationsFile, Database, StoreConfig
from commands.company import Company, company_of, groups_of, utc_now
from commands.output import say
from commands.reloading import Take, reloading
from commands.stopping import stop_at_signals
from commands.traces import tracer_of
from pipeline.errors import ConfigurationError
from schemas.tracing import UNTRACED, Tracer

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from dashboard.web import Site
    from sinks.asking import Asking


@process
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
    it unless --listen says otherwise, and then people and programs have to sign in, as the configuration's access says.
    Stops at Ctrl-C and SIGTERM.
    """
    import webbrowser

    from sinks.following import Following

    company = company_of([db.absolute().parent], config)
    stop = stop_at_signals()

    def again() -> Company:
        return company_of([db.absolute().parent], config)

    with (
        Following(db, say, groups_of(db, config)) as following,
        site_over(following.asking, db, listen, annotations, company, tracer=tracer_of("serve", os.environ, say)) as (
            site,
            let_in,
        ),
        reloading(
            company,
            again,
            {"access": let_in, "privacy": lambda _: following.show_groups(groups_of(db, config))},
        ),
    ):
        site.warm()
        typer.echo(site.url)
        if opens:
            webbrowser.open(site.url)
        following.run(stop)


@contextmanager
def site_over(
    asking: Asking,
    db: Path,
    listen: str,
    annotations: Path | None,
    company: Company,
    status: Callable[[], dict[str, Any]] | None = None,
    tracer: Tracer = UNTRACED,
) -> Iterator[tuple[Site, Take]]:
    """Serve the pages and the API over the store at a path meanwhile; give also what takes a changed [access]."""
    from dashboard.access import trail
    from dashboard.access.opening import open_access
    from dashboard.web import Site, is_loopback_name, make_app
    from sinks.annotations import beside
    from sinks.running import address

    host, port = address(listen)
    is_local = is_loopback_name(f"[{host}]" if ":" in host else host)

    def now() -> datetime:
        return utc_now().replace(tzinfo=None)

    def made(whose: Company) -> ASGIApp:
        access = open_access(
            whose.configuration.access, whose.base, trail.beside(db), is_local=is_local, environment=os.environ,
            random_bytes=secrets.token_bytes, now=now, tell=say,
        )  # fmt: skip
        kept = annotations or beside(db)
        return make_app(
            asking, status=status, is_local=is_local, annotations=kept, access=access, now=now, tracer=tracer
        )

    sign_in = company.configuration.access.sign_in

    def let_in(changed: Company) -> None:
        nonlocal sign_in
        # While a file is being written it may be empty or away for a moment, and then it says nothing of who may look.
        if sign_in != "none" and changed.configuration.access.sign_in == "none":
            raise ConfigurationError(
                "nobody would have to sign in any more; start the process again if [access] is to ask nobody"
            )
        site.show(made(changed))
        sign_in = changed.configuration.access.sign_in

    with Site(made(company), asking, host, port) as site:
        yield site, let_in
