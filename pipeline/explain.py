"""Why an activity is the trace of an interaction, or is not: the engine's own candidates, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.engine import Engine
from pipeline.sentences import Instant, Name, Sentence, sentence
from schemas.settings import EngineSettings

OTHER_KINDS = ("meeting", "note", "task", "other", "ticket")
TIER_WORDS = {
    "exact": sentence("it carries the interaction's own key"),
    "same_representative": sentence("same customer, logged by a representative who took part"),
    "other_representative": sentence("same customer, logged by somebody else"),
    "inferred": sentence("unknown identifier, same representative and channel, nothing else stands behind it"),
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
) -> Sentence:
    if interaction["activity_id"] == activity["activity_id"]:
        return sentence("the trace: %(tier)s", tier=TIER_WORDS[str(interaction["tier"])])
    if fate.get("status") == "siloed":
        return sentence("a ticket that is tied to no customer of the CRM")
    if tier is None:
        return _why_no_candidate(settings, interaction, activity, fate)
    if fate.get("status") == "trace":
        return sentence(
            "lost: it explains interaction %(interaction)s better (%(tier)s)",
            interaction=fate["interaction_id"],
            tier=Name(fate["tier"]),
        )
    if fate.get("status") == "redundant":
        if fate["interaction_id"] == interaction["interaction_id"]:
            return sentence("redundant: %(activity)s comes first", activity=interaction["activity_id"])
        return sentence(
            "lost: it was logged a second time for interaction %(interaction)s", interaction=fate["interaction_id"]
        )
    return sentence("lost: another activity comes first")


def _why_no_candidate(
    settings: EngineSettings, interaction: Mapping[str, Any], activity: Mapping[str, Any], fate: Mapping[str, Any]
) -> Sentence:
    kind, channel = Name(activity["kind"]), Name(interaction["channel"])
    if activity["deleted"]:
        return sentence("no candidate: deleted in the CRM")
    if activity["kind"] != interaction["channel"] and activity["kind"] not in OTHER_KINDS:
        return sentence("no candidate: %(kind)s is no trace of %(channel)s", kind=kind, channel=channel)
    if activity["logged_to"] < interaction["started_at"] - settings.before:
        return sentence("no candidate: logged more than %(length)s before the start", length=settings.before)
    offset = _offset(interaction, activity)
    is_by_participant = _meet(fate.get("representative_ids"), interaction["participants"])
    if not interaction["customer_ids"]:
        window, tier = settings.inferred_after, "inferred"
        if activity["kind"] != interaction["channel"]:
            return sentence("no candidate: the customer is unknown, and %(kind)s is another channel", kind=kind)
        if not is_by_participant:
            return sentence("no candidate: the customer is unknown, and it was logged by nobody who took part")
    elif not _meet(fate.get("customer_ids"), interaction["customer_ids"]):
        return sentence("no candidate: on another customer")
    elif is_by_participant:
        window, tier = settings.same_representative_after, "same_representative"
    elif offset > settings.other_representative_after:
        return sentence(
            "no candidate: logged by nobody who took part, %(offset)s after the end; for others the window is "
            "%(window)s",
            offset=offset,
            window=settings.other_representative_after,
        )
    else:
        window, tier = settings.other_representative_after, "other_representative"
    if offset > window:
        return sentence(
            "no candidate: logged %(offset)s after the end; the window is %(window)s", offset=offset, window=window
        )
    if tier not in settings.tiers:
        return sentence("no candidate: traces of tier %(tier)s are switched off", tier=Name(tier))
    return sentence("no candidate: something else stands behind it")


def _meet(ids: Collection[str] | None, others: Collection[str] | None) -> bool:
    return not set(ids or ()).isdisjoint(others or ())


def _offset(interaction: Mapping[str, Any], activity: Mapping[str, Any]) -> timedelta:
    ended_at: datetime = interaction["ended_at"]
    logged_from: datetime = activity["logged_from"]
    logged_to: datetime = activity["logged_to"]
    if logged_from > ended_at:
        return logged_from - ended_at
    return min(logged_to - ended_at, timedelta(0))


def _when(verdict: Verdict) -> Sentence:
    if verdict.offset > timedelta(0):
        return sentence("%(length)s after the end", length=verdict.offset)
    if verdict.offset:
        return sentence("%(length)s before the end", length=verdict.offset)
    if verdict.precision == "second":
        return sentence("at the end")
    return sentence("within the %(precision)s of the end", precision=Name(verdict.precision))


def summary(interaction: Mapping[str, Any], verdicts: Sequence[Verdict]) -> Sentence:
    """Return one sentence that says what became of the interaction and why."""
    match interaction["outcome"], interaction["reason"]:
        case "traced", _:
            return _traced(interaction, verdicts)
        case "siloed", _:
            return sentence(
                "Siloed: only the ticket %(ticket)s tells of it, and that is tied to no CRM customer.",
                ticket=interaction["ticket_id"],
            )
        case "pending", _:
            return sentence(
                "Pending: no trace yet, and the CRM feed has not been read past %(instant)s.",
                instant=Instant(interaction["window_ends_at"]),
            )
        case _, "withheld" if interaction["channel"] == "call":
            return sentence("Bypassed: the number was withheld, and no activity of the representative fits.")
        case _, "withheld":
            return sentence("Bypassed: nobody knows who it was with, and no activity of the representative fits.")
        case _, "unknown_customer":
            return sentence(
                "Bypassed: the CRM knows no customer with this identifier, and no activity of the representative fits."
            )
    if not verdicts:
        return sentence("Bypassed: the customer is known, and nothing was logged on it around that time.")
    if near := sum(v.tier is not None for v in verdicts):
        return sentence(
            "Bypassed: the customer is known; of %(count)s activities around that time %(near)s could have been the "
            "trace, and each of them explains something else.",
            count=len(verdicts),
            near=near,
        )
    return sentence(
        "Bypassed: the customer is known; none of %(count)s activities around that time can be its trace.",
        count=len(verdicts),
    )


def _traced(interaction: Mapping[str, Any], verdicts: Sequence[Verdict]) -> Sentence:
    trace = next((verdict for verdict in verdicts if verdict.is_trace), None)
    activity, tier = interaction["activity_id"], interaction["tier"]
    if trace is None:
        return sentence(
            "Traced by %(activity)s (%(tier)s): %(why)s.", activity=activity, tier=Name(tier), why=TIER_WORDS[tier]
        )
    return sentence(
        "Traced by %(activity)s (%(tier)s, %(when)s): %(why)s.",
        activity=activity, tier=Name(tier), when=_when(trace), why=TIER_WORDS[tier],
    )  # fmt: skip
