"""The number, the rows behind it, and the accounts: read from a store.

Pure functions turn a question into SQL with bound values; dimensions and filters come from a fixed list. Each question
is then asked in one place.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from pipeline.errors import ConfigurationError, NotShown
from pipeline.estimate import bounds, wilson
from pipeline.groups import CELL, MERGED, REPRESENTATIVE, grouped, small_groups
from sinks.store import Store

Row = dict[str, Any]

# Zones change their offset on quarters of an hour, so these, and not each interaction, are converted to local time.
_QUARTER: Final = 900_000_000
_LOCAL: Final = "timezone($zone, timezone('UTC', make_timestamp(quarter * 900000000)))"
_SOURCE: Final = (
    "CASE WHEN contains(sources, '+') THEN array_to_string(list_sort(string_split(sources, '+')), '+') ELSE sources END"
)

PLAIN: Final[Mapping[str, str]] = {
    "channel": "channel::VARCHAR",
    "line": "line::VARCHAR",
    "team": "team",
    "function": "function",
    "direction": "direction::VARCHAR",
    "source": _SOURCE,
    "segment": "segment",
    "reason": "reason::VARCHAR",
}
TEMPORAL: Final[Mapping[str, str]] = {
    "hour": f"hour({_LOCAL})::INTEGER",
    "weekday": f"isodow({_LOCAL})::INTEGER",
    "day": f"strftime({_LOCAL}, '%Y-%m-%d')",
    "week": f"strftime({_LOCAL}, '%G-W%V')",
    "month": f"strftime({_LOCAL}, '%Y-%m')",
}
DIMENSIONS: Final = (*PLAIN, *TEMPORAL, REPRESENTATIVE)
_DIVIDED: Final[Mapping[str, str]] = {**PLAIN, REPRESENTATIVE: "representative_id"}

_TEAM: Final = f"CASE WHEN list_contains($together::VARCHAR[], team) THEN '{MERGED}' ELSE team END"

_FILTERS: Final[Mapping[str, str]] = {
    **PLAIN,
    "outcome": "outcome::VARCHAR",
    "tier": "tier::VARCHAR",
    "company": "company_id",
    "token": "token",
    "contact": "contact_id",
    "activity": "activity_id",
    "ticket": "ticket_id",
}
# A list-valued column fits when any of its values is asked for.
_LIST_FILTERS: Final[Mapping[str, str]] = {"representative": "participants", "customer": "customer_ids"}
FILTERS: Final = (*_FILTERS, *_LIST_FILTERS)
# Whose values name a person. They never stand in the question of an address, which browsers, proxies and logs keep.
PERSONAL: Final = ("token", "contact", "representative", "customer")

_OUTCOMES: Final = ("traced", "siloed", "bypassed", "pending")
_EXCLUSIONS: Final = (
    "internal", "automated", "bulk", "emergency", "never_log", "unanswered", "no_human", "too_short",
)  # fmt: skip


@dataclass(frozen=True)
class Query:
    """SQL with named values for it."""

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)


# -- what is asked -----------------------------------------------------------------------------------------------------


def instant(text: str, zone: ZoneInfo) -> datetime:
    """Return the instant that a user means, UTC without a zone.

    A date is its first instant in the zone; an instant without an offset is local time of the zone.

    >>> instant("2024-06-01", ZoneInfo("Europe/Helsinki"))
    datetime.datetime(2024, 5, 31, 21, 0)

    Raises:
        ConfigurationError: when it is neither.
    """
    try:
        value = (
            datetime.combine(date.fromisoformat(text), time.min) if len(text) == 10 else datetime.fromisoformat(text)
        )
        if value.tzinfo is None:
            value = value.replace(tzinfo=zone)
        return value.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{text!r} is no date; expected a day such as 2024-05-31, or an instant such as 2024-05-31T18:00:00Z"
        ) from None


# More rows than anybody reads, and as many as memory has room for while several ask.
MOST_GROUPS: Final = 50_000


def report_query(
    by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    zone: str = "UTC",
    wanted: Mapping[str, Collection[str]] | None = None,
    together: Collection[str] = (),
) -> Query:
    """Return the query of a report: one row per group, with the count of each outcome.

    `wanted` are filters as in `Filters`; teams of `together` are one group.

    Raises:
        ConfigurationError: when a dimension or a filter is unknown.
    """
    dimensions = tuple(dict.fromkeys(known(name, DIMENSIONS, "dimension") for name in by))
    columns = {**_DIVIDED, "team": _TEAM} if together else _DIVIDED
    plain = [f"{columns[name]} AS {name}" for name in dimensions if name in columns]
    temporal = [name for name in dimensions if name in TEMPORAL]
    counts = [f"count(*) FILTER (outcome = '{outcome}') AS {outcome}_count" for outcome in _OUTCOMES]
    quarter = [f"epoch_us(started_at) // {_QUARTER} AS quarter"] if temporal else []
    where, values = condition(since, until, wanted)
    inner = (
        f"SELECT {', '.join([*plain, *quarter, 'count(*) AS interaction_count', *counts])} "
        f"FROM current_interaction{where} GROUP BY ALL"
    )
    if temporal:
        values["zone"] = zone
    if together and "team" in dimensions:
        values["together"] = sorted(together)
    groups = [f"{TEMPORAL[name]} AS {name}" if name in TEMPORAL else name for name in dimensions]
    sums = [f"sum({name}_count)::BIGINT AS {name}_count" for name in ("interaction", *_OUTCOMES)]
    order = f" ORDER BY {', '.join(f'{name} NULLS LAST' for name in dimensions)}" if dimensions else ""
    sql = f"SELECT {', '.join([*groups, *sums])} FROM ({inner}) GROUP BY ALL{order}"
    return Query(sql, values)


@dataclass(frozen=True)
class Filters:
    """Which interactions: each name of `FILTERS` with the values that fit; times half open, UTC without a zone.

    The value "none" stands for no value: a team that is unknown, a reason that there is not.
    """

    values: Mapping[str, Collection[str]] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


def interactions_query(filters: Filters) -> Query:
    """Return the query of interactions with their evidence, in order of time.

    Raises:
        ConfigurationError: when a filter is unknown or the limit negative.
    """
    where, values = condition(filters.since, filters.until, filters.values)
    if filters.limit is not None and filters.limit < 0:
        raise ConfigurationError(f"a limit of {filters.limit} rows makes no sense; expected 0 or more")
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    chosen = f"SELECT * FROM current_interaction{where} ORDER BY started_at, interaction_id{limit}"
    return Query(_WITH_EVIDENCE.format(chosen=chosen, columns=_COLUMNS), values)


_COLUMNS: Final = """
    i.interaction_id,
    coalesce(i.evidence_id, i.interaction_id) AS evidence_id,
    i.company_id,
    i.channel::VARCHAR AS channel,
    i.line::VARCHAR AS line,
    i.direction::VARCHAR AS direction,
    i.started_at,
    i.ended_at,
    i.talk_seconds,
    i.team,
    i.function,
    i.representative_id,
    coalesce(i.participants, []) AS participants,
    string_split(i.sources, '+') AS sources,
    i.token,
    s.display AS identifier,
    coalesce(i.customer_ids, []) AS customer_ids,
    i.contact_id,
    i.segment,
    i.outcome::VARCHAR AS outcome,
    i.reason::VARCHAR AS reason,
    i.tier::VARCHAR AS tier,
    i.activity_id,
    i.ticket_id,
    i.trace_delay_seconds,
    i.window_ends_at
