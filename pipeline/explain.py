"""Why an activity is the trace of an interaction, or is not: the engine's own candidates, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.engine import Engine
from schemas.settings import EngineSettings

OTHER_KINDS = ("meeting", "note", "task", "other", "ticket")
TIER_WORDS = {
    "exact": "it carries the interaction's own key",
    "same_representative": "same customer, logged by a representative who took part",
    "other_representative": "same customer, logged by somebody else",
    "inferred": "unknown identifier, same representative and channel, nothing else stands behind it",
}


@dataclass(frozen=True)
class Verdict:
    """What came of one activity: `tier` is null where it is no candidate; `offset` is logged time minus the end."""

    activity_id: str
    kind: str
    logged_from: datetime
    precision: str
    status: str
    tier: str | None
    offset: timedelta
    is_trace: bool
    reason: str


def prepare(settings: EngineSettings, facts: Mapping[str, pa.Table]) -> Engine:
    """Return an engine that has folded facts which every interaction shares, such as the directory."""
    engine = Engine(settings, threads=1)
    if facts:
        engine.fold(facts)
    return engine


def weigh(
    settings: EngineSettings,
    facts: Mapping[str, pa.Table],
    interaction: Mapping[str, Any],
    fates: Mapping[str, Mapping[str, Any]],
    engine: Engine | None = None,
) -> list[Verdict]:
    """Return a verdict on every activity of the facts, the nearest in time first.

    `facts` are those of the interaction's evidence and of what lies around it. `fates` are the activity outcomes of
    the whole store by activity (status, tier, interaction_id, customer_ids, representative_ids): an activity may
    explain an interaction that is not among the facts. `engine` is one that `prepare` made; it weighs once.
    """
    engine = engine or prepare(settings, {})
    engine.fold(facts, is_last=True, is_silent=True)
    tiers: dict[str, str] = {}
    for pair in engine.pairs():  # best first: of several tiers the best one counts
        if pair.interaction_id == interaction["interaction_id"]:
            tiers.setdefault(pair.activity_id, pair.tier)
    verdicts = [
        _verdict(settings, interaction, activity, tiers.get(activity["activity_id"]), fates)
        for activity in (facts["activity"].to_pylist() if "activity" in facts else ())
    ]
    return sorted(verdicts, key=lambda v: (not v.is_trace, v.tier is None, abs(v.offset), v.activity_id))


def _verdict(
    settings: EngineSettings,
    interaction: Mapping[str, Any],
    activity: Mapping[str, Any],
    tier: str | None,
    fates: Mapping[str, Mapping[str, Any]],
) -> Verdict:
    activity_id = activity["activity_id"]
    fate = fates.get(activity_id, {})
    is_trace = interaction["activity_id"] == activity_id
    if is_trace:
        tier = interaction["tier"]
    return Verdict(
        activity_id=activity_id,
        kind=activity["kind"],
        logged_from=activity["logged_from"],
        precision=activity["precision"],
        status=fate.get("status", "unexplained"),
        tier=tier,
        offset=_offset(interaction, activity),
        is_trace=is_trace,
        reason=_reason(settings, interaction, activity, tier, fate),
    )


def _reason(
    settings: EngineSettings,
    interaction: Mapping[str, Any],
    activity: Mapping[str, Any],
    tier: str | None,
    fate: Mapping[str, Any],
) -> str:
    if interaction["activity_id"] == activity["activity_id"]:
        return f"the trace: {TIER_WORDS[str(interaction['tier'])]}"
    if fate.get("status") == "siloed":
        return "a ticket that is tied to no customer of the CRM"
    if tier is None:
        return _why_no_candidate(settings, interaction, activity, fate)
    if fate.get("status") == "trace":
        return f"lost: it explains interaction {fate['interaction_id']} better ({fate['tier']})"
    if fate.get("status") == "redundant":
        if fate["interaction_id"] == interaction["interaction_id"]:
            return f"redundant: {interaction['activity_id']} comes first"
        return f"lost: it was logged a second time for interaction {fate['interaction_id']}"
    return "lost: another activity comes first"


def _why_no_candidate(
    settings: EngineSettings, interaction: Mapping[str, Any], activity: Mapping[str, Any], fate: Mapping[str, Any]
) -> str:
    if activity["deleted"]:
        return "no candidate: deleted in the CRM"
    if activity["kind"] != interaction["channel"] and activity["kind"] not in OTHER_KINDS:
        return f"no candidate: {activity['kind']} is no trace of {interaction['channel']}"
    if activity["logged_to"] < interaction["started_at"] - settings.before:
        return f"no candidate: logged more than {words(settings.before)} before the start"
    offset = _offset(interaction, activity)
    is_by_participant = _meet(fate.get("representative_ids"), interaction["participants"])
    if not interaction["customer_ids"]:
        window, tier = settings.inferred_after, "inferred"
        if activity["kind"] != interaction["channel"]:
            return f"no candidate: the customer is unknown, and {activity['kind']} is another channel"
        if not is_by_participant:
            return "no candidate: the customer is unknown, and it was logged by nobody who took part"
    elif not _meet(fate.get("customer_ids"), interaction["customer_ids"]):
        return "no candidate: on another customer"
    elif is_by_participant:
        window, tier = settings.same_representative_after, "same_representative"
    elif offset > settings.other_representative_after:
        return (
            f"no candidate: logged by nobody who took part, {words(offset)} after the end; "
            f"for others the window is {words(settings.other_representative_after)}"
        )
    else:
        window, tier = settings.other_representative_after, "other_representative"
    if offset > window:
        return f"no candidate: logged {words(offset)} after the end; the window is {words(window)}"
    if tier not in settings.tiers:
        return f"no candidate: traces of tier {tier} are switched off"
    return "no candidate: something else stands behind it"


def _meet(ids: Collection[str] | None, others: Collection[str] | None) -> bool:
    return not set(ids or ()).isdisjoint(others or ())


def _offset(interaction: Mapping[str, Any], activity: Mapping[str, Any]) -> timedelta:
    ended_at: datetime = interaction["ended_at"]
    logged_from: datetime = activity["logged_from"]
    logged_to: datetime = activity["logged_to"]
    if logged_from > ended_at:
        return logged_from - ended_at
    return min(logged_to - ended_at, timedelta(0))


def words(length: timedelta) -> str:
    """Return a length of time in words, to two units.

    >>> words(timedelta(hours=72, minutes=5))
    '3 d'
    >>> words(timedelta(minutes=15))
    '15 min'
    """
    seconds = abs(int(length.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next((n for n, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _when(verdict: Verdict) -> str:
    if verdict.offset:
        return f"{words(verdict.offset)} {'after' if verdict.offset > timedelta(0) else 'before'} the end"
    return "at the end" if verdict.precision == "second" else f"within the {verdict.precision} of the end"


def summary(interaction: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str:
    """Return one sentence that says what became of the interaction and why."""
    match interaction["outcome"], interaction["reason"]:
        case "traced", _:
            trace = next((v for v in verdicts if v.is_trace), None)
            tier = interaction["tier"]
            when = f", {_when(trace)}" if trace else ""
            return f"Traced by {interaction['activity_id']} ({tier}{when}): {TIER_WORDS[tier]}."
        case "siloed", _:
            return (
                f"Siloed: only the ticket {interaction['ticket_id']} tells of it, and that is tied to no CRM customer."
            )
        case "pending", _:
            return (
                f"Pending: no trace yet, and the CRM feed has not been read past {interaction['window_ends_at']} UTC."
            )
        case _, "withheld":
            withheld = "the number was withheld" if interaction["channel"] == "call" else "nobody knows who it was with"
            return f"Bypassed: {withheld}, and no activity of the representative fits."
        case _, "unknown_customer":
            return (
                "Bypassed: the CRM knows no customer with this identifier, and no activity of the representative fits."
            )
    near = sum(v.tier is not None for v in verdicts)
    if not verdicts:
        return "Bypassed: the customer is known, and nothing was logged on it around that time."
    return (
        f"Bypassed: the customer is known; of {len(verdicts)} activities around that time "
        f"{near} could have been the trace, and each of them explains something else."
        if near
        else f"Bypassed: the customer is known; none of {len(verdicts)} activities around that time can be its trace."
    )
