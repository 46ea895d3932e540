"""Readings: what bypassflow's own parsers read from files, one fact a message, on the raw topics.

A replay into topics sends these, so that live and from files the same facts come of the same records. They carry the
identifiers in clear, like every record on a raw topic; ingest makes the tokens. Files never hold them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from schemas.facts import FactKind
from schemas.raw import Id, Record

Place = Annotated[str, Field(min_length=1, max_length=5_000)]
Unit = Literal["line", "byte", "record"]

# What is kept of a record that was refused: enough to find out why.
OUTLINE_LENGTH: Final = 2_000


class Reading(Record):
    """A fact as a parser read it; where a fact has a token, the identifier itself stands as kind:canonical form."""

    kind: Literal["reading"] = Field(default="reading", description="Kind of the record.", examples=["reading"])
    fact: FactKind = Field(
        description="Kind of the fact. An identifier stands alone when no fact mentions it.", examples=["observation"]
    )
    row: dict[str, Any] = Field(
        description="The fact's columns, see `schemas/facts.py`; absent ones are null. Instants are ISO 8601 in UTC, "
        "identifiers phone:+358401234567, email:maija@customer.example, domain:customer.example or "
        "handle:whatsapp:maija.",
        examples=[{"raw_id": "crm:contacts.csv:7", "source": "crm", "contact_id": "003A1", "deleted": False}],
    )


class Rejected(Record):
    """A record that a parser refused; it becomes a dead letter as it would from a file."""

    kind: Literal["rejected"] = Field(default="rejected", description="Kind of the record.", examples=["rejected"])
    raw_id: Place = Field(
        description="Identity of the record: source, file and position.", examples=["pbx:Master.csv:7"]
    )
    source: Id = Field(description="Source that wrote it.", examples=["pbx"])
    file: Place = Field(description="File in which it stands.", examples=["Master.csv"])
    position: int = Field(ge=0, le=2**63 - 1, description="Where it stands in the file.", examples=[7])
    unit: Unit = Field(description="What the position counts: line, byte or record.", examples=["line"])
    reason: Place = Field(description="Why it was refused; holds none of its values.", examples=["has 3 columns"])
    raw_text: str = Field(max_length=OUTLINE_LENGTH, description="Its outline, identifiers masked.", examples=["…,…,…"])
    is_raw_event: bool = Field(
        default=True, description="Whether it counts as a raw event; a CRM record does not.", examples=[True]
    )


READING_MODELS: Final[dict[str, type[Record]]] = {"reading": Reading, "rejected": Rejected}