"""

# The position is the number after the last colon of a raw_id that names a place; the file stands before it.
_WITH_EVIDENCE: Final = """
WITH chosen AS MATERIALIZED ({chosen}),
member AS (
    SELECT d.evidence_id, d.raw_id
    FROM current_disposition AS d
    SEMI JOIN (SELECT DISTINCT coalesce(evidence_id, interaction_id) AS evidence_id FROM chosen) AS asked
        USING (evidence_id)
),
piece AS (
    SELECT
        member.evidence_id,
        list({{
            'raw_id': o.raw_id,
            'source': o.source,
            'file': nullif(regexp_extract(o.raw_id, '^[^:]*:(.*):[0-9]+(#[0-9]+)?$', 1), ''),
            'position': try_cast(regexp_extract(o.raw_id, ':([0-9]+)(#[0-9]+)?$', 1) AS BIGINT),
            'key': coalesce(o.event_id, o.session_id)
        }} ORDER BY o.started_at, o.raw_id) AS evidence
    FROM member
    JOIN observation AS o ON o.raw_id = member.raw_id
    GROUP BY member.evidence_id
)
SELECT
    {columns},
    coalesce(piece.evidence, []) AS evidence
FROM chosen AS i
LEFT JOIN piece ON piece.evidence_id = coalesce(i.evidence_id, i.interaction_id)
LEFT JOIN shown_identifier AS s ON s.token = i.token
ORDER BY i.started_at, i.interaction_id
"""


# -- what is answered --------------------------------------------------------------------------------------------------


def report(
    store: Store,
    by: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    zone: str | None = None,
    wanted: Mapping[str, Collection[str]] | None = None,
) -> list[Row]:
    """Return the number: one row per group of the dimensions, in their order; without dimensions one row.

    `since` and `until` are UTC without a zone, half open, compared with an interaction's start. Hours, days, weeks
    (ISO), months and weekdays (1 is Monday) are those of `zone`, by default the zone of the last run. What several
    sources saw stands under their names joined by "+". Beside the share and its 95 % interval stand
    `lowest_bypass_share` and `highest_bypass_share`: if all pending became traced, and if none did. `wanted` are
    filters as in `Filters`.

    By representative, and of representatives, only what the store's `groups` allow is answered, see
    `pipeline.groups`.

    Raises:
        ConfigurationError: when a dimension, a filter or the zone is unknown, there are too many groups, or privacy
            forbids what is asked.
    """
    require_filters(store, wanted or {})
    if REPRESENTATIVE in by and not store.groups.shows_single:
        return [{**row, **shares(row)} for row in _by_groups(store, by, since, until, wanted or {})]
    together = small_teams(store) if "team" in by else ()
    query = report_query(by, since, until, checked_zone(zone or zone_of(store)), wanted, together)
    rows = store.rows(f"{query.sql} LIMIT {MOST_GROUPS + 1}", query.values)
    if len(rows) > MOST_GROUPS:
        raise ConfigurationError(
            f"this divides the share into more than {MOST_GROUPS:,} groups; "
            "leave out a dimension, or ask for a shorter time"
        )
    if not by and not rows:
        rows = [dict.fromkeys((f"{name}_count" for name in ("interaction", *_OUTCOMES)), 0)]
    return [{**row, **shares(row)} for row in rows]


def dimensions(store: Store) -> list[str]:
    """Return by what the share may be divided."""
    return [name for name in DIMENSIONS if name != REPRESENTATIVE or store.groups.showing != "off"]


def require_filters(store: Store, wanted: Mapping[str, Collection[str]]) -> None:
    """Refuse filters that would show what the store's `groups` do not: one representative, or a small team.

    Raises:
        NotShown: when one does.
    """
    store.groups.require_filters(wanted)
    if small := sorted(set(wanted.get("team", ())) & small_teams(store) if "team" in wanted else ()):
        raise NotShown(
            f"the team {small[0]!r} has fewer than {store.groups.minimum_group} representatives, or is shown together "
            "with one that has (privacy.merge_small_teams); leave it out"
        )


def small_teams(store: Store) -> frozenset[str]:
    """Return the teams that are shown together, by all representatives that ever talked in each; mostly none are."""
    if not store.groups.merges_small_teams:
        return frozenset()
    rows = store.rows(
        "SELECT team, count(DISTINCT representative_id) AS size FROM current_interaction WHERE team IS NOT NULL "
        "GROUP BY team"
    )
    return small_groups({row["team"]: row["size"] for row in rows}, store.groups.minimum_group)


def _by_groups(
    store: Store,
    by: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    wanted: Mapping[str, Collection[str]],
) -> list[Row]:
    """Return counts by groups of representatives, of whole months that are over.

    Raises:
        ConfigurationError: when they are off, the period cuts a month, or a dimension or filter makes no such groups.
    """
    store.groups.require_representatives()
    dimensions = [known(name, DIMENSIONS, "dimension") for name in dict.fromkeys(by)]
    zone = zone_of(store)
    for moment in (since, until):
        if moment is not None and not _is_first_instant(moment, ZoneInfo(zone)):
            raise ConfigurationError(
                "figures by representative are of whole months: let the period begin and end with one, such as "
                "2024-05-01 to before 2024-06-01, or ask of all there is"
            )
    query = report_query((*CELL, REPRESENTATIVE), since, until, zone)
    (last,) = store.rows(
        "SELECT greatest((SELECT max(started_at) FROM current_interaction), (SELECT max(finished_at) FROM run)) AS at"
    )
    present = "" if last["at"] is None else in_zone(last["at"], ZoneInfo(zone)).strftime("%Y-%m")
    rows = [row for row in store.rows(query.sql, query.values) if row["month"] < present]
    counts = [f"{name}_count" for name in ("interaction", *_OUTCOMES)]
    return grouped(rows, dimensions, wanted, store.groups.minimum_group, counts)


def _is_first_instant(moment: datetime, zone: ZoneInfo) -> bool:
    local = in_zone(moment, zone)
    return local.day == 1 and local.time() == time.min


def dimension_values(store: Store) -> dict[str, list[str]]:
    """Return the values that each dimension has but those of time, in order; none for what has no value."""
    columns = "channel, line, team, function, direction, sources, segment, reason"
    values = ", ".join(
        f"coalesce(list_sort(list(DISTINCT {expression}) FILTER ({expression} IS NOT NULL)), []) AS {name}"
        for name, expression in PLAIN.items()
    )
    # All interactions are looked at once; what occurs together is little.
    seen = f"SELECT DISTINCT {columns} FROM current_interaction"
    (row,) = store.rows(f"WITH seen AS ({seen}) SELECT {values} FROM seen")
    if small := small_teams(store):
        row["team"] = [team for team in row["team"] if team not in small]
    return row


def accounts(store: Store) -> list[Row]:
    """Return the rows of the view `accounts`: for each source of raw events what each became."""
    return store.rows("SELECT * FROM accounts ORDER BY source")


def audit(store: Store) -> list[Row]:
    """Return the accounts, with the reasons for which raw events of the source were excluded."""
    return audited(accounts(store))


def audited(accounts: Sequence[Row]) -> list[Row]:
    """Return accounts with the reasons that there were for excluding gathered in `excluded`."""
    rows = []
    for account in accounts:
        excluded = {reason: account[f"{reason}_count"] for reason in _EXCLUSIONS if account[f"{reason}_count"]}
        names = ("source", "raw_count", "interaction_count", "duplicate_count")
        rows.append(
            {name: account[name] for name in names}
            | {"excluded": excluded}
            | {name: account[name] for name in ("rejected_count", "late_count", "unaccounted_count")}
        )
    return rows


def interactions(store: Store, filters: Filters | None = None) -> pa.Table:
    """Return interactions with identifier and evidence, in order of time; columns as in the view, then `evidence`.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    query = interactions_query(filters or Filters())
    return store.query(query.sql, query.values)


