"""Small CRMs with one of everything, and what changes in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

T0 = datetime(2024, 5, 2, 8, 0)


def at(minutes: float) -> datetime:
    """Return an instant of the morning of the rows, UTC without a zone as the database holds it."""
    return T0 + timedelta(minutes=minutes)


def put(engine: sa.Engine, table: str, *rows: dict[str, Any]) -> None:
    """Insert rows; each by itself, because they may have other columns."""
    found = sa.Table(table, sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        for row in rows:
            connection.execute(found.insert().values(**row))


def change(engine: sa.Engine, table: str, row_id: str, **values: Any) -> None:
    """Change one row."""
    found = sa.Table(table, sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(found.update().where(found.c.id == row_id).values(**values))


def remove(engine: sa.Engine, table: str, *row_ids: str) -> None:
    """Remove rows for good."""
    found = sa.Table(table, sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(found.delete().where(found.c.id.in_(row_ids)))


def _times(minutes: float) -> dict[str, Any]:
    return {"date_entered": at(minutes), "date_modified": at(minutes), "deleted": False}


def call(number: int, minutes: float, **values: Any) -> dict[str, Any]:
    """Return a call of the row's number, logged so many minutes after the first of all."""
    return {
        "id": f"call-{number:06}", **_times(minutes), "status": "Held", "direction": "Inbound",
        "created_by": "user-1", "assigned_user_id": "user-1", **values,
    }  # fmt: skip


def pair(row_id: str, minutes: float, **values: Any) -> dict[str, Any]:
    """Return a row of a table of pairs."""
    return {"id": row_id, "date_modified": at(minutes), "deleted": False, **values}


def fill_suitecrm(engine: sa.Engine) -> None:
    """Put in one of everything."""
    put(engine, "users", {"id": "user-1", **_times(0), "user_name": "matti"})
    account = {"phone_office": "+358 9 1234500", "website": "http://customer.example", "industry": "Retail"}
    put(engine, "accounts", {"id": "account-1", **_times(0), **account})
    put(engine, "contacts", {"id": "contact-1", **_times(1), "phone_mobile": "+358 40 1234567"})
    put(engine, "contacts", {"id": "contact-2", **_times(1)})
    put(engine, "leads", {"id": "lead-1", **_times(1), "phone_work": "+358 40 7654321"})
    for number, name in enumerate(("maija@customer.example", "matti@acme.example", "old@customer.example")):
        put(engine, "email_addresses", pair(f"address-{number}", 0, email_address=name))
    beans = (("contact-1", "Contacts", 0, False), ("user-1", "Users", 1, False), ("contact-1", "Contacts", 2, True))
    for number, (bean, module, address, is_gone) in enumerate(beans):
        held = {"bean_id": bean, "bean_module": module, "email_address_id": f"address-{address}"}
        put(engine, "email_addr_bean_rel", {**pair(f"rel-{number}", 1, **held), "deleted": is_gone})
    put(engine, "accounts_contacts", pair("ac-1", 1, account_id="account-1", contact_id="contact-1"))
    on_account = {"parent_type": "Accounts", "parent_id": "account-1"}
    put(engine, "calls", call(1, 10), call(2, 11, status="Not Held"), call(3, 12, status="Planned", **on_account))
    put(engine, "calls", call(4, 13, deleted=True))
    put(engine, "calls_contacts", pair("cc-1", 10, call_id="call-000001", contact_id="contact-1"))
    on_case = {"parent_type": "Cases", "parent_id": "case-1"}
    put(engine, "meetings", {"id": "meeting-1", **_times(14), "status": "Held", **on_case})
    emails = (
        ("email-1", 20, "inbound", "read", "<a1@mail.customer.example>", at(15)),
        ("email-2", 21, "out", "sent", "<a2@mail.acme.example>", at(60 * 24 * 365 * 10)),
        ("email-3", 22, "draft", "draft", None, None),
    )
    for row_id, minutes, kind, status, message_id, sent in emails:
        written = {"type": kind, "status": status, "message_id": message_id, "date_sent_received": sent}
        put(engine, "emails", {"id": row_id, **_times(minutes), **written})
    for number, (email, contact) in enumerate((("email-1", 1), ("email-2", 1), ("email-2", 2))):
        bean_of = {"email_id": email, "bean_id": f"contact-{contact}", "bean_module": "Contacts"}
        put(engine, "emails_beans", pair(f"eb-{number}", 20, **bean_of))
    put(engine, "notes", {"id": "note-1", **_times(30), "contact_id": "contact-1"})
    put(engine, "tasks", {"id": "task-1", **_times(31), "parent_type": "Leads", "parent_id": "lead-1"})
    put(engine, "cases", {"id": "case-1", **_times(32), "account_id": "account-1"})


