"""What people add to the facts: measures that a company took, and judgements of single interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# What a judge may say of an interaction, and what it means.
VERDICTS: Final[Mapping[str, str]] = {
    "correct": "its outcome is right",
    "logged_elsewhere": "the customer has a trace of it that was not found",
    "wrong_contact": "what was logged stands with somebody else, or speaks of another conversation: no trace",
    "no_customer": "it was no conversation with a customer",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """Something a company did so that more is logged, such as an integration switched on for one team.

    It holds from `begins_at` on for the teams and channels named; none named: for all. Instants are UTC without a zone.
    """

    measure_id: int
    name: str
    begins_at: datetime
    teams: tuple[str, ...]
    channels: tuple[str, ...]
    note: str
    author: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Label:
    """One judgement of one interaction; `verdict` is a name of `VERDICTS`. Instants are UTC without a zone."""

    interaction_id: str
    verdict: str
    note: str
    author: str
    labelled_at: datetime


@dataclass(frozen=True, slots=True)
class Drawn:
    """An interaction that was drawn at random to be judged: from which stratum, and how many lay in that one."""

    interaction_id: str
    stratum: str
    stratum_count: int
