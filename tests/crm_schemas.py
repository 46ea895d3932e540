"""The tables of three CRMs as their makers document them: the columns that are read, with their types, and the ids.

Written for the tests; the same definitions make tables in SQLite, MariaDB and PostgreSQL.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_ID = sa.CHAR(36)


def _suite(metadata: sa.MetaData, name: str, *columns: sa.Column[Any]) -> sa.Table:
    """Return a table of SuiteCRM's modules, with what every one has."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("date_entered", sa.DateTime),
        sa.Column("date_modified", sa.DateTime, index=name in ("calls", "emails")),
        sa.Column("created_by", _ID),
        sa.Column("assigned_user_id", _ID),
        sa.Column("deleted", sa.Boolean, server_default=sa.false()),
        *columns,
    )


def _words(length: int, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(length)) for name in names]


def _ids(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _ID, index=True) for name in names]


def suitecrm() -> sa.MetaData:
    """Return SuiteCRM's tables."""
    metadata = sa.MetaData()
    phones = ("phone_home", "phone_mobile", "phone_work", "phone_other", "phone_fax")

    def parent() -> list[sa.Column[Any]]:
        return [*_words(255, "parent_type"), *_ids("parent_id")]

    _suite(
        metadata, "accounts",
        *_words(100, "phone_office", "phone_alternate", "phone_fax"), *_words(255, "website"), *_words(50, "industry"),
    )  # fmt: skip
    _suite(metadata, "contacts", *_words(100, "last_name", *phones))
    leads = (*_words(100, "last_name", *phones), sa.Column("converted", sa.Boolean))
    _suite(metadata, "leads", *leads, *_ids("account_id", "contact_id"))
    _suite(metadata, "users", *_words(60, "user_name"), sa.Column("is_admin", sa.Boolean))
    for name, told in (("calls", ("status", "direction")), ("meetings", ("status",))):
        _suite(
            metadata, name, sa.Column("date_start", sa.DateTime),
            sa.Column("date_end", sa.DateTime),
            sa.Column("duration_minutes", sa.Integer), *_words(100, *told),
            *parent(),
        )  # fmt: skip
    _suite(
        metadata, "emails", sa.Column("date_sent_received", sa.DateTime),
        *_words(255, "message_id", "type", "status"), *parent(),
    )  # fmt: skip
    _suite(metadata, "notes", *_ids("contact_id"), *_words(255, "filename"), *parent())
    _suite(
        metadata, "tasks", *_ids("contact_id"), sa.Column("date_due", sa.DateTime), *_words(100, "status"), *parent()
    )
    _suite(metadata, "cases", *_ids("account_id"), sa.Column("case_number", sa.Integer), *_words(100, "status"))
    for name, one, other in (
        ("accounts_contacts", "account_id", "contact_id"),
        ("calls_contacts", "call_id", "contact_id"),
        ("calls_leads", "call_id", "lead_id"),
        ("meetings_contacts", "meeting_id", "contact_id"),
        ("meetings_leads", "meeting_id", "lead_id"),
        ("contacts_cases", "case_id", "contact_id"),
        ("accounts_opportunities", "opportunity_id", "account_id"),
        ("emails_beans", "email_id", "bean_id"),
        ("email_addr_bean_rel", "email_address_id", "bean_id"),
    ):
        beans = _words(100, "bean_module") if "bean_id" in (one, other) else []
        sa.Table(
            name, metadata, sa.Column("id", _ID, primary_key=True), *_ids(one, other), *beans,
            sa.Column("date_modified", sa.DateTime), sa.Column("deleted", sa.Boolean, server_default=sa.false()),
        )  # fmt: skip
    sa.Table(
        "emails_text", metadata, sa.Column("email_id", _ID, primary_key=True),
        *(sa.Column(name, sa.Text) for name in ("from_addr", "to_addrs", "cc_addrs")),
    )  # fmt: skip
    sa.Table(
        "email_addresses", metadata, sa.Column("id", _ID, primary_key=True),
        *_words(255, "email_address", "email_address_caps"),
        sa.Column("date_modified", sa.DateTime), sa.Column("deleted", sa.Boolean, server_default=sa.false()),
    )  # fmt: skip
    return metadata


