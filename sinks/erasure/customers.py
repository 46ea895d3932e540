"""What the CRM holds of people who were forgotten, and what was said of their interactions and activities.

Every interaction of theirs gets a contact of its own, so that a new fold ends as the old one did, and nothing tells
that two of them were with the same person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import duckdb

from sinks.erasure.evidence import Evidence, Row, renamed
from sinks.erasure.names import SHOWN, Names
from sinks.erasure.people import People, register

_LEAST: Final = datetime.min
# Shorter ids stand in texts by chance.
_LEAST_NAME: Final = 6


@dataclass
class Customers:
    """Rows to be replaced, by table and rowid, rows to be added by table, and ids that others name.

    `interaction_ids` and `activity_ids`: old and new.
    """

    rows: dict[str, dict[int, Row | None]] = field(default_factory=dict)
    added: dict[str, list[Row]] = field(default_factory=dict)
    interaction_ids: dict[str, str] = field(default_factory=dict)
    activity_ids: dict[str, str] = field(default_factory=dict)


def replace_customers(db: duckdb.DuckDBPyConnection, people: People, evidence: Evidence, names: Names) -> Customers:
    """Return what becomes of contacts, accounts, activities and results that name forgotten people.

    To be called after `replace_evidence`, whose temporary tables it reads.
    """
    return _Replacement(db, people, evidence, names).run()


class _Replacement:
    def __init__(self, db: duckdb.DuckDBPyConnection, people: People, evidence: Evidence, names: Names) -> None:
        self._db = db
        self._people = people
        self._evidence = evidence
        self._names = names
        self._made = Customers()
        self._pairs: dict[tuple[str, str], set[str]] = {}  # tokens by group and contact
        self._account_pairs: dict[tuple[str, str], set[str]] = {}
        self._groups: dict[str, str] = {}  # interactions of activities

    def run(self) -> Customers:
        register(self._db, "erased_contact_id", self._people.contact_ids)
        register(self._db, "erased_account_id", self._people.account_ids)
        self._contacts = self._newest("contact", "contact_id", "erased_contact_id")
        self._accounts = self._newest("account", "account_id", "erased_account_id")
        self._name_interactions()
        self._name_activities()
        self._replace_interactions()
        self._replace_activities()
        self._replace_dispositions()
        self._replace_contacts()
        self._replace_identifiers()
        self._replace_letters()
        return self._made

    # -- names --------------------------------------------------------------------------------------------------------

    def _name_interactions(self) -> None:
        for row in self._rows("SELECT * FROM erased_interaction"):
            old, token = row["interaction_id"], row["token"]
            self._made.interaction_ids[old] = self._names.hexadecimal(old)
            new = self._names.token(row["evidence_id"], token)
            for contact_id, contact in self._contacts.items():
                if token in (contact["tokens"] or ()) and not contact["deleted"]:
                    self._pairs.setdefault((old, contact_id), set()).add(new)
            for account_id, account in self._accounts.items():
                if token in (account["tokens"] or ()) and not account["deleted"]:
                    self._account_pairs.setdefault((old, account_id), set()).add(new)
        register(self._db, "erased_interaction_id", self._made.interaction_ids)

    def _name_activities(self) -> None:
        """Find the activities that are tied to forgotten people, and those that tell of their interactions."""
        said = self._rows(
            "SELECT activity_id, interaction_id FROM old.current_activity_outcome "
            "WHERE interaction_id IN (SELECT id FROM erased_interaction_id)"
        )
        self._groups = {row["activity_id"]: row["interaction_id"] for row in said}
        register(self._db, "telling_id", self._groups)
        register(self._db, "their_key_id", self._evidence.keys)
        self._activities = self._rows(
            """
            SELECT rowid AS rowid, * FROM old.activity
            WHERE activity_id IN (SELECT id FROM telling_id)
                OR list_has_any(contact_ids, (SELECT list(id) FROM erased_contact_id))
                OR list_has_any(account_ids, (SELECT list(id) FROM erased_account_id))
                OR list_has_any(tokens, (SELECT list(token) FROM forgotten_token))
                OR list_has_any(keys, (SELECT list(id) FROM their_key_id))
            """
        )
        for row in self._activities:
            contacts, accounts = set(row["contact_ids"] or ()), set(row["account_ids"] or ())
            is_tied = bool(
                contacts & self._people.contact_ids
                or accounts & self._people.account_ids
                or set(row["tokens"] or ()) & self._people.tokens
            )
            # One that names another contact is a record of theirs, whatever was made of it.
            if is_tied or (row["activity_id"] in self._groups and not contacts):
                self._made.activity_ids[row["activity_id"]] = self._names.text("activity", row["activity_id"])
        register(self._db, "erased_activity_id", self._made.activity_ids)
        own = {
            key
            for row in self._activities
            if row["activity_id"] in self._made.activity_ids
            for key in row["keys"] or ()
        }
        register(self._db, "own_key_id", own - self._evidence.keys)
        foreign = self._rows(
            "SELECT id FROM own_key_id WHERE id IN (SELECT event_id FROM old.observation_base UNION "
            "SELECT session_id FROM old.observation_base)"
        )
        self._evidence.keys |= own - {row["id"] for row in foreign}

    def _group(self, activity_id: str) -> str:
        return self._groups.get(activity_id, f"activity {activity_id}")

    def _customer(self, group: str, old: str) -> str:
        """Return what stands for a contact or an account in a group."""
        if old in self._people.contact_ids:
            self._pairs.setdefault((group, old), set())
        elif old in self._people.account_ids:
            self._account_pairs.setdefault((group, old), set())
        else:
            return old
        return self._names.text("customer", group, old)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _replace_interactions(self) -> None:
        ids, activities, names = self._made.interaction_ids, self._made.activity_ids, self._names
        for table in ("interaction_base", "interaction_delta"):
            for row in self._affected(
                table,
                """
                interaction_id IN (SELECT id FROM erased_interaction_id)
                    OR activity_id IN (SELECT id FROM erased_activity_id)
                    OR ticket_id IN (SELECT id FROM erased_activity_id)
                    OR contact_id IN (SELECT id FROM erased_contact_id)
                    OR list_has_any(customer_ids, (SELECT list(id) FROM erased_contact_id))
                    OR list_has_any(customer_ids, (SELECT list(id) FROM erased_account_id))
                """,
            ):
                old, evidence_id = row["interaction_id"], row["evidence_id"] or row["interaction_id"]
                new = {**row, "interaction_id": ids.get(old, old)}
                if row["token"] in self._people.tokens:
                    new["token"] = names.token(evidence_id, row["token"])
                is_theirs = evidence_id in self._evidence.evidence_ids
                told = names.hexadecimal(evidence_id) if is_theirs else evidence_id
                new["evidence_id"] = None if told == new["interaction_id"] else told
                new["customer_ids"] = self._customer_list(old, row["customer_ids"])
                if row["contact_id"]:
                    new["contact_id"] = self._customer(old, row["contact_id"])
                for name in ("activity_id", "ticket_id"):
                    new[name] = activities.get(row[name], row[name])
                self._replace(table, row, new)
        for row in self._affected("interaction_retracted", "interaction_id IN (SELECT id FROM erased_interaction_id)"):
            self._replace("interaction_retracted", row, {**row, "interaction_id": ids[row["interaction_id"]]})

    def _replace_activities(self) -> None:
        ids, keys, names = self._made.activity_ids, self._evidence.keys, self._names
        interactions = self._made.interaction_ids
        shown_by: dict[str, list[str]] = {}  # conversations by the ticket that shows them
        for row in self._rows(
            "SELECT ticket_id, coalesce(evidence_id, interaction_id) AS evidence_id FROM old.current_interaction "
            "WHERE ticket_id IS NOT NULL AND interaction_id IN (SELECT id FROM erased_interaction_id)"
        ):
            shown_by.setdefault(row["ticket_id"], []).append(row["evidence_id"])
        for row in self._activities:
            old, group = row["activity_id"], self._group(row["activity_id"])
            new = dict(row)
            if old in ids:
                new["activity_id"] = ids[old]
                new["raw_id"] = names.place(row["source"], row["raw_id"])
                self._evidence.raw_ids.setdefault(row["raw_id"], new["raw_id"])
            for name in ("contact_ids", "account_ids"):
                new[name] = row[name] and [self._customer(group, each) for each in row[name]]
            new["keys"] = row["keys"] and [renamed(key, row["source"], keys, names) for key in row["keys"]]
            new["tokens"] = row["tokens"] and [
                replacement
                for token in row["tokens"]
                for replacement in (
                    [names.token(conversation, token) for conversation in shown_by.get(old, [group])]
                    if token in self._people.tokens
                    else [token]
                )
            ]
            self._replace("activity", row, new)
        for table in ("activity_outcome_base", "activity_outcome_delta"):
            for row in self._affected(
                table,
                """
                activity_id IN (SELECT id FROM erased_activity_id)
                    OR interaction_id IN (SELECT id FROM erased_interaction_id)
                    OR list_has_any(customer_ids, (SELECT list(id) FROM erased_contact_id))
                    OR list_has_any(customer_ids, (SELECT list(id) FROM erased_account_id))
                """,
            ):
                old, told = row["activity_id"], row["interaction_id"]
                customers = self._customer_list(self._group(old), row["customer_ids"])
                new = {**row, "activity_id": ids.get(old, old), "customer_ids": customers}
                new["interaction_id"] = interactions.get(told, told)
                self._replace(table, row, new)
        for row in self._affected("activity_outcome_retracted", "activity_id IN (SELECT id FROM erased_activity_id)"):
            self._replace("activity_outcome_retracted", row, {**row, "activity_id": ids[row["activity_id"]]})

    def _replace_dispositions(self) -> None:
        raw_ids, theirs = self._evidence.raw_ids, self._evidence.evidence_ids
        register(self._db, "erased_event_id", raw_ids)
        register(self._db, "erased_evidence_id", theirs)
        for table in ("disposition_base", "disposition_delta", "disposition_retracted"):
            told = "" if table.endswith("retracted") else " OR evidence_id IN (SELECT id FROM erased_evidence_id)"
            for row in self._affected(table, f"raw_id IN (SELECT id FROM erased_event_id){told}"):
                new = {**row, "raw_id": raw_ids.get(row["raw_id"], row["raw_id"])}
                if row.get("evidence_id") in theirs:
                    new["evidence_id"] = self._names.hexadecimal(row["evidence_id"])
                self._replace(table, row, new)
        for row in self._affected(
            "late_fact",
            "raw_id IN (SELECT id FROM erased_event_id) OR activity_id IN (SELECT id FROM erased_activity_id)",
        ):
            activity_id = self._made.activity_ids.get(row["activity_id"], row["activity_id"])
            raw_id = raw_ids.get(row["raw_id"], row["raw_id"])
            self._replace("late_fact", row, {**row, "raw_id": raw_id, "activity_id": activity_id})

    def _replace_contacts(self) -> None:
        """Leave the contacts and accounts out, and put one for each interaction and each lone activity."""
        names, forgotten = self._names, self._people.tokens
        for table, key, erased in (
            ("contact", "contact_id", self._people.contact_ids),
            ("account", "account_id", self._people.account_ids),
        ):
            for row in self._affected(
                table,
                f"{key} IN (SELECT id FROM erased_{key}) "
                "OR list_has_any(tokens, (SELECT list(token) FROM forgotten_token))",
            ):
                if row[key] in erased:
                    self._evidence.raw_ids.setdefault(row["raw_id"], names.place(row["source"], row["raw_id"]))
                    self._made.rows.setdefault(table, {})[row["rowid"]] = None
                else:
                    left = [token for token in row["tokens"] if token not in forgotten]
                    self._replace(table, row, {**row, "tokens": left})
        contacts = self._made.added.setdefault("contact", [])
        for (group, contact_id), tokens in sorted(self._pairs.items()):
            if (contact := self._contacts.get(contact_id)) is not None:
                account_id = contact["account_id"] and self._customer(group, contact["account_id"])
                new = {"contact_id": names.text("customer", group, contact_id), "account_id": account_id}
                contacts.append(self._placed(contact, {**new, "tokens": sorted(tokens)}))
        accounts = self._made.added.setdefault("account", [])
        for (group, account_id), tokens in sorted(self._account_pairs.items()):
            if (account := self._accounts.get(account_id)) is not None:
                new = {"account_id": names.text("customer", group, account_id), "domains": []}
                accounts.append(self._placed(account, {**new, "tokens": sorted(tokens)}))

    def _replace_identifiers(self) -> None:
        kinds: dict[str, str] = {}
        register(self._db, "gone_domain_id", self._evidence.domains)
        for row in self._affected(
            "identifier", "token IN (SELECT token FROM forgotten_token) OR token IN (SELECT id FROM gone_domain_id)"
        ):
            kinds[row["token"]] = row["kind"]
            self._made.rows.setdefault("identifier", {})[row["rowid"]] = None
        self._made.added["identifier"] = [
            {"token": self._names.token(row["evidence_id"], row["token"]), "kind": kind, "display": SHOWN}
            for row in self._rows("FROM erased_interaction")
            if (kind := kinds.get(row["token"])) is not None
        ]

    def _replace_letters(self) -> None:
        """Leave out the outlines of records that could not be used and name what is erased; they stay counted."""
        names = {*self._people.ids, *self._made.activity_ids, *self._evidence.keys}
        register(self._db, "outlined_id", {name for name in names if len(name) >= _LEAST_NAME})
        for row in self._affected(
            "dead_letter", "EXISTS (SELECT 1 FROM outlined_id WHERE contains(old.dead_letter.raw_text, outlined_id.id))"
        ):
            self._replace("dead_letter", row, {**row, "raw_text": ""})

    # -- help ---------------------------------------------------------------------------------------------------------

    def _placed(self, row: Row, changes: Row) -> Row:
        new = {name: value for name, value in row.items() if name != "rowid"}
        place = f"{row['raw_id']} {changes.get('contact_id')} {changes.get('account_id')}"
        return {**new, **changes, "raw_id": self._names.place(row["source"], place)}

    def _customer_list(self, group: str, ids: Iterable[str] | None) -> list[str] | None:
        return None if ids is None else sorted(self._customer(group, each) for each in ids)

    def _newest(self, table: str, key: str, erased: str) -> dict[str, Row]:
        """Return the version of each contact or account that counts."""
        rows = self._rows(f"SELECT rowid AS rowid, * FROM old.{table} WHERE {key} IN (SELECT id FROM {erased})")
        rows.sort(key=lambda row: (row["updated_at"] or _LEAST, row["raw_id"] or ""))
        return {row[key]: row for row in rows}

    def _affected(self, table: str, condition: str) -> list[Row]:
        return self._rows(f"SELECT rowid AS rowid, * FROM old.{table} WHERE {condition}")

    def _replace(self, table: str, row: Row, new: Row) -> None:
        changed = {name: value for name, value in new.items() if name != "rowid"}
        self._made.rows.setdefault(table, {})[row["rowid"]] = changed

    def _rows(self, query: str) -> list[dict[str, Any]]:
        found: list[Row] = self._db.sql(query).to_arrow_table().to_pylist()
        return found
