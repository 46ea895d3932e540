"""A company in whose records marked identifiers of customers are planted, in every source, and how they are found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb

from tests.integration.companies import place

# Three customers: one the CRM knows, one it does not, and one who only occurs in records that cannot be used.
# What is looked for is the core of each identifier, in lower case and without separators.
MARKS = {
    "known number": "407712345",
    "known first name": "zorvika",
    "known last name": "quillfeder",
    "known domain": "quillmark",
    "known firm": "haukkamarsu",
    "known handle": "zorv_q",
    "unknown number": "708823456",
    "unknown name": "brunhilda",
    "unknown domain": "stranglemoss",
    "broken number": "509934567",
    "broken first name": "vexley",
    "broken last name": "grimbourn",
    "broken domain": "gromwell",
    "text of a message": "fizzwarble",
    "encoded subject": "rml6endhcmjszq",
}

CONFIGURATION = """\
[company]
name = "Own Firm"
domains = ["ownfirm.example"]
region = "FI"
timezone = "Europe/Helsinki"
directory = "directory.csv"
outside_prefixes = ["0"]
never_log = ["+358 40 771 2345 0", "stranglemoss-clinic.example"]

[[source]]
name = "pbx"
path = "pbx"

[[source]]
name = "mail"
path = "mail"

[[source]]
name = "salesforce"
path = "salesforce"

[[source]]
name = "chat"
path = "chat"
"""

DIRECTORY = """\
representative_id,name,email,extension,direct_number,mobile_number,team,function
r1,Anna Oma,anna@ownfirm.example,201,+358 9 5550201,+358 40 5550201,Sales,other
r2,Ben Oma,ben@ownfirm.example,202,,,Service,contact_center
,Service,service@ownfirm.example,service,,,Service,contact_center
"""


def cdr(
    number: int, src: str, dst: str, clid: str, channel: str, other: str, data: str = "", user_field: str = "",
    start: str = "2025-03-03 10:00:00",
) -> str:  # fmt: skip
    """Return a row of call records, all 21 columns; one minute of talk."""
    day, clock = start.split()
    minute = int(clock[3:5])
    answer, end = f"{day} {clock[:3]}{minute:02}:05", f"{day} {clock[:3]}{minute + 1:02}:05"
    return (
        f'"","{src}","{dst}","from-trunk","{clid}","{channel}","{other}","Dial","{data}","{start}","{answer}","{end}",'
        f'65,60,"ANSWERED","DOCUMENTATION","1740988800.{number}","{user_field}","","1740988800.{number}",{number}\n'
    )


CALLS = "".join(
    [
        cdr(
            1, "0407712345", "201", '""Zorvika Quillfeder"" <0407712345>', "PJSIP/trunk-00000001",
            "PJSIP/201-00000002",
        ),
        cdr(
            2, "201", "00407712345", '""Anna"" <201>', "PJSIP/201-00000003", "PJSIP/trunk-00000004",
            "PJSIP/trunk/sip:00407712345@192.0.2.10,40", "Zorvika Quillfeder", "2025-03-03 11:00:00",
        ),
        cdr(
            3, "+46708823456", "service", "Brunhilda <+46 70-882 34 56>", "PJSIP/trunk-00000005",
            "Local/0407712345@from-queue-00000001;1", "service,t,,,20", start="2025-03-03 12:00:00",
        ),
        cdr(
            4, "+46708823456", "202", "+46708823456", "SIP/0407712345-00000006", "SIP/202-00000007",
            start="2025-03-04 12:00:00",
        ),
        cdr(
            5, "00358509934567", "201", '""Vexley Grimbourn"" <+358 50 993 4567>', "PJSIP/trunk-0000000a",
            "PJSIP/201-0000000b", start="2099-03-03 12:00:00",
        ),
        '"","0509934567","201","from-trunk","""Vexley Grimbourn"" <0509934567>","PJSIP/trunk-0000000c"\n',
        cdr(6, "0509934567", "201", '""Vexley Grimbourn"" <0509934567>', "a", "b", user_field="Grimbourn").replace(
            '"2025-03-03 10:00:00"', '"yesterday"'
        ),
        'Grimbourn <050 993 45 67>,"PJSIP/trunk-0000000d",Vexley Grimbourn,vexley@gromwell-estate.fi\n',
    ]
)  # fmt: skip

QUEUE_LOG = """\
1740996000|1740988800.3|service|NONE|ENTERQUEUE||+46708823456|1
1740996005|1740988800.3|service|Local/0407712345@from-queue/n|CONNECT|5|1740988800.30|4
1740996065|1740988800.3|service|Local/0407712345@from-queue/n|COMPLETECALLER|5|60|1
Monday|1740988800.9|service|NONE|ENTERQUEUE||+358 50 993 4567|1
1740996100|1740988800.9|service
"""