def fill_suitecrm_with_cases(engine: sa.Engine) -> None:
    """Put in one of everything, and cases known by their contacts, of nobody, and deleted."""
    fill_suitecrm(engine)
    put(engine, "cases", {"id": "case-2", **_times(32)})
    put(engine, "cases", {"id": "case-3", **_times(32), "account_id": "account-1", "deleted": True})
    put(engine, "contacts_cases", pair("cc-2", 32, case_id="case-2", contact_id="contact-1"))
    for number in (2, 3):
        on = {"parent_type": "Cases", "parent_id": f"case-{number}"}
        put(engine, "notes", {"id": f"note-{number}", **_times(33), **on})
    mail = {"type": "inbound", "status": "read", "message_id": "<a4@mail.customer.example>"}
    put(engine, "emails", {"id": "email-4", **_times(34), **mail})
    put(engine, "emails_beans", pair("eb-9", 34, email_id="email-4", bean_id="case-2", bean_module="Cases"))


def fill_espocrm(engine: sa.Engine) -> None:
    """Put in one of everything, of EspoCRM."""

    def entity(minutes: float) -> dict[str, Any]:
        return {"created_at": at(minutes), "modified_at": at(minutes), "deleted": False}

    ours = {"created_by_id": "u1", "assigned_user_id": "u1"}
    put(engine, "user", {"id": "u1", **entity(0), "user_name": "matti"})
    put(engine, "account", {"id": "a1", **entity(0), "website": "customer.example", "industry": "Retail"})
    put(engine, "contact", {"id": "c1", **entity(1), "account_id": "a1"}, {"id": "c2", **entity(1)})
    put(engine, "lead", {"id": "l1", **entity(1)})
    for number, (name, kind, owner) in enumerate(
        (
            ("maija@customer.example", "Contact", "c1"),
            ("matti@acme.example", "User", "u1"),
            ("pekka@customer.example", "Contact", "c2"),
        ),
        start=1,
    ):
        put(engine, "email_address", {"id": f"e{number}", "name": name, "lower": name, "deleted": False})
        held = {"entity_id": owner, "email_address_id": f"e{number}", "entity_type": kind}
        put(engine, "entity_email_address", {"id": number, **held, "deleted": False})
    put(engine, "phone_number", {"id": "p1", "name": "+358 40 1234567", "numeric": "358401234567", "deleted": False})
    dialled = {"entity_id": "c1", "phone_number_id": "p1", "entity_type": "Contact"}
    put(engine, "entity_phone_number", {"id": 1, **dialled, "deleted": False})
    talk: dict[str, Any] = {"status": "Held", "direction": "Inbound", "date_start": at(5), "date_end": at(12)}
    put(engine, "call", {"id": "call1", **entity(10), **ours, **talk})
    put(engine, "call", {"id": "call2", **entity(10), **ours, "status": "Not Held", "direction": "Outbound"})
    put(engine, "call_contact", {"id": 1, "call_id": "call1", "contact_id": "c1", "deleted": False})
    put(engine, "call_contact", {"id": 2, "call_id": "call1", "contact_id": "c2", "deleted": True})
    on_case = {"parent_type": "Case", "parent_id": "k1"}
    put(engine, "meeting", {"id": "m1", **entity(11), **ours, "status": "Planned", **on_case})
    mail = {"status": "Archived", "message_id": "<a1@mail.customer.example>", "date_sent": at(15)}
    put(engine, "email", {"id": "mail1", **entity(20), **mail}, {"id": "mail2", **entity(21), "status": "Draft"})
    for which in (1, 3):
        party = {"email_id": "mail1", "email_address_id": f"e{which}", "address_type": "to"}
        put(engine, "email_email_address", {"id": which, **party, "deleted": False})
    put(engine, "task", {"id": "t1", **entity(22), **ours, "parent_type": "Lead", "parent_id": "l1"})
    case: dict[str, Any] = {**entity(30), **ours}
    put(
        engine,
        "case",
        {"id": "k1", **case, "account_id": "a1"},
        {"id": "k2", **case},
        {"id": "k3", **case, "lead_id": "l1"},
    )
    put(engine, "case", {"id": "k4", **case, "account_id": "a1", "deleted": True}, {"id": "k5", **case})
    for number, (name, is_gone) in enumerate((("c1", False), ("c2", True)), start=1):
        put(engine, "case_contact", {"id": number, "case_id": "k2", "contact_id": name, "deleted": is_gone})
    for number in (2, 3, 4, 5):
        on = {"parent_type": "Case", "parent_id": f"k{number}"}
        put(engine, "meeting", {"id": f"m{number}", **entity(31), **ours, "status": "Held", "date_end": at(40), **on})
    put(engine, "meeting", {"id": "m6", **entity(32), **ours, "status": "Canceled"})
    put(engine, "meeting_lead", {"id": 1, "meeting_id": "m1", "lead_id": "l1", "deleted": False})
    put(engine, "call", {"id": "call3", **entity(33), **ours, **talk, "deleted": True, "account_id": "a1"})
    sent = {"status": "Sent", "message_id": "<s1@acme.example>", "date_sent": at(34)}
    put(engine, "email", {"id": "mail3", **entity(34), **ours, **sent, "parent_type": "Account", "parent_id": "a1"})
    for kind in ("Post", "Update"):
        put(engine, "note", {"id": kind, **entity(35), "type": kind, "parent_type": "Contact", "parent_id": "c2"})
    put(engine, "contact", {"id": "c3", **entity(36), "deleted": True})


