"""The effect of a measure, from a store: what changed where it holds, beside the teams where it does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.effect import AFTER_IT, BEFORE_IT, Change, Comparison, Group, change_of, compare
from pipeline.errors import ConfigurationError
from pipeline.estimate import TooLittle
from pipeline.sentences import Instant, Points, Sentence, Value, sentence
from schemas.annotations import Measure
from sinks.measures import Query, Row
from sinks.store import Store

# Whole weeks, so that a Monday meets a Monday.
SPAN: Final = timedelta(days=28)
SHORTEST: Final = timedelta(days=7)
# From here on a change of the mix of teams is worth a warning.
MIX_THRESHOLD: Final = 0.01
CHANNELS: Final = ("call", "email", "sms", "chat", "social", "fax")


@dataclass(frozen=True)
class Spans:
    """The periods before and after, half open, UTC without a zone: [since, at) and [at, until)."""

    since: datetime
    at: datetime
    until: datetime

    @property
    def middle(self) -> datetime:
        return self.since + (self.at - self.since) / 2


@dataclass(frozen=True)
class Effect:
    """What a measure changed, or the `reason` why nothing can be said.

    `comparison` is None when there are no comparison teams with enough interactions; `warnings` then says why. `teams`
    has one row per team with its counts before and after, and whether the measure holds for it.
    """

    measure: Measure
    spans: Spans | None
    comparison_teams: tuple[str, ...]
    change: Change | None
    comparison: Comparison | None
    teams: Sequence[Row]
    warnings: Sequence[str]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


def check_scope(store: Store, teams: Collection[str], channels: Collection[str]) -> None:
    """Refuse a team or channel that no interaction has: a measure for it would never show an effect.

    Raises:
        ConfigurationError: when there is one.
    """
    known = [row["team"] for row in store.rows(_TEAMS)] if teams else []
    for name, names, what in ((teams, known, "team"), (channels, CHANNELS, "channel")):
        for each in name:
            if each not in names:
                raise ConfigurationError(f"unknown {what} {each!r}; expected one of {', '.join(names) or 'none'}")


def effect(
    store: Store,
    measure: Measure,
    *,
    compare_with: Collection[str] = (),
    span: timedelta = SPAN,
    others: Sequence[Measure] = (),
) -> Effect:
    """Return the effect of a measure on the bypass share, before and after by at most `span` each.

    The periods end where the data end, and before the first pending interaction: of later ones only the traced are
    known. Comparison teams are those named, or all others that talked with customers in both periods; interactions of
    no known team are in neither group. `others` are the company's other measures, of which a warning tells when they
    fall into the same time.

    Raises:
        ConfigurationError: when a comparison team is unknown, or one that the measure holds for.
    """
    check_scope(store, compare_with, ())
    if overlap := sorted(set(compare_with) & set(measure.teams)):
        raise ConfigurationError(f"the measure holds for {', '.join(overlap)}; compare with teams that it left alone")
    if compare_with and not measure.teams:
        raise ConfigurationError("the measure holds for all teams, so there is none to compare with")
    if span < SHORTEST:
        raise ConfigurationError(f"{span.days} days are too short a time; expected {SHORTEST.days} or more")
    spans = _clipped(store, measure, span)
    empty = Effect(measure, None, (), None, None, (), ())
    if isinstance(spans, Sentence):
        return replace(empty, reason=spans)
    teams = store.rows(*_asked(teams_query(measure, spans)))
    chosen = _comparison_teams(measure, teams, compare_with)
    found = store.query(*_asked(customers_query(measure, chosen, spans)))
    change = change_of(_group(found, "measured"))
    warnings = [*_same_time(measure, chosen, spans, others), *_shorter(measure, spans, span)]
    empty = replace(empty, spans=spans, comparison_teams=tuple(chosen), teams=_team_rows(measure, chosen, teams))
    if isinstance(change, TooLittle):
        return replace(empty, reason=change.reason, warnings=warnings)
    comparison: Comparison | None = None
    if chosen:
        compared = compare(_group(found, "measured"), _group(found, "other"))
        if isinstance(compared, TooLittle):
            warnings.append(
                sentence("no comparison: of %(teams)s, %(reason)s", teams=", ".join(chosen), reason=compared.reason)
            )
        else:
            comparison = compared
            warnings += [*_apart_before(compared), *_another_mix(compared, empty.teams)]
    else:
        warnings.append(_no_comparison(measure))
    return replace(empty, change=change, comparison=comparison, warnings=warnings)


# -- what is asked -----------------------------------------------------------------------------------------------------

# Whose interactions resemble each other: a customer's of the CRM; without that an identifier's.
CUSTOMER: Final = "coalesce(customer_ids[1], token, interaction_id)"

_TEAMS: Final = "SELECT DISTINCT team FROM current_interaction WHERE team IS NOT NULL ORDER BY team"
_EXTENT: Final = """
    SELECT
        min(started_at) AS first_at,
        max(started_at) AS last_at,
        min(ended_at) FILTER (outcome = 'pending') AS pending_at -- its window counts from the end
    FROM current_interaction
