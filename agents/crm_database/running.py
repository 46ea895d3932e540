"""A pull as a configuration names it: everything that can be wrong with it is found before the first row is read."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final

from agents.crm_database.connection import open_database
from agents.crm_database.delivering import FORMAT
from agents.crm_database.fitting import Fit, fit
from agents.crm_database.ledger import Ledger
from agents.crm_database.pulling import PATIENCE, Puller, Summary, Target
from pipeline.crm_tables.layouts import VERSION, layout_of
from pipeline.errors import ConfigurationError, TransientError
from pipeline.identifiers import Identifiers
from pipeline.sources.registry import ReadContext
from schemas.crm_database import CrmDatabaseSettings
from schemas.settings import Configuration, slug

# Beside the configuration.
FOLDER_NAME: Final = ".bypassflow-crm"
_LONGEST_PAUSE_SECONDS: Final = 60.0


def database_of(configuration: Configuration, source: str) -> CrmDatabaseSettings:
    """Return the settings of a source's database.

    Raises:
        ConfigurationError: when the configuration has none, or several.
    """
    found = [settings for settings in configuration.crm_database if settings.source == source]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError(f"{len(found)} [[crm_database]] have the source {source!r}; keep one of them")
    known = [settings.source for settings in configuration.crm_database]
    if not known:
        raise ConfigurationError(
            'the configuration has no [[crm_database]]; for example source = "crm", mapping = "suitecrm", '
            'url = "mysql://reader:${CRM_PASSWORD}@crm-db.acme.example/suitecrm"'
        )
    near = difflib.get_close_matches(source, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise ConfigurationError(f"no [[crm_database]] has the source {source!r}; {hint}")


def ledger_path(base: Path, settings: CrmDatabaseSettings, prefix: str | None) -> Path:
    """Return where the ledger of a source stands: one for stores, and one for the topics of each prefix."""
    name = settings.source if prefix is None else f"{settings.source}.{slug(prefix)}.topics"
    return base / FOLDER_NAME / f"{name}.sqlite"


@dataclass(frozen=True)
class Pull:
    """A puller that is ready, and by what its rows are told."""

    puller: Puller
    mapping: str
    settings: CrmDatabaseSettings


@contextmanager
def opened(
    settings: CrmDatabaseSettings,
    base: Path,
    environment: Mapping[str, str],
    path: Path,
    make_target: Callable[[Ledger, Fit], Target],
    identifiers: Identifiers,
    *,
    keeps_values: bool,
    now: Callable[[], datetime],
    stop: Event,
    patience: timedelta = PATIENCE,
    read: Callable[[int], None] = lambda rows: None,
) -> Iterator[Pull]:
    """Give a pull that is ready; `path` is its ledger's, `patience` that with open transactions.

    `identifiers` are for what is shown of refused records, and meet no others.

    Raises:
        ConfigurationError: when anything in the settings, the database's tables or the ledger does not fit.
        TransientError: when the database cannot be reached.
    """
    layout = layout_of(settings)
    database = open_database(settings, environment, base)
    try:
        fitted = fit(layout, database, settings)
        with Ledger(path, keeps_values) as ledger:
            target = make_target(ledger, fitted)

            def context() -> ReadContext:
                return ReadContext(settings.source, FORMAT, fitted.zone, identifiers, now(), zone_is_given=True)

            puller = Puller(
                database, fitted, settings, ledger, target, context,
                now=now, is_stopped=stop.is_set, patience=patience, read=read,
            )  # fmt: skip
            yield Pull(puller, _mapping(settings, fitted), settings)
    finally:
        database.close()


def run(pull: Pull, follow: bool, stop: Event, tell: Callable[[str], None]) -> None:
    """Read once, or again and again until stopped. `tell` hears what was found.

    Raises:
        TransientError: when something cannot be reached; to follow, it is tried again.
        ConfigurationError: when it cannot go on as configured.
    """
    said: set[str] = set()
    pause = 1.0
    while not stop.is_set():
        try:
            summary = pull.puller.pull(pull.mapping)
        except TransientError as error:
            if not follow:
                raise
            tell(f"{error} Trying again in {pause:.0f} s")
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            continue
        pause = 1.0
        if summary is None:
            return
        for warning in summary.warnings:
            if warning not in said:
                said.add(warning)
                tell(warning)
        if summary.changed_count or summary.gone_count or not follow or summary.is_full:
            tell(sentence(pull.settings.source, summary))
        if not follow:
            return
        stop.wait(pull.settings.poll.total_seconds())


def sentence(source: str, summary: Summary) -> str:
    """Return what a read found, in one sentence."""
    rows = f"{summary.row_count:,} rows{'' if summary.is_full else ' with changes'}"
    reach = (
        "how far it reaches is not known yet"
        if summary.progress is None
        else f"everything logged before {summary.progress:%Y-%m-%d %H:%M:%S} UTC was read"
    )
    changed = f"{summary.changed_count:,} records are new or changed, {summary.gone_count:,} are gone"
    return f"{source}: {rows}; {changed}; {reach}"


def _mapping(settings: CrmDatabaseSettings, fitted: Fit) -> str:
    """Return what stands for how rows are told, and of which tables: those of a new module are read as a whole."""
    told_by = settings.model_dump_json(include={"mapping", "table", "timezone", "db_schema"})
    tables = ",".join(found.table.name for found in fitted.tables)
    return hashlib.sha256(f"{VERSION}:{tables}:{told_by}".encode()).hexdigest()[:16]
