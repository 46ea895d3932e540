"""What truly happened, and what truly became of it.

An interaction is truly traced when a record in the CRM was made for it, on its own customer, from 15 minutes
before its start to 72 hours after its end, or at any time with the interaction's own key in it. Who made the
record, and whether the CRM knows the number or address that was used, does not matter here: that the measurement
cannot see such a trace is its error, not a bypass. A record on another customer is no trace of this one, and
neither is one that came later; `remark` tells both apart from what nobody wrote down. One record stands for one
interaction: when a single record names two people of one customer, only one of the two interactions has it for a
trace. Doubles, records on wrong customers and records with nothing behind them are in the exports all the same:
whatever they match by chance is an error of the measurement too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.simulation.company import Representative
from pipeline.simulation.customers import Customer, Person
from pipeline.simulation.worktime import HOUR, MINUTE

# Of traced interactions: an ordinary one, by somebody who took no part, of an identifier that the CRM does not know.
# Of others: what there is instead of a trace.
Remark = Literal[
    "logged", "by_colleague", "unidentified", "wrong_customer", "too_late", "ticket_of_nobody", "shared_record", "none"
]  # fmt: skip

BEFORE: Final = 15 * MINUTE
AFTER: Final = 72 * HOUR


@dataclass(eq=False, slots=True)
class Logged:
    """A record that somebody made in the CRM for one interaction. `customer_id` is null for a ticket of nobody."""

    activity_id: str
    kind: Literal["call", "email", "task", "ticket"]
    customer_id: str | None
    maker: Representative
    created_at: int
    carries_key: bool = False


@dataclass(eq=False, slots=True)
class Interaction:
    """One true interaction. `evidence` is shared by the parties of one email.

    `team_members` are those who may log for a shared mailbox; empty when somebody in person took part.
    `identifier` is in clear, null when withheld; `customer_ids` are where it leads to in the CRM.
    """

    channel: Literal["call", "email"]
    line: str | None
    direction: Literal["inbound", "outbound"]
    team: str
    function: str
    participants: tuple[Representative, ...]
    team_members: tuple[Representative, ...]
    customer: Customer
    person: Person
    identifier: str | None
    customer_ids: set[str]
    started_at: int
    ended_at: int
    talk_seconds: int = 0
    keys: tuple[str, ...] = ()
    evidence: list[str] = field(default_factory=list)
    parties: int = 1
    records: list[Logged] = field(default_factory=list)
    is_mentioned_only: bool = False  # in a record that stands for another party of the same email

    @property
    def representative(self) -> Representative | None:
        return self.participants[0] if self.participants else None

    def is_own(self, record: Logged) -> bool:
        """Return whether a record lies on this interaction's customer."""
        own = (self.customer.account_id, self.person.contact.customer_id if self.person.contact else None)
        return record.customer_id is not None and (record.customer_id in own or record.customer_id in self.customer_ids)

    def is_trace(self, record: Logged) -> bool:
        """Return whether a record made for this interaction is its trace."""
        if record.carries_key and record.customer_id is not None and self.parties == 1:
            return True
        if not self.is_own(record):
            return False
        return record.carries_key or self.started_at - BEFORE <= record.created_at <= self.ended_at + AFTER

    def outcome(self, complete_through: int) -> tuple[str, str | None, list[Logged], Remark]:
        """Return outcome, reason, the records that are traces, and what else can be said."""
        traces = [record for record in self.records if self.is_trace(record)]
        if traces:
            return "traced", None, traces, self._trace_remark(traces)
        if any(record.customer_id is None for record in self.records):
            return "siloed", None, [], "ticket_of_nobody"
        remark: Remark = "none"
        if any(self.is_own(record) for record in self.records):
            remark = "too_late"
        elif self.records:
            remark = "wrong_customer"
        elif self.is_mentioned_only:
            remark = "shared_record"
        if complete_through < self.ended_at + AFTER:
            return "pending", None, [], remark
        if self.identifier is None:
            return "bypassed", "withheld", [], remark
        return "bypassed", "not_logged" if self.customer_ids else "unknown_customer", [], remark

    def _trace_remark(self, traces: list[Logged]) -> Remark:
        if any(record.carries_key for record in traces):
            return "logged"
        if not any(record.customer_id in self.customer_ids for record in traces):
            return "unidentified"
        took_part = {*self.participants, *self.team_members}
        return "logged" if any(record.maker in took_part for record in traces) else "by_colleague"


def truth_lines(
    interactions: Sequence[Interaction], complete_through: int, text_of: Callable[[int], str]
) -> Iterator[bytes]:
    """Yield one JSON line per true interaction, in the order of their starts.

    `evidence` holds the place of every raw record that shows the interaction: file:position, the file relative to
    the company's directory, the position a line number, in mailboxes a byte offset. `conversation` is shared by
    the parties of one email; `activity_ids` are all records that are its trace, the first of which is `activity_id`.
    """
    conversations: dict[int, int] = {}
    for number, interaction in enumerate(interactions, 1):
        outcome, reason, traces, remark = interaction.outcome(complete_through)
        representative = interaction.representative
        conversation = conversations.setdefault(id(interaction.evidence), number)
        line = {
            "interaction": number,
            "conversation": conversation,
            "channel": interaction.channel,
            "line": interaction.line,
            "direction": interaction.direction,
            "team": interaction.team,
            "function": interaction.function,
            "representative_id": representative.representative_id if representative else None,
            "participants": [person.representative_id for person in interaction.participants],
            "identifier": interaction.identifier,
            "customer_ids": sorted(interaction.customer_ids),
            "started_at": text_of(interaction.started_at),
            "ended_at": text_of(interaction.ended_at),
            "talk_seconds": interaction.talk_seconds,
            "outcome": outcome,
            "reason": reason,
            "activity_id": traces[0].activity_id if traces else None,
            "activity_ids": [record.activity_id for record in traces],
            "is_logged": any(map(interaction.is_own, interaction.records)),
            "remark": remark,
            "keys": list(interaction.keys),
            "evidence": interaction.evidence,
        }
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
