"""What alerts look at in a store, and how they stand: kept in a small file beside it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.alerting import Standing
from pipeline.errors import ConfigurationError
from schemas.alerting import Kind
from sinks import measures, silent
from sinks.annotations import beside as annotations_beside
from sinks.effects import check_scope
from sinks.measures import Filters
from sinks.metrics import delay, split
from sinks.store import Store

_FORM: Final = 1
_SHARE_DAYS: Final = 28
_SILENCE_DAYS: Final = 2
# Longer than the longest holidays on which nobody works.
_ALL_SILENT: Final = timedelta(days=5)


@dataclass(frozen=True)
class Seen:
    """The value of an alert, None when nothing is known, and what there is to say of it."""

    value: float | None
    row: Mapping[str, Any] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def settled_days(store: Store, days: int, wanted: Mapping[str, Collection[str]]) -> Filters:
    """Return the last days, so many, whose traces have been logged; of an empty store no days at all."""
    zone = ZoneInfo(measures.zone_of(store))
    settling = delay.settling(store, filters=Filters(wanted))
    first = delay.first_unsettled_day(settling)
    if first is None and not settling:
        return Filters({**wanted, "channel": ()}, None, None)
    after = date.fromisoformat(first) if first is not None else date.fromisoformat(settling[-1]["day"]) + timedelta(1)
    begin, end = (measures.instant(each.isoformat(), zone) for each in (after - timedelta(days=days), after))
    return Filters(wanted, begin, end)


def look(store: Store, kind: Kind, days: int | None, wanted: Mapping[str, Collection[str]], now: datetime) -> Seen:
    """Return what an alert of a kind looks at; `days` None: its usual ones. `now` is UTC without a zone.

    Raises:
        ConfigurationError: when it is about a team or a channel that no interaction has.
    """
    if kind == "share":
        check_scope(store, wanted.get("team", ()), wanted.get("channel", ()))
        filters = settled_days(store, days or _SHARE_DAYS, wanted)
        (row,) = split.share(store, (), None, filters)
        return Seen(row["bypass_share_low"], row)
    if kind == "silence":
        zone = ZoneInfo(measures.zone_of(store))
        (found,) = store.rows("SELECT max(started_at) AS last FROM observation_base")
        if found["last"] is None:
            return Seen(None)
        since = found["last"] - timedelta(days=days or _SILENCE_DAYS)
        told: list[str] = list(silent.warnings(store, zone, since, None))
        # What is silent beside others is found by them; when all are, only the clock tells.
        if now - found["last"] > _ALL_SILENT:
            silent_days = (now - found["last"]).days
            told = [f"no source has written anything for {silent_days} days; is everything still read?", *told]
        return Seen(float(len(told)), {}, tuple(told))
    accounts = measures.audit(store)
    rejected, raw = (sum(row[name] for row in accounts) for name in ("rejected_count", "raw_count"))
    return Seen(rejected / raw if raw else None, {"rejected_count": rejected, "raw_count": raw})


# -- how they stand ----------------------------------------------------------------------------------------------------


@dataclass
class Letter:
    """A message that is to be delivered: to where the variable says. Only the newest of a name waits there."""

    name: str
    variable: str
    title: str
    body: str


@dataclass
class Standings:
    """How each alert stands, when each digest was last sent, and what waits to be delivered."""

    alerts: dict[str, Standing] = field(default_factory=dict)
    digests: dict[str, datetime] = field(default_factory=dict)
    outbox: list[Letter] = field(default_factory=list)

    def post(self, letter: Letter) -> None:
        """Put a message into the outbox, in place of an older one of the same name that still waits there."""
        older = (letter.name, letter.variable)
        self.outbox = [each for each in self.outbox if (each.name, each.variable) != older] + [letter]


def beside(store: Path) -> Path:
    """Return where the standings of a store's alerts are kept.

    >>> beside(Path("data/bypass.duckdb")).name
    'bypass.notices.json'
    """
    kept = annotations_beside(store)
    return kept.with_name(kept.name.replace(".annotations.sqlite", ".notices.json"))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep others from reading and writing what is kept meanwhile: two at once would tell everything twice.

    Raises:
        ConfigurationError: when another one is at it.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{lock} cannot be written: {(error.strerror or '').lower()}; name another place with --state"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(f"another notify is at work with {path}; one is enough") from None
        yield
    finally:
        os.close(descriptor)


def load(path: Path) -> Standings:
    """Return what is kept; nothing where there is no file.

    Raises:
        ConfigurationError: when the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Standings()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or '').lower()}") from None
    try:
        kept = json.loads(data)
        if kept["form"] != _FORM:
            raise ValueError
        return Standings(
            {name: Standing(_read(each["raised_at"]), _read(each["told_at"])) for name, each in kept["alerts"].items()},
            {name: _instant(each) for name, each in kept["digests"].items()},
            [Letter(**each) for each in kept["outbox"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{path} does not hold how alerts stand, or another version wrote it; move it away to begin anew"
        ) from None


def save(path: Path, standings: Standings) -> None:
    """Keep how everything stands: whole or not at all.

    Raises:
        ConfigurationError: when it cannot be written.
    """
    kept = {
        "form": _FORM,
        "alerts": {
            name: {"raised_at": _written(each.raised_at), "told_at": _written(each.told_at)}
            for name, each in sorted(standings.alerts.items())
        },
        "digests": {name: each.isoformat() for name, each in sorted(standings.digests.items())},
        "outbox": [vars(each) for each in standings.outbox],
    }
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            json.dump(kept, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {(error.strerror or '').lower()}; name another place with --state"
        ) from None


def _read(text: str | None) -> datetime | None:
    return None if text is None else _instant(text)


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("an instant with a zone")
    return moment


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