def interaction(store: Store, id_prefix: str) -> Row:
    """Return the one interaction whose id begins so.

    Raises:
        ConfigurationError: when there is none, or more than one.
    """
    return interaction_with_evidence(store, id_prefix)[0]


def interaction_with_evidence(store: Store, id_prefix: str) -> tuple[Row, list[Row]]:
    """Return the one interaction whose id begins so, and its raw events with the columns of the view `evidence`.

    Raises:
        ConfigurationError: when there is none, or more than one.
    """
    prefix = id_prefix.strip().lower()
    if not prefix:
        raise ConfigurationError("an interaction's id is missing; bypassflow interactions lists them")
    found = store.rows(_ONE, {"id": prefix})
    row: Row = found[0] if found else store.rows(_ONE, {"id": _only_id(store, id_prefix, prefix)})[0]
    raw_events = _evidence(store, row)
    names = ("raw_id", "source", "file", "position")
    row["evidence"] = [
        {name: each[name] for name in names} | {"key": each["event_id"] or each["session_id"]} for each in raw_events
    ]
    return row, raw_events


def _only_id(store: Store, said: str, prefix: str) -> str:
    """Return the only interaction's id that begins so; `said` is how it was written."""
    found = store.rows(
        "SELECT interaction_id FROM current_interaction WHERE starts_with(interaction_id, $prefix) ORDER BY 1 LIMIT 4",
        {"prefix": prefix},
    )
    ids: list[str] = [row["interaction_id"] for row in found]
    if not ids:
        raise ConfigurationError(f"no interaction's id begins with {said!r}; bypassflow interactions lists them")
    if len(ids) > 1:
        more = ", ..." if len(ids) > 3 else ""
        raise ConfigurationError(
            f"several interactions' ids begin with {said!r}: {', '.join(ids[:3])}{more}; give more of it"
        )
    return ids[0]


