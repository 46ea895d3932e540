"""The directory: who works in which team, with which extension, numbers and mailbox, and when."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from schemas.raw import Id, Record, Word

Function = Literal["contact_center", "other"]

COLUMNS: tuple[str, ...] = (
    "representative_id",
    "name",
    "email",
    "extension",
    "direct_number",
    "mobile_number",
    "team",
    "function",
    "valid_from",
    "valid_to",
)


class Representative(Record):
    """One row of the directory. Without `representative_id` it is a team's shared mailbox, queue or ring group."""

    kind: Literal["representative"] = Field(
        default="representative", description="Kind of the record.", examples=["representative"]
    )
    representative_id: Word | None = Field(
        default=None, description="Identity of the representative; null for what a team shares.", examples=["r017"]
    )
    name: Word | None = Field(default=None, description="Name, or what is shared.", examples=["Matti Meikäläinen"])
    email: Word | None = Field(default=None, description="Address of the mailbox.", examples=["matti@acme.example"])
    extension: Word | None = Field(
        default=None, description="Device, queue or ring group as the PBX names it.", examples=["201"]
    )
    direct_number: Word | None = Field(default=None, description="Direct number.", examples=["+358 10 5550201"])
    mobile_number: Word | None = Field(default=None, description="Mobile number.", examples=["+358 40 5550201"])
    team: Id = Field(description="Name of the team; every row belongs to one.", examples=["sales"])
    function: Function = Field(
        description="Function of the team: contact_center or other.", examples=["contact_center"]
    )
    valid_from: datetime | date | None = Field(
        default=None, description="First day or instant that counts. Null: always.", examples=["2024-01-01"]
    )
    valid_to: datetime | date | None = Field(
        default=None,
        description="First day or instant that no longer counts. Null: for ever.",
        examples=["2024-07-01"],
    )
