"""The rules of the number a second time, in plain Python: the engine must equal this.

One function per rule, loops instead of indexes, no library for data: it is written to be checked by
reading it beside the rules, not to be fast. It knows nothing of batches, arrival order or forgetting;
it is given all facts at once. Rows are dictionaries with the columns of `schemas.facts`.

Where the rules leave a value open, nulls count as: no talk, basis 0, ended when started, flag not set,
empty list; in an order, null comes last.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.settings import EngineSettings

Row = Mapping[str, Any]
Facts = Mapping[str, Sequence[Row]]
Party = tuple[str | None, str | None]  # token, domain

TIERS = ("exact", "same_representative", "other_representative", "inferred")
LINES = ("contact_center", "pbx", "mobile")
ROLES = {"to": 0, "cc": 1, "bcc": 2, "delivered": 3}
GENERAL_KINDS = {"meeting", "note", "task", "other", "ticket"}
ORIGIN = datetime(1970, 1, 1)
MOST_TALK = 268_435_455  # milliseconds


@dataclass(frozen=True)
class Outcomes:
    """All that follows from a set of facts.

    `interactions` one row each, by id; `dispositions` raw_id -> (disposition, reason, evidence_id);
    `activity_outcomes` activity_id -> status, tier, interaction_id, customer_ids, representative_ids.
    """

    interactions: list[dict[str, Any]]
    dispositions: dict[str, tuple[str, str | None, str | None]]
    activity_outcomes: dict[str, dict[str, Any]]


def outcome(facts: Facts, settings: EngineSettings) -> Outcomes:
    """Return the interactions, dispositions and activities' outcomes that the facts determine."""
    directory = Directory(facts.get("directory_entry", ()))
    kept, duplicates = set_duplicates_apart(facts.get("observation", ()))
    conversations = [
        email_conversation(members, directory, settings)
        if earliest(members)["channel"] == "email"
        else two_sided_conversation(members, directory, settings)
        for members in components(kept)
    ]
    dispositions: dict[str, tuple[str, str | None, str | None]] = dict.fromkeys(duplicates, ("duplicate", None, None))
    counted = []
    for conversation in conversations:
        reason = exclusion(conversation, settings)
        if reason is None:
            counted.append(conversation)
        else:
            dispositions.update(dict.fromkeys(conversation.raw_ids, ("excluded", reason, None)))
    register = Register(facts)
    interactions = []
    for group in merge(counted, settings):
        evidence_id = digest(settings.company_id, group[0].channel, group[0].conversation_id)
        for conversation in group:
            dispositions.update(dict.fromkeys(conversation.raw_ids, ("interaction", None, evidence_id)))
        interactions.extend(interactions_of(group, evidence_id, register, settings))
    activities, tickets = activities_of(facts.get("activity", ()), register, directory, facts.get("crm_user", ()))
    pairs = candidates(interactions, activities, settings)
    activity_outcomes = assign(pairs, interactions, activities)
    for ticket in tickets:
        activity_outcomes[ticket.activity_id] = activity_outcome(ticket, "siloed")
    settle(interactions, tickets, complete_through(facts.get("feed_progress", ())), settings)
    return Outcomes(sorted(interactions, key=lambda row: str(row["interaction_id"])), dispositions, activity_outcomes)


# --- A. Duplicates ----------------------------------------------------------------------------------


