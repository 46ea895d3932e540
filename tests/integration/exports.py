"""One small company, written down by different systems: the same talk, mail and records, as each of them tells it.

Written from the formats' documentation and not with the parsers' code.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from tests.acme import DIRECTORY

HELSINKI = ZoneInfo("Europe/Helsinki")
FIRST_DAY: Final = datetime(2024, 3, 4, 8, tzinfo=HELSINKI)
COMPANY_NUMBER: Final = "+358942450000"
PEOPLE: Final = {"aino": "201", "eero": "202", "liisa": "301"}
CUCM_FIELDS: Final = """
cdrRecordType globalCallID_callManagerId globalCallID_callId origLegCallIdentifier dateTimeOrigination
callingPartyNumber callingPartyUnicodeLoginUserID origCause_value destLegIdentifier originalCalledPartyNumber
finalCalledPartyNumber finalCalledPartyUnicodeLoginUserID destCause_value dateTimeConnect dateTimeDisconnect
lastRedirectDn pkid duration origDeviceName destDeviceName origCallTerminationOnBehalfOf destCallTerminationOnBehalfOf
origCalledPartyRedirectOnBehalfOf lastRedirectRedirectOnBehalfOf origCalledPartyRedirectReason
lastRedirectRedirectReason destConversationId globalCallId_ClusterID joinOnBehalfOf comment origConversationId
outpulsedCallingPartyNumber outpulsedCalledPartyNumber huntPilotDN calledPartyPatternUsage
"""
TRACKING_FIELDS: Final = (
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,"
    "internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,"
    "related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality"
)
CONFIGURATION: Final = """\
[company]
name = "Acme Oy"
domains = ["acme.example"]
region = "FI"
timezone = "Europe/Helsinki"
directory = "directory.csv"
public_numbers = ["+358942450000"]

