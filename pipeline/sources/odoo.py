"""Odoo: answers of its interface as JSON, exports of lists as CSV, and tables of its database as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pipeline.sources.beside import Tie
from pipeline.sources.crm_columns import marks
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_modules import ModuleExport
from pipeline.sources.odoo_records import COMPANIES, FIELDS, LINKS, MODELS, OTHERS, SUBTYPES, TYPES, ties, told
from pipeline.sources.registry import Format


class Odoo(ModuleExport):
    """Records of models by the names of their fields, as read and search_read, exports and the database give them."""

    name = "odoo"
    title = "Odoo"
    description = (
        "Partners, leads, messages, planned activities, meetings, phone calls, tickets and users: answers of read and "
        "search_read as JSON, exports of lists as CSV with the names of fields, and tables of the database as CSV. "
        "The model is told by its fields. Ids have their model in front, as in res.partner,7; users have their number "
        "alone. Options: object, siblings. Mapping: field = column; call_id = the field into which a telephone system "
        "writes its own id of a call. Times are UTC; those of an exported list are in the zone of the user who made "
        "it."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "answers of read and search_read, JSON",
            "res.partner, crm.lead, mail.message, mail.activity, calendar.event, crm.phonecall, helpdesk.ticket, "
            "res.users, res.company, mail.activity.type, mail.message.subtype",
            "bodies, subjects, durations, all other models",
            "documentation",
            "the definitions of its models in its public source, and crm_phonecall and helpdesk_mgmt of its community",
        ),
        Format(
            "exports of lists, CSV",
            "the same, exported with the names of fields (to be imported again)",
            "the same; exports with labels, XLSX",
            "documentation",
            "its public source, which writes times in the user's zone and external ids",
        ),
        Format(
            "tables of the database, CSV",
            "the same; recipients and attendees from the tables mail_message_res_partner_rel and "
            "calendar_event_res_partner_rel beside them",
            "the same",
            "documentation",
            "the definitions of its models, from which its tables are made",
        ),
    )
    lies = (
        "A planned activity is a plan, whatever its type: it counts as a task. Once it is done it is deleted, and a "
        "message tells of it: that one is the call or the meeting.",
        "Types of activities are told by their categories when mail.activity.type lies beside the messages, and by "
        "their English names; one of another name and without its type counts as an activity of no kind.",
        "A meeting in the calendar may have been held or not: it counts as logged when it was created, unless it is "
        "archived.",
        "A comment goes to all followers by mail unless it is a note: it counts as an email at its own time, though "
        "nobody may follow.",
        "Messages of the type email_outgoing are mailings, and notifications tell of changes: they are passed over.",
        "Colleagues are partners too, and so is the company itself: they are told by res.users and res.company beside, "
        "and taken for customers without them.",
        "Whoever fetches the mail has written every incoming message, and a server may have written others: a message "
        "is its author's when res.users lies beside it, and an incoming one else nobody's.",
        "date of a phone call is what somebody planned: it counts as logged when it was created, or closed as held.",
    )
    lists = ("result", "records")
    objects = MODELS
    unreadable: ClassVar = {
        "res.partner": "contact",
        "crm.lead": "contact",
        "res.users": "user",
        "helpdesk.ticket": "ticket",
    }
    ticket = "helpdesk.ticket"
    holds = "a model of Odoo"
    remedy = "export it with the names of its fields, not their labels"
    fields = FIELDS
    others: ClassVar = OTHERS
    modules: ClassVar = marks(
        {
            "mail.message": ("message_type res_id", "message_type model", "message_type author_id"),
            "mail.activity": ("activity_type_id res_id", "date_deadline res_model"),
            "crm.phonecall": ("partner_phone state", "partner_mobile state", "opportunity_id date duration"),
            "crm.lead": ("email_from stage_id", "email_from expected_revenue", "contact_name partner_name"),
            "helpdesk.ticket": ("partner_email team_id",),
            "calendar.event": ("allday start",),
            TYPES: ("category delay_unit",),
            SUBTYPES: ("internal hidden", "internal res_model name"),
            COMPANIES: ("partner_id paperformat_id",),
            **{table: (f"{column} res_partner_id",) for table, (_, column) in LINKS.items()},
            "res.users": ("login partner_id", "login share"),
            "res.partner": ("is_company", "commercial_partner_id"),
        }
    )
    signs = (frozenset(),)
    tables = frozenset({TYPES, SUBTYPES, COMPANIES, *LINKS})
    needs: ClassVar = {
        "res.partner": frozenset({"res.users", COMPANIES}),
        "res.users": frozenset({"res.partner"}),
        "mail.message": frozenset(
            {"crm.lead", "res.partner", "res.users", TYPES, SUBTYPES, "mail_message_res_partner_rel"}
        ),
        "mail.activity": frozenset({"crm.lead"}),
        "calendar.event": frozenset({"crm.lead", "res.users", "calendar_event_res_partner_rel"}),
        "crm.phonecall": frozenset({"crm.lead"}),
        "helpdesk.ticket": frozenset({"res.users"}),
    }
    told = staticmethod(told)

    def is_local(self, layout: Layout) -> bool:
        """Return whether a table was exported by a user: the database has numbers for ids, and no paths for names."""
        if layout.form is not None:
            return False
        is_numbered = all(row.get("id", "").isdigit() for row in layout.first)
        return "id" not in layout.columns or not is_numbered or any("/" in name for name in layout.columns)

    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield what a row of a model or of a table of pairs ties."""
        return ties(module, row)

    def advice(self) -> str:
        """Return what says whom activities are tied to."""
        return "read model and res_id of messages, and put the leads beside them"


SOURCE: Final = Odoo()