_ONE: Final = f"""
WITH chosen AS MATERIALIZED (SELECT * FROM current_interaction WHERE interaction_id = $id)
SELECT {_COLUMNS}
FROM chosen AS i
LEFT JOIN shown_identifier AS s ON s.token = i.token
"""
# Raw events lie within their interaction, or nearly so, and only that part of them is read. Nothing but these bounds
# would keep DuckDB from looking at all of history; should one lie elsewhere, it is looked for there.
_NEAR: Final = timedelta(days=1)
_EVIDENCE: Final = """
WITH member AS MATERIALIZED (
    SELECT raw_id, disposition::VARCHAR AS disposition, reason::VARCHAR AS reason, evidence_id
    FROM current_disposition WHERE evidence_id = $evidence_id
),
seen AS MATERIALIZED (
    SELECT * FROM observation SEMI JOIN member USING (raw_id)
    WHERE started_at >= $since::TIMESTAMP AND started_at <= $until::TIMESTAMP
)
SELECT
    raw_id, disposition, reason, evidence_id, source,
    nullif(regexp_extract(raw_id, '^[^:]*:(.*):[0-9]+(#[0-9]+)?$', 1), '') AS file,
    try_cast(regexp_extract(raw_id, ':([0-9]+)(#[0-9]+)?$', 1) AS BIGINT) AS position,
    event_id, session_id, channel, line, direction, started_at, answered_at, ended_at, talk_seconds, attempt,
    from_endpoint, from_token, from_shown.display AS from_identifier,
    to_endpoint, to_token, to_shown.display AS to_identifier, via_endpoint,
    list_transform(parties, lambda party: party.role) AS recipient_roles,
    list_transform(parties, lambda party: party.token) AS recipient_tokens,
    (SELECT count(*) FROM member) AS member_count
FROM seen
JOIN member USING (raw_id)
LEFT JOIN shown_identifier AS from_shown ON from_shown.token = from_token
LEFT JOIN shown_identifier AS to_shown ON to_shown.token = to_token
ORDER BY started_at, raw_id
"""


