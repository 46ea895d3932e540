"""The one type of all canonical records: what a line of a file or a message of a raw topic may hold."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from schemas.crm import Account, Activity, Contact, FeedProgress, Ticket, User
from schemas.directory import Representative
from schemas.raw import Call, Email, Message, PbxLeg, Record

CanonicalRecord = Annotated[
    Call | PbxLeg | Email | Message | Contact | Account | Activity | Ticket | User | FeedProgress | Representative,
    Field(discriminator="kind"),
]

RECORD_MODELS: Final[dict[str, type[Record]]] = {
    "call": Call,
    "pbx_leg": PbxLeg,
    "email": Email,
    "message": Message,
    "contact": Contact,
    "account": Account,
    "activity": Activity,
    "ticket": Ticket,
    "user": User,
    "feed_progress": FeedProgress,
    "representative": Representative,
}

RAW_EVENT_KINDS: Final = frozenset({"call", "pbx_leg", "email", "message"})