"""
_UNTRACED: Final = "outcome IN ('siloed', 'bypassed')"
_DECIDED: Final = "outcome <> 'pending'"


def teams_query(measure: Measure, spans: Spans) -> Query:
    """Return the query of each team's decided and untraced interactions before and after, in the measure's channels."""
    counts = [
        f"count(*) FILTER (started_at {sign} $at{more}) AS {name}_{what}"
        for name, sign in (("before", "<"), ("after", ">="))
        for what, more in (("count", ""), ("untraced_count", f" AND {_UNTRACED}"))
    ]
    where, values = _where(measure, spans)
    sql = f"SELECT team, {', '.join(counts)} FROM current_interaction WHERE {where} GROUP BY team ORDER BY team"
    return Query(sql, values)


def customers_query(measure: Measure, comparison_teams: Collection[str], spans: Spans) -> Query:
    """Return the query of counts by customer, group and period, customers with the same counts as one row.

    A customer is one of the CRM; without that an identifier; and one who withholds it, each time another one.
    """
    parts = (("early", "started_at < $middle"), ("late", "started_at >= $middle AND started_at < $at"))
    cells = [
        f"count(*) FILTER ({group} AND {when}{more})::DOUBLE AS {name}_{what}_{period}"
        for name, group in (("measured", "is_measured"), ("other", "NOT is_measured"))
        for what, more in (("decided", ""), ("untraced", f" AND {_UNTRACED}"))
        for period, when in (*parts, ("after", "started_at >= $at"))
    ]
    where, values = _where(measure, spans)
    measured = "list_contains($measured::VARCHAR[], team)" if measure.teams else "true"
    if measure.teams:
        values["measured"] = list(measure.teams)
    values["other"] = sorted(comparison_teams)
    values["middle"] = spans.middle
    sql = f"""
        WITH chosen AS (
            SELECT
                {CUSTOMER} AS customer, started_at, outcome,
                {measured} AS is_measured
            FROM current_interaction
            WHERE {where} AND ({measured} OR list_contains($other::VARCHAR[], team))
        ),
        customer AS (SELECT customer, {", ".join(cells)} FROM chosen GROUP BY customer)
        SELECT * EXCLUDE (customer), count(*)::DOUBLE AS customer_count FROM customer GROUP BY ALL ORDER BY ALL
    """
    return Query(sql, values)


def _where(measure: Measure, spans: Spans) -> tuple[str, dict[str, object]]:
    conditions = [_DECIDED, "started_at >= $since::TIMESTAMP AND started_at < $until::TIMESTAMP"]
    values: dict[str, object] = {"since": spans.since, "at": spans.at, "until": spans.until}
    if measure.channels:
        conditions.append("list_contains($channels::VARCHAR[], channel::VARCHAR)")
        values["channels"] = list(measure.channels)
    return " AND ".join(conditions), values


# -- inside ------------------------------------------------------------------------------------------------------------


def _asked(query: Query) -> tuple[str, dict[str, object]]:
    return query.sql, dict(query.values)


def _clipped(store: Store, measure: Measure, span: timedelta) -> Spans | Sentence:
    """Return the periods as far as the data reach, or why there are none."""
    (extent,) = store.rows(_EXTENT)
    first, last, pending, at = extent["first_at"], extent["last_at"], extent["pending_at"], measure.begins_at
    if first is None:
        return sentence("the store holds no interactions")
    end = last + timedelta(microseconds=1) if pending is None else min(last, pending)
    since, until = max(first, at - span), min(at + span, end)
    if at - since < SHORTEST:
        return sentence(
            "the data begin %(first)s, less than %(days)s days before it began, %(begins)s",
            first=Instant(first),
            days=SHORTEST.days,
            begins=Instant(at),
        )
    if until - at < SHORTEST:
        values: dict[str, Value] = {"end": Instant(end), "days": SHORTEST.days, "begins": Instant(at)}
        if pending is not None and pending <= last:
            return sentence(
                "interactions are decided only until %(end)s, less than %(days)s days after it began, %(begins)s; "
                "replay with newer logs and a newer export of the CRM",
                **values,
            )
        return sentence(
            "the data reach only until %(end)s, less than %(days)s days after it began, %(begins)s; replay with newer "
            "logs and a newer export of the CRM",
            **values,
        )
    return Spans(since, at, until)


def _comparison_teams(measure: Measure, teams: Sequence[Row], named: Collection[str]) -> list[str]:
    if not measure.teams:
        return []
    if named:
        return sorted(set(named))
    return [
        row["team"]
        for row in teams
        if row["team"] is not None
        and row["team"] not in measure.teams
        and row["before_count"] > 0
        and row["after_count"] > 0
    ]


def _group(found: pa.Table, name: str) -> Group:
    def columns(what: str) -> Any:
        return np.column_stack([found[f"{name}_{what}_{period}"].to_numpy() for period in ("early", "late", "after")])

    return Group(columns("untraced"), columns("decided"), found["customer_count"].to_numpy())


def _team_rows(measure: Measure, comparison: Collection[str], teams: Sequence[Row]) -> list[Row]:
    """Return each team's row with its shares, those first for which the measure holds."""
    rows = []
    for row in teams:
        is_measured = not measure.teams or row["team"] in measure.teams
        if is_measured or row["team"] in comparison:
            shares = {
                f"{name}_share": row[f"{name}_untraced_count"] / row[f"{name}_count"] if row[f"{name}_count"] else None
                for name in ("before", "after")
            }
            rows.append({**row, **shares, "is_measured": is_measured})
    return sorted(rows, key=lambda row: not row["is_measured"])