def fill_odoo(engine: sa.Engine) -> None:
    """Put in one of everything, of Odoo."""

    def model(number: int, minutes: float, **values: Any) -> dict[str, Any]:
        return {"id": number, "create_uid": 2, "create_date": at(minutes), "write_date": at(minutes), **values}

    person: dict[str, Any] = {"is_company": False, "commercial_partner_id": 7}
    company: dict[str, Any] = {"is_company": True, "phone": "+358 9 1234500"}
    put(engine, "res_partner", model(1, 0, **company, commercial_partner_id=1, website="acme.example"))
    put(engine, "res_partner", model(7, 0, **company, commercial_partner_id=7, website="customer.example"))
    for number, mail in ((8, "maija@customer.example"), (9, "pekka@customer.example")):
        put(engine, "res_partner", model(number, 1, **person, email=mail, phone=f"+358 40 123456{number}"))
    put(engine, "res_partner", model(20, 1, is_company=False, commercial_partner_id=1, email="matti@acme.example"))
    put(engine, "res_company", model(1, 0, partner_id=1, paperformat_id=1))
    put(engine, "res_users", model(2, 1, login="matti", partner_id=20, share=False))
    put(engine, "res_users", model(3, 1, login="pekka@customer.example", partner_id=9, share=True))
    put(engine, "crm_lead", model(4, 2, phone="+358 40 7654321", stage_id=1, email_from="liisa@lead.example"))
    put(engine, "crm_lead", model(5, 2, phone="+358 40 1234568", stage_id=1, partner_id=8))
    for number, name, category in ((1, "Email", "default"), (2, '{"en_US": "Call", "fi_FI": "Soitto"}', "phonecall"),
                                   (3, '{"en_US": "Tapaaminen"}', "meeting")):  # fmt: skip
        put(engine, "mail_activity_type", model(number, 0, name=name, category=category, delay_unit="days"))
    put(engine, "mail_message_subtype", model(1, 0, internal=False, hidden=False))
    put(engine, "mail_message_subtype", model(2, 0, internal=True, hidden=True))
    on: dict[str, Any] = {"model": "res.partner", "res_id": 8}
    ours = {"author_id": 20, "email_from": '"Matti" <matti@acme.example>', "subtype_id": 1}
    theirs = {"author_id": 8, "email_from": "maija@customer.example", "message_type": "email", "subtype_id": 1}
    done = {**ours, "message_type": "notification", "subtype_id": None}
    for number, said in enumerate(
        (
            {**on, **ours, "message_type": "comment", "message_id": "<1@odoo.example>"},
            {**on, **ours, "message_type": "comment", "subtype_id": 2},
            {**on, **theirs, "message_id": "<2@mail.customer.example>"},
            {"model": "sale.order", "res_id": 8, **theirs, "message_id": "<3@mail.customer.example>"},
            {"model": "sale.order", "res_id": 9, **ours, "message_type": "comment", "message_id": "<4@odoo.example>"},
            {"model": "crm.lead", "res_id": 4, **done, "mail_activity_type_id": 1},
            {"model": "crm.lead", "res_id": 5, **done, "mail_activity_type_id": 2},
            {**on, **done, "mail_activity_type_id": 3},
            {**on, **done},
            {"model": "discuss.channel", "res_id": 8, **ours, "message_type": "comment"},
            {"model": "res.partner", "res_id": 20, **ours, "message_type": "comment"},
        ),
        start=101,
    ):
        put(engine, "mail_message", model(number, number - 80, date=at(number - 81), **said))
    for partner in (8, 9, 20):
        put(engine, "mail_message_res_partner_rel", {"mail_message_id": 105, "res_partner_id": partner})
    plan: dict[str, Any] = {"user_id": 2, "res_model": "crm.lead", "activity_type_id": 2}
    put(engine, "mail_activity", model(1, 40, **plan, res_id=5, active=True))
    put(engine, "mail_activity", model(2, 41, **plan, res_id=4, active=False))
    put(engine, "calendar_event", model(1, 42, user_id=2, start=at(90), allday=False, active=True))
    put(engine, "calendar_event", model(2, 43, user_id=2, start=at(90), allday=False, active=False))
    for event, partner in ((1, 8), (1, 20), (2, 8)):
        put(engine, "calendar_event_res_partner_rel", {"calendar_event_id": event, "res_partner_id": partner})
    talked: dict[str, Any] = {"user_id": 2, "partner_phone": "+358 40 1234568", "date": at(50)}
    put(engine, "crm_phonecall", model(1, 44, **talked, partner_id=8, direction="in", state="done", date_closed=at(52)))
    put(engine, "crm_phonecall", model(2, 45, **talked, opportunity_id=5, direction="out", state="open"))
    put(engine, "crm_phonecall", model(3, 46, **talked, partner_id=8, direction="out", state="cancel"))
    put(engine, "helpdesk_ticket", model(1, 47, user_id=2, team_id=1, partner_id=8))
    put(engine, "helpdesk_ticket", model(2, 48, user_id=2, team_id=1, partner_email="new@lead.example"))