MAIL = {
    "anna/1.eml": """\
Return-Path: <zorvika@quillmark-oy.fi>
Delivered-To: anna@ownfirm.example
Received: from mx.quillmark-oy.fi (mx.quillmark-oy.fi [192.0.2.7])
\tby mx1.ownfirm.example; Mon, 03 Mar 2025 10:00:01 +0200
Date: Mon, 03 Mar 2025 10:00:00 +0200
From: "Quillfeder, Zorvika" <Zorvika@Quillmark-Oy.fi>
Reply-To: zorvika.quillfeder@gmail.com
To: Anna <anna@ownfirm.example>, =?utf-8?B?Rml6endhcmJsZQ==?= <zorvika.quillfeder@gmail.com>
Subject: =?utf-8?B?Rml6endhcmJsZQ==?= from Zorvika, +358 40 771 2345
Message-ID: <1.a@relay.example>

Fizzwarble! Call me: 040 771 2345, zorvika@quillmark-oy.fi
""",
    "anna/2.eml": """\
Date: Tue, 04 Mar 2025 11:00:00 +0200
From: anna@ownfirm.example
To: Brunhilda <brunhilda@stranglemoss.se>
Cc: "Zorvika Quillfeder" <zorvika@quillmark-oy.fi>
Bcc: info@stranglemoss-clinic.example
Subject: Fizzwarble
Message-ID: <zorvika@quillmark-oy.fi.2@relay.example>
In-Reply-To: <brunhilda@stranglemoss.se>

Fizzwarble.
""",
    "anna/3.eml": """\
Date: Tue, 04 Mar 2099 11:00:00 +0200
From: Vexley Grimbourn <vexley@gromwell-estate.fi>
To: anna@ownfirm.example
Subject: Fizzwarble, asks Vexley Grimbourn, 050 993 4567
X-Originating-User: Vexley Grimbourn
Message-ID: <vexley@gromwell-estate.fi>

Fizzwarble.
""",
    "anna/4.eml": """\
From: Vexley Grimbourn
\tof gromwell-estate.fi <vexley@gromwell-estate.fi>
To: anna@ownfirm.example
Subject: =?utf-8?B?Rml6endhcmJsZQ==?=
X-Phone: 0509934567
Thread-Topic: Vexley Grimbourn
Vexley Grimbourn <vexley@gromwell-estate.fi>, 050 993 4567
Message-ID: <4.a@relay.example>

Fizzwarble.
""",
}


def export(*rows: str) -> str:
    """Return an export of Salesforce; cells stand between bars."""
    return "".join(",".join(f'"{cell}"' for cell in row.split("|")) + "\n" for row in rows)


SALESFORCE = {
    "Account.csv": export(
        "Id|Name|Phone|Website|Description|LastModifiedDate|IsDeleted",
        "001000000000001AAA|Haukkamarsu Oy|040-771 2345|https://www.quillmark-oy.fi/yhteys"
        "|Zorvika Quillfeder asks for a fizzwarble|2025-01-01T00:00:00.000+0000|false",
        "001000000000002AAA|Grimbourn & Gromwell|+358 50 9934567|gromwell-estate.fi|Vexley",
    ),
    "Contact.csv": export(
        "Id|AccountId|FirstName|LastName|Name|Phone|MobilePhone|Email|Description|LastModifiedDate|IsDeleted",
        "003000000000001AAA|001000000000001AAA|Zorvika|Quillfeder|Zorvika Quillfeder|+358 (0)40 7712345|"
        "|zorvika@quillmark-oy.fi|fizzwarble|2025-01-01T00:00:00.000+0000|false",
        "003000000000002AAA||Vexley|Grimbourn|Vexley Grimbourn|0509934567||vexley@gromwell-estate.fi",
        "||Vexley|Grimbourn|Vexley Grimbourn|0509934567||vexley@gromwell-estate.fi||2025-01-01T00:00:00.000+0000|false",
    ),
    "Task.csv": export(
        "Id|WhoId|AccountId|Subject|Description|OwnerId|Type|TaskSubtype|CreatedDate|LastModifiedDate|IsDeleted",
        "00T000000000001AAA|003000000000001AAA|001000000000001AAA|Puhelu: Zorvika Quillfeder 040 771 2345|Fizzwarble, "
        "zorvika@quillmark-oy.fi|005000000000001AAA|Call|Call|2025-03-03T08:10:00.000+0000"
        "|2025-03-03T08:10:00.000+0000|false",
        "00T000000000002AAA|003000000000001AAA||Call Vexley Grimbourn|Fizzwarble 050 993 4567|005000000000001AAA|Call"
        "|Call|last Monday|2025-03-03T08:10:00.000+0000|false",
        "00T000000000003AAA|003000000000001AAA||Call Vexley Grimbourn|Fizzwarble 050 993 4567",
        "00T000000000004AAA|003000000000001AAA|001000000000001AAA|Note|x|005000000000001AAA|||"
        "2025-03-20T08:10:00.000+0000|2025-03-20T08:10:00.000+0000|false",
    ),
    "Case.csv": export(
        "Id|ContactId|AccountId|SuppliedName|SuppliedEmail|SuppliedPhone|Subject|OwnerId|CreatedDate|LastModifiedDate"
        "|IsDeleted",
        "500000000000001AAA|||Brunhilda|brunhilda@stranglemoss.se|+46 708 82 34 56|Fizzwarble|005000000000001AAA"
        "|2025-03-03T10:10:00.000+0000|2025-03-03T10:10:00.000+0000|false",
        "500000000000002AAA|||Vexley Grimbourn|vexley@gromwell-estate.fi|0509934567|Fizzwarble|005000000000001AAA"
        "|2099-03-03T10:10:00.000+0000|2025-03-03T10:10:00.000+0000|false",
    ),
    "EmailMessage.csv": export(
        "Id|ParentId|ActivityId|RelatedToId|MessageIdentifier|FromAddress|ToAddress|Subject|TextBody|MessageDate"
        "|Incoming|CreatedDate|CreatedById|LastModifiedDate|IsDeleted",
        "02s000000000001AAA|||001000000000001AAA|<1.a@relay.example>|zorvika@quillmark-oy.fi|anna@ownfirm.example"
        "|Fizzwarble from Zorvika|Fizzwarble|2025-03-03T08:00:00.000+0000|true|2025-03-03T08:05:00.000+0000"
        "|005000000000001AAA|2025-03-03T08:05:00.000+0000|false",
        "02s000000000002AAA|||001000000000001AAA|<vexley@gromwell-estate.fi>|vexley@gromwell-estate.fi"
        "|anna@ownfirm.example|Fizzwarble|Vexley Grimbourn|no date|true|no date|005000000000001AAA"
        "|2025-03-03T08:05:00.000+0000|false",
    ),
    "User.csv": export(
        "Id|Username|Email|Name|LastModifiedDate",
        "005000000000001AAA|anna@ownfirm.example|anna@ownfirm.example|Anna Oma|2025-01-01T00:00:00.000+0000",
    ),
}

