"""The questions that people ask of a store, answered from a file or by a running sink that holds it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Protocol, Self
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.groups import OFF, GroupRules
from schemas.alerting import Kind
from schemas.closing import Closing
from sinks import alerting, explanations, measures, silent
from sinks.alerting import Seen
from sinks.explanations import Explanation
from sinks.gist import Gist, gist
from sinks.store import Store

Row = dict[str, Any]

# No filter.
ALL: Final[Mapping[str, Collection[str]]] = MappingProxyType({})


@dataclass(frozen=True)
class Report:
    """The number by dimensions, and as a whole. `warnings` say what makes it doubtful: sources that were silent."""

    rows: list[Row]
    overall: Row
    warnings: Sequence[str] = ()


class Answers(Protocol):
    """What can be asked. Days and instants are texts, meant in the company's time zone.

    Every question raises ConfigurationError when it names what there is not.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def report(
        self, by: Sequence[str], since: str | None, until: str | None, wanted: Mapping[str, Collection[str]] = ALL
    ) -> Report:
        """Return the bypass share of the interactions that fit."""
        ...

    def interactions(
        self, wanted: Mapping[str, Collection[str]], since: str | None, until: str | None, limit: int | None
    ) -> pa.Table:
        """Return the interactions that fit, with their evidence."""
        ...

    def explain(self, interaction_id: str) -> Explanation:
        """Return why an interaction has its outcome."""
        ...

    def audit(self) -> list[Row]:
        """Return the accounts of every source."""
        ...

    def timezone(self) -> str:
        """Return the name of the company's time zone."""
        ...

    def look(self, kind: Kind, days: int | None, wanted: Mapping[str, Collection[str]], now: datetime) -> Seen:
        """Return what an alert looks at, see `sinks.alerting.look`."""
        ...

    def gist(self, days: int, wanted: Mapping[str, Collection[str]]) -> Gist:
        """Return the gist of the last settled days, so many."""
        ...


class StoreAnswers(Closing):
    """Answers from a store that is open in this process, and closes it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def report(
        self, by: Sequence[str], since: str | None, until: str | None, wanted: Mapping[str, Collection[str]] = ALL
    ) -> Report:
        """See `Answers`."""
        begin, end = self._span(since, until)
        (overall,) = measures.report(self.store, (), begin, end, wanted=wanted)
        warnings = silent.warnings(self.store, ZoneInfo(measures.zone_of(self.store)), begin, end)
        return Report(measures.report(self.store, by, begin, end, wanted=wanted), overall, warnings)

    def interactions(
        self, wanted: Mapping[str, Collection[str]], since: str | None, until: str | None, limit: int | None
    ) -> pa.Table:
        """See `Answers`."""
        measures.require_filters(self.store, wanted)
        begin, end = self._span(since, until)
        return measures.interactions(self.store, measures.Filters(wanted, begin, end, limit))

    def explain(self, interaction_id: str) -> Explanation:
        """See `Answers`."""
        return explanations.explain(self.store, interaction_id)

    def audit(self) -> list[Row]:
        """See `Answers`."""
        return measures.audit(self.store)

    def timezone(self) -> str:
        """See `Answers`."""
        return measures.zone_of(self.store)

    def look(self, kind: Kind, days: int | None, wanted: Mapping[str, Collection[str]], now: datetime) -> Seen:
        """See `Answers`."""
        return alerting.look(self.store, kind, days, wanted, now)

    def gist(self, days: int, wanted: Mapping[str, Collection[str]]) -> Gist:
        """See `Answers`."""
        return gist(self.store, alerting.settled_days(self.store, days, wanted))

    def _span(self, since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
        """Return the instants that a user means, in the company's time zone."""
        zone = ZoneInfo(measures.zone_of(self.store))
        begin, end = (measures.instant(text, zone) if text else None for text in (since, until))
        return begin, end


def answers(db: Path | None, url: str | None, groups: GroupRules = OFF) -> Answers:
    """Return who answers: a running sink at `url`, or the store at `db`, of which no more is shown than `groups` allow.

    Raises:
        ConfigurationError: when neither is named, or the store cannot be read.
    """
    if url is not None:
        from sinks.remote import RemoteAnswers

        return RemoteAnswers(url)
    if db is None:
        raise ConfigurationError("name a store with --db FILE, or a running sink with --url http://127.0.0.1:PORT")
    store = Store.open(db)
    store.groups = groups
    return StoreAnswers(store)