def espocrm() -> sa.MetaData:
    """Return EspoCRM's tables."""
    metadata = sa.MetaData()
    key = sa.String(17)

    def entity(name: str, *columns: sa.Column[Any]) -> None:
        sa.Table(
            name, metadata, sa.Column("id", key, primary_key=True), sa.Column("deleted", sa.Boolean),
            sa.Column("created_at", sa.DateTime), sa.Column("modified_at", sa.DateTime),
            sa.Column("created_by_id", key), sa.Column("assigned_user_id", key), *columns,
        )  # fmt: skip

    def keys(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, key, index=True) for name in names]

    def parent() -> list[sa.Column[Any]]:
        return [*_words(100, "parent_type"), *keys("parent_id")]

    entity("account", *_words(255, "website", "industry"))
    entity("contact", *_words(100, "last_name"), *keys("account_id"))
    entity("lead", *_words(100, "last_name", "source", "status"), *keys("created_account_id"))
    entity("user", *_words(50, "user_name"))
    entity("opportunity", *keys("account_id"))
    times = [sa.Column("date_start", sa.DateTime), sa.Column("date_end", sa.DateTime)]
    entity("call", *_words(255, "status", "direction"), *keys("account_id"), *times, *parent())
    times = [sa.Column("date_start", sa.DateTime), sa.Column("date_end", sa.DateTime)]
    entity("meeting", *_words(255, "status"), *keys("account_id"), *times, *parent())
    entity(
        "email", *_words(255, "status", "message_id"), sa.Column("date_sent", sa.DateTime),
        *keys("from_email_address_id", "account_id"), *parent(),
    )  # fmt: skip
    entity(
        "task",
        *_words(255, "status", "priority"),
        sa.Column("date_end", sa.DateTime),
        *keys("account_id", "contact_id"),
        *parent(),
    )
    entity("note", *_words(255, "type", "post"), *parent())
    entity(
        "case",
        *_words(255, "status", "priority"),
        sa.Column("number", sa.Integer),
        *keys("account_id", "contact_id", "lead_id"),
    )
    for name, also in (("email_address", "lower"), ("phone_number", "numeric")):
        sa.Table(
            name,
            metadata,
            sa.Column("id", key, primary_key=True),
            *_words(255, "name", also),
            sa.Column("deleted", sa.Boolean),
        )
        sa.Table(
            f"entity_{name}", metadata, sa.Column("id", sa.Integer, primary_key=True), *keys("entity_id", f"{name}_id"),
            *_words(100, "entity_type"), sa.Column("primary", sa.Boolean), sa.Column("deleted", sa.Boolean),
        )  # fmt: skip
    for name, one, other in (
        ("call_contact", "call_id", "contact_id"),
        ("call_lead", "call_id", "lead_id"),
        ("meeting_contact", "meeting_id", "contact_id"),
        ("meeting_lead", "meeting_id", "lead_id"),
        ("case_contact", "case_id", "contact_id"),
    ):
        sa.Table(
            name, metadata, sa.Column("id", sa.Integer, primary_key=True), *keys(one, other), *_words(36, "status"),
            sa.Column("deleted", sa.Boolean),
        )  # fmt: skip
    sa.Table(
        "email_email_address", metadata, sa.Column("id", sa.Integer, primary_key=True),
        *keys("email_id", "email_address_id"), *_words(4, "address_type"), sa.Column("deleted", sa.Boolean),
    )  # fmt: skip
    return metadata


def odoo() -> sa.MetaData:
    """Return Odoo's tables."""
    metadata = sa.MetaData()

    def model(name: str, *columns: sa.Column[Any]) -> None:
        sa.Table(
            name, metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("create_uid", sa.Integer),
            sa.Column("create_date", sa.DateTime), sa.Column("write_date", sa.DateTime), *columns,
        )  # fmt: skip

    def numbers(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Integer) for name in names]

    def words(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.String) for name in names]

    model(
        "res_partner", *words("email", "phone", "mobile", "website"), *numbers("commercial_partner_id", "parent_id"),
        sa.Column("is_company", sa.Boolean), sa.Column("active", sa.Boolean),
    )  # fmt: skip
    model("res_users", *words("login"), *numbers("partner_id"), sa.Column("share", sa.Boolean))
    model("crm_lead", *words("email_from", "phone"), *numbers("partner_id", "user_id", "stage_id"))
    model(
        "mail_message", *words("model", "message_type", "message_id", "email_from"), sa.Column("date", sa.DateTime),
        *numbers("res_id", "author_id", "subtype_id", "mail_activity_type_id"), sa.Column("is_internal", sa.Boolean),
    )  # fmt: skip
    model("mail_activity_type", *words("category", "name", "delay_unit"))
    model(
        "mail_activity", *numbers("user_id", "res_id", "activity_type_id"), *words("res_model"),
        sa.Column("active", sa.Boolean),
    )  # fmt: skip
    sa.Table("mail_message_res_partner_rel", metadata, *numbers("mail_message_id", "res_partner_id"))
    model("mail_message_subtype", sa.Column("internal", sa.Boolean), sa.Column("hidden", sa.Boolean))
    model("res_company", *numbers("partner_id", "paperformat_id"))
    model(
        "calendar_event", *numbers("user_id"), sa.Column("start", sa.DateTime),
        *(sa.Column(name, sa.Boolean) for name in ("allday", "active")),
    )  # fmt: skip
    model(
        "crm_phonecall", *numbers("user_id", "partner_id", "opportunity_id"),
        *words("direction", "state", "partner_phone"),
        *(sa.Column(name, sa.DateTime) for name in ("date", "date_closed")),
    )  # fmt: skip
    model("helpdesk_ticket", *numbers("user_id", "partner_id", "team_id"), *words("partner_email"))
    sa.Table("calendar_event_res_partner_rel", metadata, *numbers("calendar_event_id", "res_partner_id"))
    return metadata