def set_duplicates_apart(observations: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Return the observations that stay and the raw_ids of duplicates.

    Among equal (source, key, record_digest) the smallest raw_id stays. One raw_id is one observation.
    """
    by_raw_id: dict[str, Row] = {}
    for observation in observations:
        by_raw_id.setdefault(observation["raw_id"], observation)
    seen: set[tuple[str, str, int]] = set()
    kept, duplicates = [], []
    for raw_id, observation in sorted(by_raw_id.items()):
        identity = (observation["source"], observation["key"], observation["record_digest"])
        if identity in seen:
            duplicates.append(raw_id)
        else:
            seen.add(identity)
            kept.append(observation)
    return kept, duplicates


# --- B. Attribution ---------------------------------------------------------------------------------


class Directory:
    """The rows of representatives and teams, asked for one instant."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = sorted(rows, key=lambda row: nulls_last(row["representative_id"], row["team"], row["name"]))

    def _first(self, at: datetime, fits: Any) -> Row | None:
        for row in self._rows:
            begun = row["valid_from"] is None or row["valid_from"] <= at
            ended = row["valid_to"] is not None and row["valid_to"] <= at
            if begun and not ended and fits(row):
                return row
        return None

    def of_endpoint(self, endpoint: str | None, at: datetime) -> Row | None:
        """Return the row whose extension, representative or name (of a person) the endpoint is."""
        if endpoint is None:
            return None

        def fits(row: Row) -> bool:
            named = row["representative_id"] is not None and row["name"] is not None
            return (
                row["extension"] == endpoint
                or row["representative_id"] == endpoint
                or (named and row["name"].lower() == endpoint.lower())
            )

        return self._first(at, fits)

    def of_token(self, token: str | None, at: datetime) -> Row | None:
        """Return the row that has the token as mailbox, direct number or mobile number."""
        if token is None:
            return None
        return self._first(at, lambda row: token in (row["email_token"], row["direct_token"], row["mobile_token"]))

    def of_representative(self, representative_id: str, at: datetime) -> Row | None:
        """Return the representative's own row."""
        return self._first(at, lambda row: row["representative_id"] == representative_id)


@dataclass(frozen=True)
class Leg:
    """One observation of a two-sided channel, seen from our side."""

    row: Row
    is_internal: bool
    representative: str | None
    team: str | None
    function: str | None
    token: str | None
    domain: str | None
    direction: str

    @property
    def time(self) -> tuple[datetime, int]:
        return time_order(self.row)

    @property
    def talk_seconds(self) -> float:
        return float(self.row["talk_seconds"] or 0)

    @property
    def ended_at(self) -> datetime:
        return ended_at(self.row)

    @property
    def own_endpoint(self) -> str | None:
        endpoint = self.row["to_endpoint"] if self.direction == "inbound" else self.row["from_endpoint"]
        return None if endpoint is None else str(endpoint)

    @property
    def label(self) -> str:
        """Whose talk it is: the representative's, else the own endpoint's."""
        return self.representative or self.own_endpoint or ""


def attribute(row: Row, directory: Directory, settings: EngineSettings) -> Leg:
    """Return the leg: which side is ours, who of ours, and which side is external.

    A side is own if its endpoint has a row or is 2-6 digits, or its token has a row or is an own
    number, or its domain is an own one. Both own, or the source says so and neither is: internal.
    Neither own otherwise: the direction decides. One own: that one.
    """
    at = row["started_at"]

    def is_own(side: str) -> bool:
        endpoint, token, domain = row[f"{side}_endpoint"], row[f"{side}_token"], row[f"{side}_domain"]
        return (
            directory.of_endpoint(endpoint, at) is not None
            or (endpoint is not None and re.fullmatch("[0-9]{2,6}", endpoint) is not None)
            or directory.of_token(token, at) is not None
            or token in settings.own_numbers
            or domain in settings.own_domains
        )

    from_own, to_own = is_own("from"), is_own("to")
    from_is_ours = row["direction"] == "outbound" if from_own == to_own else from_own
    own, external = ("from", "to") if from_is_ours else ("to", "from")
    own_row = directory.of_endpoint(row[f"{own}_endpoint"], at) or directory.of_token(row[f"{own}_token"], at)
    team_row = own_row or directory.of_endpoint(row["via_endpoint"], at)
    return Leg(
        row=row,
        is_internal=(from_own and to_own) or (not from_own and not to_own and row["direction"] == "internal"),
        representative=own_row["representative_id"] if own_row else None,
        team=team_row["team"] if team_row else None,
        function=team_row["function"] if team_row else None,
        token=row[f"{external}_token"],
        domain=row[f"{external}_domain"],
        direction="inbound" if external == "from" else "outbound",
    )


# --- C. Conversations -------------------------------------------------------------------------------


def components(observations: Iterable[Row]) -> list[list[Row]]:
    """Return the sets of observations that are connected by keys, each in the order of raw_id."""
    groups: list[tuple[set[str], list[Row]]] = []
    for observation in observations:
        keys, members = set(keys_of(observation)), [observation]
        apart = []
        for other_keys, other_members in groups:
            if keys & other_keys:
                keys |= other_keys
                members += other_members
            else:
                apart.append((other_keys, other_members))
        groups = [*apart, (keys, members)]
    return [sorted(members, key=lambda row: str(row["raw_id"])) for _, members in groups]


def keys_of(observation: Row) -> list[str]:
    """Return the identities of the conversation that an observation carries."""
    return [observation["key"], *(observation["other_keys"] or ())]


@dataclass(frozen=True)
class Conversation:
    """The members of one conversation as one source's key binds them, and what they say together."""

    members: list[Row]
    direction: str | None
    started_at: datetime
    ended_at: datetime
    parties: list[Party]
    is_internal: bool
    is_bulk: bool
    attempt: str | None = None
    talk_started_at: datetime | None = None
    talk_seconds: float = 0.0
    representative: str | None = None
    participants: tuple[str, ...] = ()
    team: str | None = None
    function: str | None = None

    @property
    def raw_ids(self) -> list[str]:
        return [row["raw_id"] for row in self.members]

    @property
    def conversation_id(self) -> str:
        return min(key for row in self.members for key in keys_of(row))

    @property
    def channel(self) -> str:
        return str(earliest(self.members)["channel"])

    @property
    def source(self) -> str:
        return str(earliest(self.members)["source"])

    @property
    def line(self) -> str | None:
        return best_line(row["line"] for row in self.members)

    @property
    def token(self) -> str | None:
        """The external token of a two-sided conversation."""
        return self.parties[0][0]

    @property
    def exact_keys(self) -> set[str]:
        """What an exact trace carries: all event and session ids."""
        return {row[name] for row in self.members for name in ("event_id", "session_id") if row[name] is not None}

    def has(self, flag: str) -> bool:
        return any(row[flag] for row in self.members)


def two_sided_conversation(members: list[Row], directory: Directory, settings: EngineSettings) -> Conversation:
    """Return what the members say about a call, a fax or a conversation by messages."""
    legs = [attribute(row, directory, settings) for row in members if not is_dialled(row) or row["attempt"] is not None]
    external = [leg for leg in legs if not leg.is_internal]
    talk = [leg for leg in external if not is_dialled(leg.row) or leg.row["attempt"] == "talk"]
    in_time = sorted(external, key=lambda leg: leg.time)
    talk_by_label = talk_of_labels(talk)
    talkers = [(talk_by_label[leg.label], leg.representative) for leg in talk if leg.representative is not None]
    participants = tuple(name for _, name in sorted(set(talkers), key=lambda talker: (-talker[0], talker[1])))
    representative = participants[0] if participants else None
    if representative is not None:
        of_team = [leg for leg in in_time if leg in talk and leg.representative == representative]
    else:
        of_team = [leg for leg in in_time if leg in talk and leg.team is not None]
        of_team += [leg for leg in in_time if leg.team is not None]
    timed = [leg.row for leg in talk or external or legs] or members
    return Conversation(
        members=members,
        direction=in_time[0].direction if in_time else None,
        started_at=min(row["started_at"] for row in timed),
        ended_at=max(ended_at(row) for row in timed),
        parties=[external_party(external, talk)],
        is_internal=bool(legs) and not external,
        is_bulk=any(row["bulk"] for row in members),
        attempt=attempt_of(external, talk) if is_dialled(earliest(members)) else None,
        talk_started_at=min((leg.row["answered_at"] or leg.row["started_at"] for leg in talk), default=None),
        talk_seconds=sum(talk_by_label.values()),
        representative=representative,
        participants=participants,
        team=of_team[0].team if of_team else None,
        function=of_team[0].function if of_team else None,
    )


def is_dialled(row: Row) -> bool:
    """Return whether somebody must answer before there is a conversation; a message needs no answer."""
    return row["channel"] in ("call", "fax")


def external_party(external: list[Leg], talk: list[Leg]) -> Party:
    """Return token and domain of the first external leg by: has a token, talk, most talk in ms, time."""
    if not external:
        return (None, None)
    first = min(
        external,
        key=lambda leg: (leg.token is None, leg not in talk, -min(round(leg.talk_seconds * 1000), MOST_TALK), leg.time),
    )
    return (first.token, first.domain)


def talk_of_labels(talk: list[Leg]) -> dict[str, float]:
    """Return each own label's seconds of talk, from its legs of the best basis alone."""
    seconds: dict[str, float] = {}
    for label in {leg.label for leg in talk}:
        legs = [leg for leg in talk if leg.label == label]
        basis = max(leg.row["talk_basis"] or 0 for leg in legs)
        seconds[label] = sum(leg.talk_seconds for leg in legs if (leg.row["talk_basis"] or 0) == basis)
    return seconds


def attempt_of(external: list[Leg], talk: list[Leg]) -> str:
    """Return how far the call came: talk, unanswered or no_human."""
    if talk:
        return "talk"
    return "unanswered" if any(leg.row["attempt"] == "unanswered" for leg in external) else "no_human"


def email_conversation(members: list[Row], directory: Directory, settings: EngineSettings) -> Conversation:
    """Return what the copies of one email say. From an own address: outbound; otherwise inbound."""

    def is_own(token: str | None, domain: str | None, at: datetime) -> bool:
        return directory.of_token(token, at) is not None or domain in settings.own_domains

    outbound = [row for row in members if is_own(row["from_token"], row["from_domain"], row["started_at"])]
    parties: dict[str | None, str | None] = {}
    recipients = {
        party["token"]
        for member in members
        for party in member["parties"] or ()
        if party["role"] != "delivered" and party["token"] is not None
        if not is_own(party["token"], party["domain"], member["started_at"])
    }
    own_rows: list[tuple[int, int, datetime, str, Row]] = []  # role rank, position, time, raw_id, directory row
    for member in outbound or members:
        at, raw_id = member["started_at"], str(member["raw_id"])
        if outbound:
            sender = directory.of_token(member["from_token"], at)
            own_rows += [(0, 0, at, raw_id, sender)] if sender else []
            for party in member["parties"] or ():
                token, domain = party["token"], party["domain"]
                if party["role"] != "delivered" and token is not None and not is_own(token, domain, at):
                    parties[token] = smallest(parties.get(token), domain)
        else:
            parties[member["from_token"]] = smallest(parties.get(member["from_token"]), member["from_domain"])
            for position, party in enumerate(member["parties"] or ()):
                recipient = directory.of_token(party["token"], at)
                own_rows += [(ROLES[party["role"]], position, at, raw_id, recipient)] if recipient else []
    own_rows.sort(key=lambda entry: entry[:4])
    places: dict[str, tuple[int, int]] = {}
    for rank, position, _, _, own_row in own_rows:
        if own_row["representative_id"] is not None:
            places.setdefault(own_row["representative_id"], (rank, position))
    participants = tuple(sorted(places, key=lambda name: (places[name], name)))
    representative = participants[0] if participants else None
    of_team = [
        row
        for *_, row in own_rows
        if (row["team"] is not None if representative is None else row["representative_id"] == representative)
    ]
    started_at = min(row["started_at"] for row in members)
    return Conversation(
        members=members,
        direction="outbound" if outbound else "inbound",
        started_at=started_at,
        ended_at=started_at,
        parties=list(parties.items()),
        is_internal=not parties,
        is_bulk=any(row["bulk"] for row in members) or len(recipients) > settings.bulk_recipients,
        representative=representative,
        participants=participants,
        team=of_team[0]["team"] if of_team else None,
        function=of_team[0]["function"] if of_team else None,
    )


# --- D. Exclusion -----------------------------------------------------------------------------------


def exclusion(conversation: Conversation, settings: EngineSettings) -> str | None:
    """Return the first reason that applies, in the fixed order, or None when the conversation counts."""
    reasons = {
        "internal": conversation.is_internal,
        "automated": conversation.has("automated"),
        "bulk": conversation.is_bulk,
        "emergency": conversation.has("emergency"),
        "never_log": not countable_parties(conversation, settings),
        "unanswered": conversation.attempt == "unanswered",
        "no_human": conversation.attempt == "no_human",
        "too_short": conversation.channel == "call" and conversation.talk_seconds < settings.too_short_seconds,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def countable_parties(conversation: Conversation, settings: EngineSettings) -> list[Party]:
    """Return the external parties that are not on the list of those never logged."""
    return [
        (token, domain)
        for token, domain in conversation.parties
        if token not in settings.never_log and domain not in settings.never_log
    ]


# --- E. Merge across sources, and F. Ids ------------------------------------------------------------


def merge(conversations: list[Conversation], settings: EngineSettings) -> list[list[Conversation]]:
    """Return the conversations in groups that are one interaction (or one email), the root first.

    Only calls with a token merge. A class is a line of a source. Class by class in order, each
    conversation joins at most one earlier group of the same token, overlapping talk and the same or
    unknown people, in which its source has no part yet.
    """
    mergeable = [item for item in conversations if item.channel == "call" and item.token is not None]
    groups: list[list[Conversation]] = []
    for line, source in sorted({(line_order(item.line), item.source) for item in mergeable}):
        arrivals = [item for item in mergeable if (line_order(item.line), item.source) == (line, source)]
        choices = []
        for arrival in arrivals:
            for index, group in enumerate(groups):
                distance = merge_distance(arrival, group, settings.merge_tolerance)
                if distance is not None and source not in {member.source for member in group}:
                    choices.append((distance, arrival.conversation_id, group[0].conversation_id, index, arrival))
        joined: set[str] = set()
        taken: set[int] = set()
        for _, arrival_id, _, index, arrival in sorted(choices, key=lambda choice: choice[:3]):
            if arrival_id not in joined and index not in taken:
                joined.add(arrival_id)
                taken.add(index)
                groups[index].append(arrival)
        groups += [[item] for item in arrivals if item.conversation_id not in joined]
    merged = {item.conversation_id for item in mergeable}
    return groups + [[item] for item in conversations if item.conversation_id not in merged]


def merge_distance(arrival: Conversation, group: list[Conversation], tolerance: timedelta) -> timedelta | None:
    """Return how far apart in the start of talk a call is from a group that it may join, else None."""
    people = {name for member in group for name in member.participants}
    if arrival.token != group[0].token or (arrival.participants and people and not people & set(arrival.participants)):
        return None
    start = arrival.talk_started_at
    assert start is not None  # a call that counts has talk
    return min(
        (
            abs(start - member.talk_started_at)
            for member in group
            if member.talk_started_at is not None
            and start <= member.ended_at + tolerance
            and member.talk_started_at <= arrival.ended_at + tolerance
        ),
        default=None,
    )


def digest(*parts: str) -> str:
    """Return the 16 characters that identify the parts."""
    return hashlib.md5("|".join(parts).encode(), usedforsecurity=False).hexdigest()[:16]


def interactions_of(
    group: list[Conversation], evidence_id: str, register: Register, settings: EngineSettings
) -> list[dict[str, Any]]:
    """Return the rows of a group: one, or one per external party of an email. Outcome is not decided."""
    root = group[0]
    first = next((item for item in group if item.representative is not None), None)
    first = first or next((item for item in group if item.team is not None), root)
    participants = list(dict.fromkeys(name for item in group for name in item.participants))
    rows = []
    parties = countable_parties(root, settings)
    for token, domain in parties:
        customers = register.customers_of(token, domain)
        rows.append(
            {
                "interaction_id": digest(evidence_id, token or "") if root.channel == "email" else evidence_id,
                "evidence_id": evidence_id,
                "company_id": settings.company_id,
                "channel": root.channel,
                "line": best_line(item.line for item in group),
                "direction": root.direction,
                "started_at": root.started_at,
                "ended_at": root.ended_at,
                "talk_seconds": root.talk_seconds,
                "representative_id": first.representative,
                "participants": participants,
                "team": first.team,
                "function": first.function,
                "sources": sorted({row["source"] for item in group for row in item.members}),
                "token": token,
                "customer_ids": customers,
                "contact_id": register.contact_of(token),
                "segment": register.segment_of(customers),
                "window_ends_at": root.ended_at + settings.window_after,
                # No columns: both are dropped when the outcome is settled.
                "keys": set().union(*(item.exact_keys for item in group)),
                "shares_evidence": len(parties) > 1,
            }
        )
    return rows


# --- G. Identity ------------------------------------------------------------------------------------


class Register:
    """Whom the CRM knows: the latest versions of contacts and accounts that are not deleted."""

    def __init__(self, facts: Facts) -> None:
        self.contacts = latest(facts.get("contact", ()), "contact_id")
        self.accounts = latest(facts.get("account", ()), "account_id")

    def customer_of_contact(self, contact_id: str) -> str:
        """Return the contact's account, else the contact itself; an unknown contact counts as itself."""
        contact = self.contacts.get(contact_id)
        return str(contact["account_id"] or contact_id) if contact else contact_id

    def customers_of(self, token: str | None, domain: str | None) -> list[str]:
        """Return the customers that hold the token; when there is none, the accounts of the domain."""
        found = {self.customer_of_contact(name) for name, row in self.contacts.items() if holds(row["tokens"], token)}
        found |= {name for name, row in self.accounts.items() if holds(row["tokens"], token)}
        if not found:
            found = {name for name, row in self.accounts.items() if holds(row["domains"], domain)}
        return sorted(found)

    def contact_of(self, token: str | None) -> str | None:
        """Return the contact that holds the token, if it is exactly one."""
        holders = [name for name, row in self.contacts.items() if holds(row["tokens"], token)]
        return holders[0] if len(holders) == 1 else None

    def segment_of(self, customers: list[str]) -> str | None:
        """Return the segment of the first customer, when it is an account that has one."""
        first = self.accounts.get(customers[0]) if customers else None
        segment: str | None = first["segment"] if first else None
        return segment

    def knows(self, activity: Row) -> bool:
        """Return whether one of the contacts or accounts that a record is tied to is known."""
        accounts = set(self.accounts) | {row["account_id"] for row in self.contacts.values()}
        return bool(
            set(activity["contact_ids"] or ()) & set(self.contacts) or set(activity["account_ids"] or ()) & accounts
        )


def latest(rows: Iterable[Row], identity: str) -> dict[str, Row]:
    """Return the latest version of each record, without those whose latest version is deleted."""
    versions: dict[str, Row] = {}
    for row in sorted(
        rows, key=lambda row: (row["updated_at"] is not None, row["updated_at"] or ORIGIN, row["raw_id"])
    ):
        versions[row[identity]] = row
    return {name: row for name, row in sorted(versions.items()) if not row["deleted"]}


def holds(tokens: Sequence[str] | None, token: str | None) -> bool:
    """Return whether a list of tokens has the token; nobody holds null."""
    return token is not None and token in (tokens or ())


# --- H. Activities ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activity:
    """A CRM record with its customers and owners worked out."""

    row: Row
    customers: frozenset[str]
    representatives: frozenset[str]
    teams: frozenset[str]
    keys: frozenset[str]
    logged_from: datetime
    logged_to: datetime

    @property
    def activity_id(self) -> str:
        return str(self.row["activity_id"])

    @property
    def kind(self) -> str:
        return str(self.row["kind"])


def activities_of(
    rows: Iterable[Row], register: Register, directory: Directory, users: Iterable[Row]
) -> tuple[list[Activity], list[Activity]]:
    """Return the activities (tied tickets are such), and the untied tickets."""
    addresses: dict[str, set[str]] = {}
    for user in users:
        addresses.setdefault(user["user_id"], set()).add(user["email_token"])
    activities: list[Activity] = []
    tickets: list[Activity] = []
    for row in latest(rows, "activity_id").values():
        at = row["logged_from"]
        owners: list[Row | None] = []
        for owner_id in {row["owner_id"], row["creator_id"]} - {None}:
            owners += [directory.of_token(address, at) for address in addresses.get(owner_id, ())]
            owners.append(directory.of_representative(owner_id, at))
        known_owners = [owner for owner in owners if owner is not None]
        activity = Activity(
            row=row,
            customers=frozenset(
                [register.customer_of_contact(contact_id) for contact_id in row["contact_ids"] or ()]
                + list(row["account_ids"] or ())
            ),
            representatives=frozenset(owner["representative_id"] for owner in known_owners) - {None},
            teams=frozenset(owner["team"] for owner in known_owners) - {None},
            keys=frozenset(row["keys"] or ()),
            logged_from=row["logged_from"],
            logged_to=row["logged_to"],
        )
        is_untied_ticket = row["kind"] == "ticket" and not register.knows(row)
        (tickets if is_untied_ticket else activities).append(activity)
    return activities, tickets


# --- I. Candidates ----------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Pair:
    """An activity that may be the trace of an interaction; the order is the order of preference."""

    tier: int
    fit: int
    distance: timedelta
    activity_id: str
    interaction_id: str


def candidates(interactions: list[dict[str, Any]], activities: list[Activity], settings: EngineSettings) -> list[Pair]:
    """Return every pair of interaction and activity with its best enabled tier.

    Tier 4 is for interactions without customers and activities without a pair in tiers 1-3.
    """
    pairs = []
    for interaction in interactions:
        for activity in activities:
            tier = tier_of(interaction, activity, settings)
            if tier is not None:
                pairs.append(pair(tier, interaction, activity))
    if "inferred" in settings.tiers:
        explained = {item.activity_id for item in pairs}
        left = [activity for activity in activities if activity.activity_id not in explained]
        unknown = [interaction for interaction in interactions if not interaction["customer_ids"]]
        for interaction in unknown:
            for activity in left:
                if is_inferred(interaction, activity, settings):
                    pairs.append(pair("inferred", interaction, activity))
    return pairs


def tier_of(interaction: Row, activity: Activity, settings: EngineSettings) -> str | None:
    """Return the best enabled tier of the first three in which the activity may be the trace."""
    same_customer = not activity.customers.isdisjoint(interaction["customer_ids"])
    may_be_exact = not interaction["shares_evidence"] or not activity.customers or same_customer
    if "exact" in settings.tiers and may_be_exact and not activity.keys.isdisjoint(interaction["keys"]):
        return "exact"
    if not same_customer or not (activity.kind == interaction["channel"] or activity.kind in GENERAL_KINDS):
        return None
    if is_owned(interaction, activity):
        tier, after = "same_representative", settings.same_representative_after
    else:
        tier, after = "other_representative", settings.other_representative_after
    return tier if tier in settings.tiers and overlaps(interaction, activity, settings.before, after) else None


def is_owned(interaction: Row, activity: Activity) -> bool:
    """Return whether an owner took part, or, when nobody of ours is known, whether the team is the owner's."""
    if interaction["participants"]:
        return not activity.representatives.isdisjoint(interaction["participants"])
    return interaction["team"] in activity.teams


def is_inferred(interaction: Row, activity: Activity, settings: EngineSettings) -> bool:
    """Return whether somebody who took part logged the same channel in the window of tier 4."""
    return (
        activity.kind == interaction["channel"]
        and not activity.representatives.isdisjoint(interaction["participants"])
        and overlaps(interaction, activity, settings.before, settings.inferred_after)
    )


def overlaps(interaction: Row, activity: Activity, before: timedelta, after: timedelta) -> bool:
    """Return whether the time of logging touches the window, edges included."""
    lowest, highest = interaction["started_at"] - before, interaction["ended_at"] + after
    return bool(activity.logged_from <= highest and activity.logged_to >= lowest)


def distance_of(interaction: Row, activity: Activity) -> timedelta:
    """Return the time between the end of the interaction and the (whole) time of logging."""
    end: datetime = interaction["ended_at"]
    return max(activity.logged_from - end, end - activity.logged_to, timedelta(0))


def pair(tier: str, interaction: Row, activity: Activity) -> Pair:
    """Return the pair with its place in the order of preference."""
    return Pair(
        tier=TIERS.index(tier),
        fit=0 if activity.kind == interaction["channel"] else 1,
        distance=distance_of(interaction, activity),
        activity_id=activity.activity_id,
        interaction_id=interaction["interaction_id"],
    )


# --- J. Assignment ----------------------------------------------------------------------------------


def assign(
    pairs: list[Pair], interactions: list[dict[str, Any]], activities: list[Activity]
) -> dict[str, dict[str, Any]]:
    """Take pairs in order of preference while both are free; write traces; return activities' outcomes."""
    by_id = {activity.activity_id: activity for activity in activities}
    traces: dict[str, Pair] = {}
    outcomes: dict[str, dict[str, Any]] = {}
    in_order = sorted(pairs)
    for item in in_order:
        if item.interaction_id not in traces and item.activity_id not in outcomes:
            traces[item.interaction_id] = item
            outcomes[item.activity_id] = activity_outcome(by_id[item.activity_id], "trace", item)
    for item in in_order:
        if item.activity_id not in outcomes and TIERS[item.tier] != "inferred":
            outcomes[item.activity_id] = activity_outcome(by_id[item.activity_id], "redundant", item)
    for activity in activities:
        if activity.activity_id not in outcomes:
            outcomes[activity.activity_id] = activity_outcome(activity, "unexplained")
    for interaction in interactions:
        trace = traces.get(interaction["interaction_id"])
        interaction["activity_id"] = trace.activity_id if trace else None
        interaction["tier"] = TIERS[trace.tier] if trace else None
        delay = by_id[trace.activity_id].logged_from - interaction["ended_at"] if trace else None
        interaction["trace_delay_seconds"] = delay.total_seconds() if delay is not None else None
    return outcomes


def activity_outcome(activity: Activity, status: str, item: Pair | None = None) -> dict[str, Any]:
    """Return the row that says what an activity explains."""
    return {
        "status": status,
        "tier": TIERS[item.tier] if item else None,
        "interaction_id": item.interaction_id if item else None,
        "customer_ids": sorted(activity.customers),
        "representative_ids": sorted(activity.representatives),
    }


# --- K. Outcome -------------------------------------------------------------------------------------


def complete_through(progress: Iterable[Row]) -> datetime | None:
    """Return how far every CRM source has been read: the least of each one's greatest mark."""
    greatest: dict[str, datetime] = {}
    for row in progress:
        greatest[row["source"]] = max(greatest.get(row["source"], row["complete_through"]), row["complete_through"])
    return min(greatest.values(), default=None)


def settle(
    interactions: list[dict[str, Any]], tickets: list[Activity], through: datetime | None, settings: EngineSettings
) -> None:
    """Write the outcome of each interaction: traced, siloed, bypassed with a reason, or pending."""
    for interaction in interactions:
        ticket = nearest_ticket(interaction, tickets, settings)
        interaction["reason"] = None
        interaction["ticket_id"] = None
        if interaction["activity_id"] is not None:
            interaction["outcome"] = "traced"
        elif ticket is not None:
            interaction["outcome"] = "siloed"
            interaction["ticket_id"] = ticket.activity_id
        elif through is not None and through >= interaction["window_ends_at"]:
            interaction["outcome"] = "bypassed"
            if interaction["token"] is None:
                interaction["reason"] = "withheld"
            else:
                interaction["reason"] = "not_logged" if interaction["customer_ids"] else "unknown_customer"
        else:
            interaction["outcome"] = "pending"
        del interaction["keys"], interaction["shares_evidence"]


def nearest_ticket(interaction: Row, tickets: list[Activity], settings: EngineSettings) -> Activity | None:
    """Return the untied ticket about the interaction, by key, or by token and time; the nearest in time."""
    about = [
        ticket
        for ticket in tickets
        if not ticket.keys.isdisjoint(interaction["keys"])
        or (
            holds(ticket.row["tokens"], interaction["token"])
            and overlaps(interaction, ticket, settings.before, settings.same_representative_after)
        )
    ]
    return min(about, key=lambda ticket: (distance_of(interaction, ticket), ticket.activity_id), default=None)


# --- Orders -----------------------------------------------------------------------------------------


def nulls_last(*values: str | None) -> tuple[tuple[bool, str], ...]:
    """Return a key that sorts by the values with nulls after everything else."""
    return tuple((value is None, value or "") for value in values)


def smallest(one: str | None, other: str | None) -> str | None:
    """Return the smaller of two texts; null only when both are."""
    return min((text for text in (one, other) if text is not None), default=None)


def time_order(row: Row) -> tuple[datetime, int]:
    """Return the key of the order in time; at one instant the records' contents decide, not their places."""
    return (row["started_at"], (row["record_digest"] or 0) % 2**44)


def earliest(members: list[Row]) -> Row:
    """Return the member that speaks for all: the first in time; copies of an email are alike."""
    return min(members, key=time_order)


def ended_at(row: Row) -> datetime:
    """Return when an observation ended; one without an end ended when it started."""
    end: datetime = row["ended_at"] or row["started_at"]
    return end


def line_order(line: str | None) -> int:
    """Return the place of a line in the order contact centre, PBX, mobile, unknown."""
    return LINES.index(line) if line in LINES else len(LINES)


def best_line(lines: Iterable[str | None]) -> str | None:
    """Return the most specific line."""
    return min(lines, key=line_order, default=None)
