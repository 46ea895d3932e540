"""A small company written by hand: one PBX, one CRM, three representatives, one day of six calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

HELSINKI = ZoneInfo("Europe/Helsinki")

CONFIGURATION = """\
[company]
name = "Acme Oy"
domains = ["acme.example"]
region = "FI"
timezone = "Europe/Helsinki"
directory = "directory.csv"

[crm]
complete_through = 2024-03-10
"""
DIRECTORY = """\
representative_id,name,email,extension,direct_number,mobile_number,team,function
aino,Aino Virta,aino@acme.example,201,,,Sales,other
eero,Eero Mäki,eero@acme.example,202,,,Sales,other
liisa,Liisa Niemi,liisa@acme.example,301,,,Service,contact_center
"""
AALTO, BERG, STRANGER = "0401234567", "0507654321", "095551234"
CONTACTS = (
    {"kind": "contact", "contact_id": "C1", "account_id": "A1", "phones": ["+358 40 123 4567"]},
    {"kind": "contact", "contact_id": "C2", "account_id": "A2", "phones": ["050-7654321"]},
)
ACTIVITIES = (
    {
        "kind": "activity", "activity_id": "E1", "activity_kind": "call", "logged_at": "2024-03-04T09:10:00+02:00",
        "owner_id": "aino", "contact_ids": ["C1"],
    },
)  # fmt: skip


def cdr(start: str, number: str, extension: str, talk: int, sequence: int, zone: ZoneInfo = HELSINKI) -> str:
    """Return one line of a call log: an inbound call that rang 5 seconds; no talk means nobody answered."""
    begun = datetime.fromisoformat(start)
    epoch = int(begun.replace(tzinfo=zone).timestamp())
    answered = begun + timedelta(seconds=5)
    ended = answered + timedelta(seconds=talk)
    fields = [
        "", number, extension, "from-trunk", f'"""" <{number}>', f"PJSIP/trunk-{sequence:08x}",
        f"PJSIP/{extension}-{sequence:08x}", "Dial", f"PJSIP/{extension},20", str(begun),
        str(answered) if talk else None, str(ended), talk + 5, talk, "ANSWERED" if talk else "NO ANSWER",
        "DOCUMENTATION", f"{epoch}.{sequence}", "", "", f"{epoch}.{sequence}", sequence,
    ]  # fmt: skip
    return ",".join("" if value is None else f'"{value}"' if isinstance(value, str) else str(value) for value in fields)


CALLS = (
    cdr("2024-03-04 09:02:00", AALTO, "201", 270, 1),  # logged as E1
    cdr("2024-03-04 09:30:00", BERG, "202", 90, 3),
    cdr("2024-03-04 10:15:00", AALTO, "301", 120, 5),
    cdr("2024-03-04 11:00:00", STRANGER, "202", 45, 7),
    cdr("2024-03-04 12:00:00", AALTO, "202", 0, 9),  # unanswered
    cdr("2024-03-04 13:00:00", BERG, "301", 2, 11),  # too short
)


def json_lines(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def write_acme(folder: Path) -> Path:
    """Write the company's files into a folder; return the folder."""
    for name, text in {
        "bypassflow.toml": CONFIGURATION,
        "directory.csv": DIRECTORY,
        "pbx/Master.csv": "".join(f"{line}\n" for line in CALLS),
        "crm/contacts.jsonl": json_lines(CONTACTS),
        "crm/activities.jsonl": json_lines(ACTIVITIES),
    }.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder
