"""The company of `exports`, its CRM told by systems whose modules are known by their columns; the rest as Asterisk
and mbox tell it.

Written from the formats' documentation and not with the parsers' code.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from tests.integration.exports import FIRST_DAY, PEOPLE, Logged, World, asterisk, iso, mbox, table, write

_IDS: Final = {"account": 9, "contact": 5, "user": 7, "call": 1, "mail": 2}

_TABLES: Final = (
    "accounts", "contacts", "accounts_contacts", "users", "email_addresses", "email_addr_bean_rel", "calls",
    "calls_contacts", "emails", "emails_beans", "emails_text",
)  # fmt: skip


def suitecrm(world: World, folder: Path) -> None:
    """Write tables of the database, with the tables that tie them."""
    people = list(PEOPLE)
    began = _stored(FIRST_DAY)
    base = {"date_entered": began, "date_modified": began, "deleted": "0", "assigned_user_id": "1", "created_by": "1"}
    tables: dict[str, list[dict[str, str]]] = {name: [] for name in _TABLES}
    known = [(_id("contact", each.number), "Contacts", each.email) for each in world.customers]
    known += [(_id("user", number), "Users", f"{person}@acme.example") for number, person in enumerate(people)]
    for number, (bean, module, email) in enumerate(known):
        tables["email_addresses"].append(
            {"id": f"ea{number}", "email_address": email, "email_address_caps": email.upper(), "deleted": "0"}
            | {"date_modified": began}
        )
        tables["email_addr_bean_rel"].append(
            {"id": f"r{number}", "email_address_id": f"ea{number}", "bean_id": bean, "bean_module": module}
            | {"primary_address": "1", "date_modified": began, "deleted": "0"}
        )
    for each in world.customers:
        account, contact = _id("account", each.number), _id("contact", each.number)
        tables["accounts"].append({"id": account, "name": "X", "phone_office": "", "website": "", **base})
        tables["contacts"].append({"id": contact, "last_name": "X", "phone_mobile": each.phone, **base})
        tables["accounts_contacts"].append(
            {"id": f"p{each.number}", "contact_id": contact, "account_id": account, "date_modified": began}
            | {"deleted": "0"}
        )
    for number in range(len(people)):
        tables["users"].append({"id": _id("user", number), "user_name": "x", "user_hash": "x", "is_admin": "0", **base})
    for entry in world.logged:
        moment, contact = _stored(entry.at), _id("contact", entry.customer.number)
        said = {**base, "date_entered": moment, "date_modified": moment, "assigned_user_id": _owner(entry)}
        if entry.mail is None:
            tables["calls"].append(
                {"id": _id("call", entry.number), "duration_hours": "0", "duration_minutes": "5", "status": "Held"}
                | {"direction": "Outbound", "date_start": moment, "date_end": moment, "parent_id": "", **said}
            )
            tables["calls_contacts"].append(
                {"id": f"c{entry.number}", "call_id": _id("call", entry.number), "contact_id": contact}
                | {"accept_status": "none", "date_modified": moment, "deleted": "0"}
            )
            continue
        mail = _id("mail", entry.number)
        tables["emails"].append(
            {"id": mail, "message_id": entry.mail.message_id, "date_sent_received": moment, "intent": "pick"}
            | {"type": "out" if _is_sent(entry) else "inbound", "status": "sent", **said}
        )
        tables["emails_beans"].append(
            {"id": f"b{entry.number}", "email_id": mail, "bean_id": contact, "bean_module": "Contacts", "deleted": "0"}
        )
        tables["emails_text"].append(
            {"email_id": mail, "from_addr": entry.mail.sender, "to_addrs": ",".join(entry.mail.recipients)}
            | {"deleted": "0"}
        )
    for name, rows in tables.items():
        table(folder / "crm" / f"{name}.csv", rows)


def espocrm(world: World, folder: Path) -> None:
    """Write answers of the interface."""
    base = {"createdAt": _stored(FIRST_DAY), "modifiedAt": _stored(FIRST_DAY), "createdById": "1", "deleted": False}
    lists: dict[str, list[dict[str, Any]]] = {"Account": [], "Contact": [], "Call": [], "Email": [], "User": []}
    for each in world.customers:
        account = _id("account", each.number)
        lists["Account"].append({"id": account, "name": "X", "billingAddressCity": "Turku", **base})
        lists["Contact"].append(
            {"id": _id("contact", each.number), "lastName": "X", "accountId": account, "emailAddress": each.email}
            | {"phoneNumber": each.phone, **base}
        )
    for number, person in enumerate(PEOPLE):
        lists["User"].append(
            {"id": _id("user", number), "userName": person, "type": "regular", "emailAddress": f"{person}@acme.example"}
            | base
        )
    for entry in world.logged:
        moment = _stored(entry.at)
        said = {**base, "createdAt": moment, "modifiedAt": moment, "assignedUserId": _owner(entry)}
        parent = {"parentType": "Contact", "parentId": _id("contact", entry.customer.number)}
        if entry.mail is None:
            lists["Call"].append(
                {"id": _id("call", entry.number), "status": "Held", "direction": "Outbound", "dateStart": moment}
                | {"dateEnd": moment, **said, **parent}
            )
            continue
        # It is of all whose addresses it names: here of the one on whom it was logged.
        ours = next(each for each in (entry.mail.sender, *entry.mail.recipients) if each.endswith("@acme.example"))
        sides = (ours, entry.customer.email) if _is_sent(entry) else (entry.customer.email, ours)
        lists["Email"].append(
            {
                "id": _id("mail", entry.number),
                "messageId": entry.mail.message_id,
                "dateSent": moment,
                "isReplied": False,
            }
            | {"status": "Sent" if _is_sent(entry) else "Archived", "from": sides[0], "to": sides[1], **said, **parent}
        )
    for name, found in lists.items():
        write(folder / "crm" / f"{name}.json", orjson.dumps({"total": len(found), "list": found}).decode())


def odoo(world: World, folder: Path) -> None:
    """Write answers of search_read: partners, users, and messages of activities that were done and of mail."""
    base = {"create_date": _stored(FIRST_DAY), "write_date": _stored(FIRST_DAY)}
    partners: list[dict[str, Any]] = []
    for each in world.customers:
        firm = [100 + each.number, "X"]
        nothing = {"email": False, "phone": False, "mobile": False, "parent_id": False}
        partners.append({"id": firm[0], "is_company": True, "commercial_partner_id": firm, **nothing, **base})
        person = {"email": f'"X" <{each.email}>', "phone": each.phone, "mobile": False, "parent_id": firm}
        partners.append({"id": 200 + each.number, "is_company": False, "commercial_partner_id": firm, **person, **base})
    users = [
        {"id": 10 + number, "login": f"{person}@acme.example", "partner_id": [300 + number, person], "share": False}
        for number, person in enumerate(PEOPLE)
    ]
    messages = []
    for entry in world.logged:
        moment, user = _stored(entry.at), list(PEOPLE).index(entry.person)
        said = {
            "id": entry.number + 1, "model": "res.partner", "res_id": 200 + entry.customer.number, "partner_ids": [],
            "date": moment, "create_date": moment, "write_date": moment, "create_uid": [10 + user, "X"],
            "author_id": [300 + user, "X"], "is_internal": False, "email_from": f"{entry.person}@acme.example",
        }  # fmt: skip
        if entry.mail is None:
            what: dict[str, Any] = {"message_type": "notification", "mail_activity_type_id": [2, "Call"]}
            messages.append({**said, **what, "message_id": f"<{entry.number}@odoo.example>"})
            continue
        kind = {"message_type": "comment"} if _is_sent(entry) else {"message_type": "email"}
        messages.append({**said, **kind, "mail_activity_type_id": False, "message_id": entry.mail.message_id})
    for name, found in (("res_partner", partners), ("res_users", users), ("mail_message", messages)):
        answer = {"jsonrpc": "2.0", "id": 1, "result": found}
        write(folder / "crm" / f"{name}.json", orjson.dumps(answer).decode())


def pipedrive(world: World, folder: Path) -> None:
    """Write answers of the interface's second version, and mail messages."""
    base = {"add_time": iso(FIRST_DAY), "update_time": iso(FIRST_DAY), "is_deleted": False, "visible_to": 3}
    pages: dict[str, list[dict[str, Any]]] = {"organizations": [], "persons": [], "activities": [], "mail": []}
    for each in world.customers:
        pages["organizations"].append({"id": each.number, "name": "X", "address": None, **base})
        pages["persons"].append(
            {"id": each.number, "name": "X", "first_name": "X", "org_id": each.number, **base}
            | {"emails": [{"value": each.email, "primary": True}], "phones": [{"value": each.phone, "primary": True}]}
        )
    for entry in world.logged:
        moment, owner = iso(entry.at), list(PEOPLE).index(entry.person) + 1
        said = {**base, "id": entry.number + 1, "add_time": moment, "update_time": moment}
        if entry.mail is None:
            pages["activities"].append(
                {**said, "type": "call", "done": True, "due_date": "2024-03-04", "marked_as_done_time": moment}
                | {"owner_id": owner, "person_id": entry.customer.number, "org_id": None, "participants": []}
            )
            continue
        linked = {entry.customer.email: entry.customer.number}
        parties = [
            [{"email_address": each, "linked_person_id": linked.get(each)} for each in side]
            for side in ((entry.mail.sender,), entry.mail.recipients)
        ]
        pages["mail"].append(
            {"id": entry.number + 1, "from": parties[0], "to": parties[1], "cc": [], "bcc": [], "mail_thread_id": 1}
            | {"message_time": moment, "add_time": moment, "update_time": moment, "user_id": owner, "draft_flag": 0}
            | {"sent_flag": int(_is_sent(entry)), "deleted_flag": 0, "mua_message_id": entry.mail.message_id}
        )
    users = [
        {"id": number, "email": f"{person}@acme.example", "is_admin": 0, "icon_url": None, "active_flag": True}
        for number, person in enumerate(PEOPLE, 1)
    ]
    for name, found in {**pages, "users": users}.items():
        write(folder / "crm" / f"{name}.json", orjson.dumps({"success": True, "data": found}).decode())


def zoho(world: World, folder: Path) -> None:
    """Write answers of the interface; emails are linked to contacts and have no Message-ID."""
    pages: dict[str, list[dict[str, Any]]] = {"Accounts": [], "Contacts": [], "Calls": []}
    base = {"Created_Time": iso(FIRST_DAY), "Modified_Time": iso(FIRST_DAY)}
    for each in world.customers:
        account = {"id": _number("account", each.number), "name": "X"}
        pages["Accounts"].append({"id": account["id"], "Account_Name": "X", "Billing_City": None, **base})
        pages["Contacts"].append(
            {"id": _number("contact", each.number), "Last_Name": "X", "Account_Name": account, "Email": each.email}
            | {"Mobile": each.phone, **base}
        )
    mails = []
    for entry in world.logged:
        moment = iso(entry.at)
        owner = {"id": _number("user", list(PEOPLE).index(entry.person))}
        contact = {"id": _number("contact", entry.customer.number), "name": "X"}
        if entry.mail is None:
            pages["Calls"].append(
                {"id": _number("call", entry.number), "Call_Type": "Outbound", "Outgoing_Call_Status": "Completed"}
                | {"Call_Start_Time": moment, "Who_Id": contact, "What_Id": None, "Owner": owner, "Created_By": owner}
                | {"Created_Time": moment, "Modified_Time": moment}
            )
            continue
        mails.append(
            {"message_id": f"de735c09{entry.number:04}", "sent": _is_sent(entry), "owner": owner, "time": moment}
            | {"from": {"email": entry.mail.sender}, "to": [{"email": each} for each in entry.mail.recipients]}
            | {"linked_record": {**contact, "module": {"api_name": "Contacts"}}, "status": [{"type": "sent"}]}
        )
    for name, found in pages.items():
        write(folder / "crm" / f"{name}.json", orjson.dumps({"data": found, "info": {}}).decode())
    write(folder / "crm" / "Emails.json", orjson.dumps({"Emails": mails, "info": {}}).decode())
    users = [
        {"id": _number("user", number), "email": f"{person}@acme.example", "zuid": "1", "role": {"id": "1"}}
        for number, person in enumerate(PEOPLE)
    ]
    write(folder / "crm" / "users.json", orjson.dumps({"users": users}).decode())


CRM_WAYS: Final = {
    "Asterisk, mbox, SuiteCRM": (asterisk, mbox, suitecrm),
    "Asterisk, mbox, EspoCRM": (asterisk, mbox, espocrm),
    "Asterisk, mbox, Odoo": (asterisk, mbox, odoo),
    "Asterisk, mbox, Pipedrive": (asterisk, mbox, pipedrive),
    "Asterisk, mbox, Zoho": (asterisk, mbox, zoho),
}


def _stored(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _id(kind: str, number: int) -> str:
    return f"{_IDS[kind]:08x}-c6c6-4a11-a812-{number:012x}"


def _number(kind: str, number: int) -> str:
    return f"36523970000{_IDS[kind]:02}{number:06}"


def _owner(entry: Logged) -> str:
    return _id("user", list(PEOPLE).index(entry.person))


def _is_sent(entry: Logged) -> bool:
    return entry.mail is not None and entry.mail.sender.endswith("@acme.example")