[crm]
complete_through = 2024-03-31
"""


@dataclass(frozen=True)
class Customer:
    """A person in the CRM, of an organisation there."""

    number: int
    phone: str
    email: str


@dataclass(frozen=True)
class Call:
    """A call of one customer, or of somebody who withheld the number, with one of ours; no talk: nobody answered."""

    number: int
    at: datetime
    phone: str | None
    person: str
    is_outbound: bool
    ring: int
    talk: int


@dataclass(frozen=True)
class Mail:
    """An email of one of ours to customers, or of a customer to some of ours."""

    number: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    is_automated: bool

    @property
    def message_id(self) -> str:
        """Message-ID, in brackets."""
        return f"<{self.number:04}.x@{self.sender.partition('@')[2]}>"


@dataclass(frozen=True)
class Logged:
    """What somebody wrote down in the CRM on a customer: a call, or an email, as it was synchronised."""

    number: int
    at: datetime
    customer: Customer
    person: str
    mail: Mail | None = None


@dataclass
class World:
    """All that happened."""

    customers: list[Customer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)


def make_world(seed: int, days: int = 5, events: int = 120) -> World:
    """Return a company's week; the same seed gives the same one."""
    chance = random.Random(seed)
    world = World([Customer(n, f"+35840123{n:04}", f"person{n}@customer{n}.example") for n in range(1, 16)])
    strangers = [f"+35850765{n:04}" for n in range(5)]
    for number in range(events):
        # Minutes apart, so that no two calls of one customer are one talk that two systems saw.
        at = FIRST_DAY + timedelta(days=number * days // events, minutes=4 * (number % (events // days)))
        at += timedelta(seconds=chance.randrange(60))
        customer, person = chance.choice(world.customers), chance.choice(list(PEOPLE))
        if chance.random() < 0.6:
            phone = chance.choice([customer.phone, customer.phone, customer.phone, chance.choice(strangers), None])
            is_outbound = phone is not None and chance.random() < 0.4
            talk = chance.choice([0, 2, 30, 90, 600])
            world.calls.append(Call(number, at, phone, person, is_outbound, chance.randrange(3, 20), talk))
            if talk and phone == customer.phone and chance.random() < 0.5:
                later = at + timedelta(seconds=talk, minutes=chance.randrange(2, 90))
                world.logged.append(Logged(number, later, customer, person))
            continue
        own = f"{person}@acme.example"
        if chance.random() < 0.5:
            others = chance.sample(world.customers, chance.choice([1, 1, 2]))
            mail = Mail(number, at, own, tuple(other.email for other in others), False)
        else:
            mail = Mail(number, at, customer.email, (own,), chance.random() < 0.2)
        world.mails.append(mail)
        is_known = customer.email in (mail.sender, *mail.recipients)
        # Nobody logs a machine's mail; an activity on it would be the trace of another one where systems can tell it.
        if is_known and not mail.is_automated and chance.random() < 0.5:
            world.logged.append(Logged(number, at, customer, person, mail))
    return world


def write_company(world: World, folder: Path, writers: Iterable[Callable[[World, Path], None]]) -> Path:
    """Write the company as these tell it, with configuration and directory; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bypassflow.toml").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "directory.csv").write_text(DIRECTORY, encoding="utf-8")
    for tell in writers:
        tell(world, folder)
    return folder


# Asterisk, mbox, Salesforce


def asterisk(world: World, folder: Path) -> None:
    """Write Master.csv: local times, the customer's channel through the trunk."""
    lines = []
    for call in world.calls:
        extension, epoch = PEOPLE[call.person], int(call.at.timestamp())
        begun = call.at.replace(tzinfo=None)
        answered = begun + timedelta(seconds=call.ring)
        ended = answered + timedelta(seconds=call.talk)
        own, trunk = f"PJSIP/{extension}-{call.number:08x}", f"PJSIP/trunk-{call.number:08x}"
        number = call.phone or "anonymous"
        source, target = (extension, number) if call.is_outbound else (number, extension)
        channels = (own, trunk) if call.is_outbound else (trunk, own)
        identity = f"{epoch}.{call.number}"
        fields: list[Any] = [
            "", source, target, "from-internal" if call.is_outbound else "from-trunk", f'"" <{source}>', *channels,
            "Dial", "x,20", str(begun), str(answered) if call.talk else None, str(ended), call.ring + call.talk,
            call.talk, "ANSWERED" if call.talk else "NO ANSWER", "DOCUMENTATION", identity, "", "", identity,
            call.number,
        ]  # fmt: skip
        quoted = ('"{}"'.format(value.replace('"', '""')) if isinstance(value, str) else value for value in fields)
        lines.append(",".join("" if value is None else str(value) for value in quoted))
    write(folder / "pbx" / "Master.csv", "\n".join(lines) + "\n")


def mbox(world: World, folder: Path) -> None:
    """Write one mbox with all copies."""
    parts = []
    for mail in world.mails:
        message = EmailMessage()
        message["Message-ID"], message["Date"] = mail.message_id, format_datetime(mail.at)
        message["From"], message["To"], message["Subject"] = (
            mail.sender,
            ", ".join(mail.recipients),
            f"Asia {mail.number}",
        )
        if mail.is_automated:
            message["Auto-Submitted"] = "auto-replied"
        message.set_content("Hei")
        parts.append(f"From {mail.sender} {mail.at:%a %b %d %H:%M:%S %Y}\n{message.as_string()}\n")
    write(folder / "mail" / "archive.mbox", "".join(parts))


def salesforce(world: World, folder: Path) -> None:
    """Write Data Loader exports of contacts, accounts, users, tasks and emails."""
    crm = folder / "crm"
    table(crm / "Account.csv", [
        {"Id": _salesforce_id("001", each.number), "Name": f"Customer {each.number}", "Website": "", "Phone": "",
         "IsDeleted": "false", "LastModifiedDate": "2024-03-01T00:00:00.000+0000"} for each in world.customers
    ])  # fmt: skip
    table(crm / "Contact.csv", [
        {"Id": _salesforce_id("003", each.number), "AccountId": _salesforce_id("001", each.number), "LastName": "X",
         "Phone": each.phone, "MobilePhone": "", "Email": each.email, "IsDeleted": "false",
         "LastModifiedDate": "2024-03-01T00:00:00.000+0000"} for each in world.customers
    ])  # fmt: skip
    table(crm / "User.csv", [
        {"Id": _salesforce_id("005", number), "Username": f"{person}@acme.example", "Email": f"{person}@acme.example",
         "LastName": person, "IsActive": "true", "Alias": person} for number, person in enumerate(PEOPLE)
    ])  # fmt: skip
    table(crm / "Task.csv", [
        {"Id": _salesforce_id("00T", each.number), "WhoId": _salesforce_id("003", each.customer.number), "WhatId": "",
         "AccountId": _salesforce_id("001", each.customer.number), "Subject": "Call",
         "ActivityDate": f"{each.at:%Y-%m-%d}", "Status": "Completed",
         "OwnerId": _salesforce_id("005", list(PEOPLE).index(each.person)), "TaskSubtype": "Call", "Type": "Call",
         "CallType": "", "CallDurationInSeconds": "", "CallObject": "", "IsDeleted": "false",
         "CreatedById": _salesforce_id("005", list(PEOPLE).index(each.person)), "CreatedDate": _iso_milli(each.at),
         "LastModifiedDate": _iso_milli(each.at)} for each in world.logged if each.mail is None
    ])  # fmt: skip
    table(
        crm / "EmailMessage.csv",
        [
            {
                "Id": _salesforce_id("02s", each.number),
                "ParentId": "",
                "ActivityId": "",
                "RelatedToId": _salesforce_id("001", each.customer.number),
                "MessageIdentifier": each.mail.message_id,
                "FromAddress": each.mail.sender,
                "ToAddress": "; ".join(each.mail.recipients),
                "CcAddress": "",
                "BccAddress": "",
                "Subject": "x",
                "MessageDate": _iso_milli(each.mail.at),
                "Incoming": str("acme" not in each.mail.sender).lower(),
                "Status": "3",
                "CreatedById": _salesforce_id("005", list(PEOPLE).index(each.person)),
                "CreatedDate": _iso_milli(each.mail.at),
                "LastModifiedDate": _iso_milli(each.mail.at),
                "IsDeleted": "false",
            }
            for each in world.logged
            if each.mail
        ],
    )


# FreeSWITCH, Microsoft Graph, HubSpot


def freeswitch(world: World, folder: Path) -> None:
    """Write a document of mod_json_cdr for each a-leg, in files of their own."""
    for call in world.calls:
        uuid, own = f"{call.number:08d}-0001-4f3e-9b7a-5f0e6d7c8b9a", f"sofia/internal/{PEOPLE[call.person]}@192.0.2.7"
        number = call.phone or "anonymous"
        trunk = f"sofia/gateway/operator/{number}" if call.is_outbound else f"sofia/external/{number}@192.0.2.1"
        caller, dialled = (PEOPLE[call.person], number) if call.is_outbound else (number, COMPANY_NUMBER)
        begin, end = call.at.timestamp(), call.at.timestamp() + call.ring + call.talk
        answered = begin + call.ring if call.talk else 0.0
        name, partner = (own, trunk) if call.is_outbound else (trunk, own)
        profile: dict[str, Any] = {"username": "", "caller_id_number": caller, "destination_number": dialled}
        partners = [{"chan_name": partner, "destination_number": dialled}]
        profile["originatee"] = {"originatee_caller_profiles": partners}
        times = {
            "created_time": _micros(begin), "profile_created_time": _micros(begin), "answered_time": _micros(answered),
            "bridged_time": _micros(answered), "transfer_time": "0", "hangup_time": _micros(end),
        }  # fmt: skip
        variables = {
            "direction": "inbound", "uuid": uuid, "channel_name": name, "start_epoch": str(int(begin)),
            "start_uepoch": _micros(begin), "answer_epoch": str(int(answered)), "answer_uepoch": _micros(answered),
            "end_epoch": str(int(end)), "end_uepoch": _micros(end),
            "hangup_cause": "NORMAL_CLEARING" if call.talk else "NO_ANSWER",
            **({"bridge_channel": partner, "last_bridge_role": "originator"} if call.talk else {}),
            **({"user_name": PEOPLE[call.person]} if call.is_outbound else {"dialed_user": PEOPLE[call.person]}),
        }  # fmt: skip
        document = {
            "core-uuid": "0f0e6d7c-0000-4f3e-9b7a-5f0e6d7c8b9a", "switchname": "switch",
            "channel_data": {"state": "CS_REPORTING", "direction": "inbound"}, "variables": variables,
            "callflow": [{"dialplan": "XML", "profile_index": "1", "caller_profile": profile, "times": times}],
        }  # fmt: skip
        write(folder / "pbx" / f"a_{uuid}.cdr.json", orjson.dumps(document).decode())


def graph(world: World, folder: Path) -> None:
    """Write a page of messages for each mailbox of ours: what it sent and what it received."""
    for person in PEOPLE:
        box = f"{person}@acme.example"
        messages = [
            {
                "id": f"AAMk{mail.number}=", "internetMessageId": mail.message_id, "subject": f"Asia {mail.number}",
                "sentDateTime": iso(mail.at), "receivedDateTime": iso(mail.at + timedelta(seconds=2)),
                "isDraft": False,
                "from": _party(mail.sender), "sender": _party(mail.sender),
                "toRecipients": [_party(each) for each in mail.recipients], "ccRecipients": [], "bccRecipients": [],
                "internetMessageHeaders": [
                    {"name": "MIME-Version", "value": "1.0"},
                    *([{"name": "Auto-Submitted", "value": "auto-replied"}] if mail.is_automated else []),
                ],
            }
            for mail in world.mails
            if box in (mail.sender, *mail.recipients)
        ]  # fmt: skip
        content = {
            "@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#users('{person}')/messages",
            "value": messages,
        }
        write(folder / "mail" / f"{box}.json", orjson.dumps(content).decode())


def hubspot(world: World, folder: Path) -> None:
    """Write pages of the interface: contacts, companies, owners, calls and emails with their associations."""
    objects: dict[str, list[dict[str, Any]]] = {"companies": [], "contacts": [], "calls": [], "emails": []}
    for each in world.customers:
        objects["companies"].append(_object(6000 + each.number, FIRST_DAY, {"name": "X", "domain": ""}))
        contact = {"email": each.email, "phone": each.phone, "associatedcompanyid": str(6000 + each.number)}
        objects["contacts"].append(_object(5000 + each.number, FIRST_DAY, contact))
    for entry in world.logged:
        owner = str(70 + list(PEOPLE).index(entry.person))
        ties = {"contacts": {"results": [{"id": str(5000 + entry.customer.number), "type": "x_to_contact"}]}}
        if entry.mail is None:
            said = {"hs_call_status": "COMPLETED", "hs_timestamp": iso(entry.at), "hubspot_owner_id": owner}
            objects["calls"].append(_object(10_000 + entry.number, entry.at, said, ties))
            continue
        said = {
            "hs_email_direction": "EMAIL" if "acme" in entry.mail.sender else "INCOMING_EMAIL",
            "hs_email_status": "SENT",
            "hs_timestamp": iso(entry.mail.at), "hubspot_owner_id": owner,
            "hs_email_message_id": entry.mail.message_id, "hs_email_from_email": entry.mail.sender,
            "hs_email_to_email": ";".join(entry.mail.recipients),
        }  # fmt: skip
        objects["emails"].append(_object(20_000 + entry.number, entry.mail.at, said, ties))
    for name, results in objects.items():
        write(folder / "crm" / f"{name}.json", orjson.dumps({"results": results}).decode())
    owners = [
        {
            "id": str(70 + number),
            "email": f"{person}@acme.example",
            "type": "PERSON",
            "firstName": person,
            "lastName": "X",
            "userId": 9000 + number,
            "createdAt": iso(FIRST_DAY),
            "updatedAt": iso(FIRST_DAY),
            "archived": False,
        }
        for number, person in enumerate(PEOPLE)
    ]
    write(folder / "crm" / "owners.json", orjson.dumps({"results": owners}).decode())


# Cisco's CUCM, Exchange's message tracking, Dynamics 365


def cucm(world: World, folder: Path) -> None:
    """Write a file of call detail records with names and types of the columns; those that are given are enough."""
    names = CUCM_FIELDS.split()
    lines = [",".join(f'"{name}"' for name in names), ",".join(["VARCHAR(50)"] * len(names))]
    for call in world.calls:
        extension, begin = PEOPLE[call.person], int(call.at.timestamp())
        phone, trunk, number = f"SEP0003E333{extension}0", "SIP-TRUNK-OPERATOR", call.phone or ""
        caller, called = (extension, number) if call.is_outbound else (number, extension)
        devices = (phone, trunk) if call.is_outbound else (trunk, phone)
        said = {
            "cdrRecordType": "1", "globalCallID_callManagerId": "2", "globalCallID_callId": str(call.number),
            "origLegCallIdentifier": str(2 * call.number), "destLegIdentifier": str(2 * call.number + 1),
            "dateTimeOrigination": str(begin), "callingPartyNumber": caller, "originalCalledPartyNumber": called,
            "finalCalledPartyNumber": called, "origCause_value": "16", "destCause_value": "0",
            "dateTimeConnect": str(begin + call.ring) if call.talk else "0",
            "dateTimeDisconnect": str(begin + call.ring + call.talk), "duration": str(call.talk),
            "pkid": f"{call.number:08x}-0001-4f3e-9b7a-5f0e6d7c8b9a", "origDeviceName": devices[0],
            "destDeviceName": devices[1], "globalCallId_ClusterID": "StandAloneCluster", "joinOnBehalfOf": "0",
            "origCalledPartyRedirectOnBehalfOf": "0", "lastRedirectRedirectOnBehalfOf": "0",
        }  # fmt: skip
        lines.append(",".join(f'"{said.get(name, "")}"' for name in names))
    write(folder / "pbx" / "cdr_StandAloneCluster_02_202403040900_1", "\n".join(lines) + "\n")


def exchange(world: World, folder: Path) -> None:
    """Write a message tracking log: what was delivered to mailboxes of ours, and what was sent out."""
    names = TRACKING_FIELDS.split(",")
    lines = ["#Software: Microsoft Exchange Server", "#Log-type: Message Tracking Log", f"#Fields: {TRACKING_FIELDS}"]
    for mail in world.mails:
        is_sent = mail.sender.endswith("@acme.example")
        events = (
            [("STOREDRIVER", "SUBMIT"), ("SMTP", "SEND")]
            if is_sent
            else [("SMTP", "RECEIVE"), ("STOREDRIVER", "DELIVER")]
        )
        for source, event in events:
            said = {
                "date-time": f"{mail.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z", "source": source, "event-id": event,
                "message-id": mail.message_id, "recipient-address": ";".join(mail.recipients), "total-bytes": "7631",
                "message-subject": f"Asia {mail.number}", "sender-address": mail.sender, "return-path": mail.sender,
            }  # fmt: skip
            lines.append(",".join(said.get(name, "") for name in names))
    write(folder / "mail" / "MSGTRK.LOG", "\n".join(lines) + "\n")


def dynamics(world: World, folder: Path) -> None:
    """Write answers of the Web API: contacts, accounts, users, telephone calls and emails with their parties."""
    sets: dict[str, list[dict[str, Any]]] = {"accounts": [], "contacts": [], "phonecalls": [], "emails": []}
    for each in world.customers:
        account, contact = _guid(9, each.number), _guid(5, each.number)
        changed = {"createdon": iso(FIRST_DAY), "modifiedon": iso(FIRST_DAY)}
        sets["accounts"].append({"accountid": account, "name": "X", "statecode": 0, **changed})
        said = {"emailaddress1": each.email, "telephone1": each.phone, "lastname": "X", "merged": False}
        sets["contacts"].append(
            {"contactid": contact, **said, **changed, **_lookup("parentcustomerid", "account", account)}
        )
    for entry in world.logged:
        user, contact = _guid(7, list(PEOPLE).index(entry.person)), _guid(5, entry.customer.number)
        people = {**_lookup("ownerid", "systemuser", user), **_lookup("createdby", "systemuser", user)}
        moment = iso(entry.at)
        if entry.mail is None:
            sets["phonecalls"].append(
                {"activityid": _guid(1, entry.number), "subject": "x", "directioncode": True, "statecode": 1,
                 "statuscode": 2, "createdon": moment, "modifiedon": moment, **people, "phonecall_activity_parties": [
                     _dynamics_party(1, "systemuser", user), _dynamics_party(2, "contact", contact)]}
            )  # fmt: skip
            continue
        is_sent = entry.mail.sender.endswith("@acme.example")
        parties = [
            _dynamics_party(1 if is_sent else 2, "systemuser", user),
            _dynamics_party(2 if is_sent else 1, "contact", contact),
        ]
        sets["emails"].append(
            {"activityid": _guid(2, entry.number), "subject": "x", "messageid": entry.mail.message_id,
             "directioncode": is_sent, "sender": entry.mail.sender, "torecipients": ";".join(entry.mail.recipients),
             "statecode": 1, "statuscode": 3 if is_sent else 4, "createdon": moment, "modifiedon": moment,
             "senton": moment, **people, "email_activity_parties": parties}
        )  # fmt: skip
    sets["systemusers"] = [
        {"systemuserid": _guid(7, number), "ownerid": _guid(7, number), "domainname": f"{person}@acme.example",
         "internalemailaddress": f"{person}@acme.example"} for number, person in enumerate(PEOPLE)
    ]  # fmt: skip
    for name, records in sets.items():
        context = f"https://acme.crm4.dynamics.com/api/data/v9.2/$metadata#{name}(createdon)"
        write(folder / "crm" / f"{name}.json", orjson.dumps({"@odata.context": context, "value": records}).decode())


WAYS: Final = {
    "Asterisk, mbox, Salesforce": (asterisk, mbox, salesforce),
    "FreeSWITCH, Graph, HubSpot": (freeswitch, graph, hubspot),
    "CUCM, message tracking, Dynamics": (cucm, exchange, dynamics),
}
# What a way cannot say: a message tracking log has no header that tells a machine's mail from people's.
KNOWS_NO_AUTOMATED_MAIL: Final = frozenset({"CUCM, message tracking, Dynamics"})


def _object(
    number: int, at: datetime, properties: Mapping[str, Any], associations: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    moment = iso(at)
    said = {"hs_object_id": str(number), "hs_createdate": moment, "hs_lastmodifieddate": moment, **properties}
    found = {"id": str(number), "properties": said, "createdAt": moment, "updatedAt": moment, "archived": False}
    return {**found, "associations": associations} if associations else found


def _guid(kind: int, number: int) -> str:
    return f"{kind:04x}{number:04x}-c6c6-ea11-a812-000d3a3e1af1"


def _lookup(name: str, table: str, other: str) -> dict[str, str]:
    return {f"_{name}_value": other, f"_{name}_value@Microsoft.Dynamics.CRM.lookuplogicalname": table}


def _dynamics_party(mask: int, table: str, other: str) -> dict[str, Any]:
    return {**_lookup("partyid", table, other), "participationtypemask": mask, "ispartydeleted": False}


def _party(email: str) -> dict[str, Any]:
    return {"emailAddress": {"name": "Somebody", "address": email}}


def _salesforce_id(prefix: str, number: int) -> str:
    return f"{prefix}5g00000{number:05}AAA"


def iso(at: datetime) -> str:
    """Return an instant as interfaces write it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _iso_milli(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def _micros(second: float) -> str:
    return str(int(second * 1_000_000))


def table(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table of rows with the same columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write(path: Path, text: str) -> None:
    """Write a file in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def interactions_of(world: World, with_automated: bool = False) -> Iterator[tuple[datetime, str]]:
    """Yield what counts: when each conversation with one customer began, and its channel. Worked out by the rules."""
    for call in world.calls:
        if call.talk >= 5:
            yield call.at.astimezone(UTC).replace(tzinfo=None), "call"
    for mail in world.mails:
        if with_automated or not mail.is_automated:
            others = [each for each in (mail.sender, *mail.recipients) if not each.endswith("@acme.example")]
            yield from ((mail.at.astimezone(UTC).replace(tzinfo=None), "email") for _ in others)
