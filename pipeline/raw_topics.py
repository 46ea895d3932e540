"""On which raw topic a fact that was read belongs, and under which key: whoever publishes facts decides alike."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.facts import FactKind
from schemas.topics import RAW_TOPIC_OF_KIND

TOPIC_OF_IDENTIFIERS: Final = RAW_TOPIC_OF_KIND["contact"]
# A call's topic depends on its line and a message's on its channel, see topics_of.
_TOPIC: Final = {
    "contact": RAW_TOPIC_OF_KIND["contact"],
    "account": RAW_TOPIC_OF_KIND["account"],
    "crm_user": RAW_TOPIC_OF_KIND["user"],
    "feed_progress": RAW_TOPIC_OF_KIND["feed_progress"],
    "directory_entry": RAW_TOPIC_OF_KIND["representative"],
    "identifier": TOPIC_OF_IDENTIFIERS,
}
_KEYS: Final = {
    "observation": ("key", "raw_id"),
    "activity": ("activity_id",),
    "contact": ("contact_id",),
    "account": ("account_id",),
    "crm_user": ("user_id",),
    "feed_progress": ("source",),
    "directory_entry": ("representative_id", "extension", "name", "team"),
    "identifier": ("token",),
}


def topics_of(kind: FactKind, table: pa.Table) -> Any:
    """Return the raw topic of each fact, a text each, or one text for all of them."""
    if kind == "observation":
        is_leg = pc.fill_null(pc.equal(table.column("line"), "pbx"), False)
        call = pc.if_else(is_leg, RAW_TOPIC_OF_KIND["pbx_leg"], RAW_TOPIC_OF_KIND["call"])
        channel = table.column("channel")
        other = pc.if_else(pc.equal(channel, "email"), RAW_TOPIC_OF_KIND["email"], RAW_TOPIC_OF_KIND["message"])
        return pc.if_else(pc.equal(channel, "call"), call, other)
    if kind == "activity":
        is_ticket = pc.equal(table.column("kind"), "ticket")
        return pc.if_else(is_ticket, RAW_TOPIC_OF_KIND["ticket"], RAW_TOPIC_OF_KIND["activity"])
    return _TOPIC[kind]


def keys_of(kind: FactKind, table: pa.Table) -> list[str]:
    """Return the key of each fact: those of one conversation or record share one, and so a partition."""
    keys: list[str] = pc.coalesce(*(table.column(name) for name in _KEYS[kind])).to_pylist()
    return keys