CHAT = [
    {
        "kind": "message", "channel": "sms", "message_id": "SM1", "started_at": "2025-03-05T10:00:00+02:00",
        "direction": "inbound", "from": "040 771 2345", "to": "+358 40 5550201",
    },
    {
        "kind": "message", "channel": "social", "message_id": "IG1", "started_at": "2025-03-05T10:00:00+02:00",
        "direction": "inbound", "from": "zorv_q", "to": "ownfirm", "namespace": "instagram", "representative": "r1",
    },
    {
        "kind": "message", "channel": "chat", "started_at": "2025-03-05T10:00:00+02:00", "direction": "inbound",
        "customer": "brunhilda@stranglemoss.se", "representative": "r2",
    },
    {
        "kind": "message", "channel": "sms", "started_at": "2099-03-05T10:00:00+02:00", "direction": "inbound",
        "from": "Vexley Grimbourn", "to": "0509934567",
    },
    {
        "kind": "message", "channel": "sms", "started_at": "2025-03-05T10:00:00+02:00", "direction": "inbound",
        "from": "+358 50 9934567", "to": "201", "text": "Fizzwarble, says Vexley Grimbourn",
    },
    {"kind": "message", "channel": "pigeon", "started_at": "vexley@gromwell-estate.fi", "from": "0509934567"},
]  # fmt: skip
BROKEN_CHAT = (
    '{"kind": "message", "from": "Vexley Grimbourn", "to": "050 993 4567", "note": "Grimbourn", '
    '"vexley@gromwell-estate.fi\n'
)


@cache
def company() -> Path:
    """Return the directory of a company in whose records everything is planted."""
    directory = place("marked")
    files = {
        "bypassflow.toml": CONFIGURATION,
        "directory.csv": DIRECTORY,
        "pbx/Master.csv": CALLS,
        "pbx/queue_log": QUEUE_LOG,
        "chat/messages.jsonl": "".join(json.dumps(message) + "\n" for message in CHAT) + BROKEN_CHAT,
        **{f"mail/{name}": text for name, text in MAIL.items()},
        **{f"salesforce/{name}": text for name, text in SALESFORCE.items()},
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def found_in(text: str) -> set[str]:
    """Return which marks stand in a text, however they are written there."""
    lowered = text.lower()
    digits_joined = re.sub(r"(?<=\d)[\s().\-/]+(?=\d)", "", lowered)
    return {name for name, mark in MARKS.items() if mark in lowered or mark in digits_joined}


def every_row(db: Path) -> Iterator[tuple[str, str]]:
    """Yield the text of every row of every table and view, with the table's name."""
    with duckdb.connect(str(db), read_only=True) as connection:
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall():
            for (text,) in connection.execute(f"SELECT whole_row::VARCHAR FROM {name} AS whole_row").fetchall():
                yield name, text
