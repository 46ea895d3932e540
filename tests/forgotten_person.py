"""A person seen over all channels, who will be forgotten, beside others; what a store then holds."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.live import Files
from tests.records import account, activity, call, contact, email, message, person, progress, user
from tests.stores import shown

KEY = b"key"
SECRET = b"thrown away"
# Anna's number, address, second address that only the CRM knows, and handle; each is rare enough to be looked for.
ANNA = ("Tok-anna-number", "Tok-anna-address", "Tok-anna-private", "Tok-anna-handle")
GIVEN = ANNA[:2] + ANNA[3:]
# What else must not be found: her ids in the CRM, and names of her records.
HERS = (
    "contact-of-anna", "account-of-anna", "activity-of-anna", "ticket-of-anna", "call-of-anna", "message-of-anna",
    "chat-of-anna", "post-of-anna", "text-of-anna", "mobile-of-anna", "domain-of-anna",
)  # fmt: skip
SHARED = "message-to-both"


def files() -> Files:
    """Two people over all channels: Anna, who will be forgotten, and Bob; an email to both of them; a stranger."""
    both = {"Tok-anna-address": "domain-of-anna", "Tok-bob-address": "domain-of-bob"}
    return {
        ("pbx", "cdr.csv"): [
            call("pbx:cdr.csv:1", "09:00", customer=ANNA[0], ours="201", key="call-of-anna-1"),
            call("pbx:cdr.csv:2", "09:00:01", customer=None, ours="202", key="call-of-anna-1", attempt="unanswered"),
            call("pbx:cdr.csv:3", "10:00", customer=ANNA[0], ours="202", key="call-of-anna-2"),
            call("pbx:cdr.csv:4", "11:00", customer=ANNA[0], ours="202", attempt="unanswered", key="call-of-anna-3"),
            call("pbx:cdr.csv:5", "09:30", customer="Tok-bob-number", ours="201", key="call-of-bob-1"),
            call("pbx:cdr.csv:6", "12:00", customer="Tok-stranger", ours="201", key="call-of-stranger"),
            call("pbx:cdr.csv:7", "13:00", customer=None, ours="201", key="call-of-nobody"),
            call("pbx:cdr.csv:8", "14:00", customer=ANNA[0], ours="201", key="call-of-anna-4"),
        ],
        ("operator", "mobile.csv"): [
            call("operator:mobile.csv:1", "09:00:05", customer=ANNA[0], ours="r1", line="mobile", key="mobile-of-anna"),
        ],
        ("mail", "inbox"): [
            email("mail:inbox:1", "15:00", ANNA[1], ["Tok-r1"], message_id="message-of-anna-1", domains=both),
            email("mail:inbox:2", "15:00", ANNA[1], ["Tok-r1"], message_id="message-of-anna-1", domains=both),
            email("mail:inbox:3", "16:00", "Tok-r1", [ANNA[1], "Tok-bob-address"], message_id=SHARED, domains=both),
            email("mail:inbox:4", "17:00", "Tok-r1", ["Tok-bob-address"], message_id="message-to-bob", domains=both),
        ],
        ("gateway", "sms.jsonl"): [message("gateway:sms.jsonl:1", "15:30", customer=ANNA[0], key="text-of-anna")],
        ("chat", "chat.jsonl"): [
            message("chat:chat.jsonl:1", "15:40", customer=ANNA[3], channel="chat", key="chat-of-anna"),
        ],
        ("social", "posts.jsonl"): [
            message("social:posts.jsonl:1", "15:50", customer=ANNA[3], channel="social", key="post-of-anna"),
        ],
        ("crm", "export"): [
            contact("contact-of-anna", *ANNA, account="account-of-anna"),
            account("account-of-anna", ANNA[0], segment="home"),
            contact("contact-of-bob", "Tok-bob-number", "Tok-bob-address", account="account-of-bob"),
            account("account-of-bob", domains=["domain-of-bob"], segment="firm"),
            activity("activity-of-anna-1", "09:10", contacts=["contact-of-anna"], owner="u1"),
            activity("activity-of-anna-2", "09:12", "note", accounts=["account-of-anna"], owner="u1"),
            activity("activity-of-anna-3", "20:00", "meeting", contacts=["contact-of-anna"], owner="u1"),
            activity(
                "activity-of-anna-4", "15:05", "email", contacts=["contact-of-anna"], owner="u1",
                keys=["message-of-anna-1"],
            ),
            activity("activity-to-bob", "16:01", "email", contacts=["contact-of-bob"], owner="u1", keys=[SHARED]),
            activity("ticket-of-anna", "15:42", "ticket", tokens=[ANNA[3]], owner="u2"),
            activity("activity-of-bob", "09:33", contacts=["contact-of-bob"], owner="u1"),
            user("u1", "Tok-r1"), user("u2", "Tok-r2"), progress("12:00", day=9),
        ],
        ("directory", "directory.csv"): [
            person("r1", extension="201", email_token="Tok-r1"),
            person("r2", "Service", extension="202", email_token="Tok-r2"),
        ],
        ("known", "identifiers"): [
            *(shown(token, f"masked-{token}") for token in ANNA), shown("Tok-bob-number", "+358…01"),
        ],
    }  # fmt: skip


def texts(path: Path) -> str:
    """Return every value of every table, and the bytes of the file as text."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        rows = "\n".join(str(row) for name in names for row in connection.execute(f"FROM {name}").fetchall())
    return rows + path.read_bytes().decode("latin-1")