def _evidence(store: Store, row: Row) -> list[Row]:
    """Return the raw events of an interaction in order of time, with the columns of the view `evidence`."""
    evidence_id = row["evidence_id"]
    bounds = {"since": row["started_at"] - _NEAR, "until": row["ended_at"] + _NEAR}
    rows = store.rows(_EVIDENCE, {"evidence_id": evidence_id, **bounds})
    if not rows or len({each["raw_id"] for each in rows}) < rows[0]["member_count"]:
        rows = store.rows(
            "SELECT * FROM evidence WHERE evidence_id = $id ORDER BY started_at, raw_id", {"id": evidence_id}
        )
    for each in rows:
        each.pop("member_count", None)
    return rows


def zone_of(store: Store) -> str:
    """Return the company's time zone, as the last run had it."""
    return str(store.rows("SELECT timezone FROM company_zone")[0]["timezone"])


# -- what other measures use too ---------------------------------------------------------------------------------------


def in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant, UTC without a zone, in local time."""
    return moment.replace(tzinfo=UTC).astimezone(zone)


def shares(row: Row) -> Row:
    """Return the share of a row with counts of each outcome: with its interval and its bounds, as `report` has them."""
    untraced = row["siloed_count"] + row["bypassed_count"]
    decided = untraced + row["traced_count"]
    low, high = wilson(untraced, decided) or (None, None)
    lowest, highest = bounds(untraced, decided, row["pending_count"]) or (None, None)
    return {
        "bypass_share": untraced / decided if decided else None,
        "bypass_share_low": low,
        "bypass_share_high": high,
        "lowest_bypass_share": lowest,
        "highest_bypass_share": highest,
    }


def condition(
    since: datetime | None, until: datetime | None, filters: Mapping[str, Collection[str]] | None = None
) -> tuple[str, dict[str, object]]:
    """Return the WHERE of these filters over `current_interaction`, empty without any, with its values.

    Raises:
        ConfigurationError: when a filter is unknown or the end lies before the start.
    """
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(f"nothing lies between {since} and {until} (UTC); --since must be before --until")
    conditions: list[str] = []
    values: dict[str, object] = {}
    for name, sign, moment in (("since", ">=", since), ("until", "<", until)):
        if moment is not None:
            conditions.append(f"started_at {sign} ${name}::TIMESTAMP")
            values[name] = moment
    for name, wanted in (filters or {}).items():
        known(name, FILTERS, "filter")
        chosen = sorted(set(wanted) - {"none"})
        values[name] = chosen
        if name in _LIST_FILTERS:
            column = _LIST_FILTERS[name]
            fits, absent = f"list_has_any({column}, ${name}::VARCHAR[])", f"coalesce(len({column}), 0) = 0"
        else:
            column = _FILTERS[name]
            fits, absent = f"list_contains(${name}::VARCHAR[], {column})", f"{column} IS NULL"
        conditions.append(f"({fits} OR {absent})" if "none" in wanted else fits)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values


def checked_zone(zone: str) -> str:
    """Return the name of a time zone.

    Raises:
        ConfigurationError: when there is no such zone.
    """
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"unknown time zone {zone!r}; expected a name such as Europe/Helsinki") from None


def known(name: str, names: Sequence[str], what: str) -> str:
    """Return a name that is one of those known.

    Raises:
        ConfigurationError: when it is not; it names the nearest.
    """
    if name in names:
        return name
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(f"unknown {what} {name!r}; {hint}expected one of {', '.join(names)}")