def _same_time(
    measure: Measure, comparison: Collection[str], spans: Spans, others: Sequence[Measure]
) -> list[Sentence]:
    """Return what to know of other measures that began within the periods for any of the same interactions."""
    concerned = {*measure.teams, *comparison}
    warnings = []
    for each in others:
        shares_teams = not each.teams or not measure.teams or concerned & set(each.teams)
        shares_channels = not each.channels or not measure.channels or set(each.channels) & set(measure.channels)
        if each.measure_id != measure.measure_id and spans.since < each.begins_at < spans.until:
            if shares_teams and shares_channels:
                warnings.append(
                    sentence(
                        "'%(name)s' began in the same time, %(begins)s, for %(teams)s: their effects cannot be told "
                        "apart here",
                        name=each.name,
                        begins=Instant(each.begins_at),
                        teams=", ".join(each.teams) or sentence("all teams"),
                    )
                )
    return warnings


def _shorter(measure: Measure, spans: Spans, span: timedelta) -> list[Sentence]:
    parts = ((BEFORE_IT, spans.at - spans.since), (AFTER_IT, spans.until - spans.at))
    return [
        sentence("only %(length)s of %(days)s days %(period)s are known", length=length, days=span.days, period=period)
        for period, length in parts
        if length < span
    ]


def _apart_before(comparison: Comparison) -> list[Sentence]:
    early = comparison.early_difference
    if early is None:
        return [sentence("whether the teams changed alike before it cannot be said: too few interactions in each half")]
    if early.is_zero_possible:
        return []
    return [
        sentence(
            "the teams moved apart before it already, by %(change)s points between the halves of that time (%(low)s to "
            "%(high)s): the comparison is doubtful",
            change=Points(early.value),
            low=Points(early.low),
            high=Points(early.high),
        )
    ]


def _another_mix(comparison: Comparison, teams: Sequence[Row]) -> list[Sentence]:
    """Return a warning when the comparison teams' share moved because other teams of them talked more than before."""
    rows = [row for row in teams if not row["is_measured"] and row["before_count"] and row["after_count"]]
    before = sum(row["before_count"] for row in rows)
    if not before:
        return []
    habits = sum(row["before_count"] / before * (row["after_share"] - row["before_share"]) for row in rows)
    mix = comparison.change.change.value - habits
    if abs(mix) < MIX_THRESHOLD:
        return []
    return [
        sentence(
            "%(mix)s points of the comparison teams' change come from their mix, not from their habits: some of them "
            "talked more than before, others less; name those that are alike",
            mix=Points(mix),
        )
    ]


def _no_comparison(measure: Measure) -> Sentence:
    if not measure.teams:
        return sentence(
            "no comparison: it holds for all teams, so what else changed at that time cannot be told from it"
        )
    return sentence("no comparison: no other team talked with customers in both periods")
