"""A pull and an export of the same CRM say the same, read by the same rules."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.identifiers import Identifiers
from pipeline.sources.discovery import discover
from pipeline.sources.feeding import feed
from schemas.settings import Configuration
from tests.crm_pulls import Facts, facts_of, gather, settings
from tests.crm_rows import at, fill_espocrm, fill_odoo, fill_suitecrm_with_cases
from tests.crm_schemas import espocrm, odoo, suitecrm

READ_AT = datetime(2024, 6, 1, tzinfo=UTC)


def names() -> Identifiers:
    return Identifiers(b"k" * 32, "FI", ())


def export(engine: sa.Engine, folder: Path) -> None:
    """Write every table that has rows as a file, as a tool for databases does."""
    folder.mkdir()
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(table.select()).all()
            if rows:
                with (folder / f"{table.name}.csv").open("w", newline="") as stream:
                    writer = csv.writer(stream)
                    writer.writerow(table.columns.keys())
                    writer.writerows([int(cell) if isinstance(cell, bool) else cell for cell in row] for row in rows)


def read_export(folder: Path, configuration: Configuration) -> Facts:
    found: Facts = {}
    identifiers = names()
    for item in discover([folder], configuration, folder):
        gather(found, feed(item, identifiers, READ_AT))
    return found


def without_progress(facts: Facts) -> Facts:
    return {kind: rows for kind, rows in facts.items() if kind != "feed_progress"}


def crm_at(path: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("mapping", "tables", "fill", "counts"),
    [
        ("suitecrm", suitecrm, fill_suitecrm_with_cases, {"account": 1, "contact": 3, "activity": 18, "identifier": 8}),
        ("espocrm", espocrm, fill_espocrm, {"account": 1, "contact": 4, "activity": 21, "identifier": 6}),
        ("odoo", odoo, fill_odoo, {"account": 1, "contact": 5, "activity": 20, "identifier": 12}),
    ],
)
def test_a_pull_gives_the_facts_of_exported_tables(
    mapping: str,
    tables: Callable[[], sa.MetaData],
    fill: Callable[[sa.Engine], None],
    counts: dict[str, int],
    tmp_path: Path,
) -> None:
    engine = crm_at(tmp_path / "crm.sqlite")
    tables().create_all(engine)
    fill(engine)
    export(engine, tmp_path / "exported")
    configuration = Configuration.model_validate({"source": [{"path": ".", "name": "crm"}]})
    pulled = facts_of(settings("sqlite:///crm.sqlite", mapping), tmp_path, names(), READ_AT)
    assert {kind: len(rows) for kind, rows in pulled.items()} == {"crm_user": 1, "feed_progress": 1, **counts}
    assert without_progress(pulled) == without_progress(read_export(tmp_path / "exported", configuration))


def counting(facts: Facts) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return of each record the version that counts: what it says but for when it changed; no deleted ones."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind, own_id in (("contact", "contact_id"), ("account", "account_id"), ("activity", "activity_id")):
        versions = sorted(map(dict, facts[kind]), key=lambda row: row["updated_at"])
        latest = {row[own_id]: row for row in versions}
        found[kind] = {
            record: tuple(value for name, value in sorted(row.items()) if name not in ("updated_at", "known_from"))
            for record, row in latest.items()
            if row["deleted"] == "False"
        }
    return found


def merge_in_espocrm(engine: sa.Engine) -> None:
    """Merge c2 into c1: what was tied to it is tied to the other one, and it is deleted."""
    with engine.begin() as connection:
        for statement in (
            "UPDATE call_contact SET contact_id = 'c1', deleted = 0 WHERE id = 2",
            "UPDATE entity_email_address SET entity_id = 'c1' WHERE entity_id = 'c2'",
            f"UPDATE contact SET deleted = 1, modified_at = '{at(100)}' WHERE id = 'c2'",
            f"UPDATE contact SET modified_at = '{at(100)}' WHERE id = 'c1'",
            f"UPDATE call SET deleted = 1, modified_at = '{at(101)}' WHERE id = 'call2'",
        ):
            connection.execute(sa.text(statement))


def merge_in_odoo(engine: sa.Engine) -> None:
    """Merge 9 into 8, as its assistant does: all that leads to it leads to the other one, and it is gone."""
    with engine.begin() as connection:
        for statement in (
            "DELETE FROM mail_message_res_partner_rel WHERE res_partner_id = 9",
            "UPDATE res_users SET partner_id = 8 WHERE partner_id = 9",
            "DELETE FROM res_partner WHERE id = 9",
            "DELETE FROM mail_activity WHERE id = 1",
            f"UPDATE crm_phonecall SET state = 'cancel', write_date = '{at(100)}' WHERE id = 2",
        ):
            connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    ("mapping", "tables", "fill", "merge"),
    [("espocrm", espocrm, fill_espocrm, merge_in_espocrm), ("odoo", odoo, fill_odoo, merge_in_odoo)],
)
def test_pulls_before_and_after_contacts_were_merged_count_as_an_export_of_what_is_left(
    mapping: str,
    tables: Callable[[], sa.MetaData],
    fill: Callable[[sa.Engine], None],
    merge: Callable[[sa.Engine], None],
    tmp_path: Path,
) -> None:
    engine = crm_at(tmp_path / "crm.sqlite")
    tables().create_all(engine)
    fill(engine)
    chosen = settings("sqlite:///crm.sqlite", mapping, reread="0s")
    pulled = facts_of(chosen, tmp_path, names(), READ_AT)
    merge(engine)
    export(engine, tmp_path / "exported")
    for kind, versions in facts_of(chosen, tmp_path, names(), READ_AT).items():
        pulled[kind] += versions

    configuration = Configuration.model_validate({"source": [{"path": ".", "name": "crm"}]})
    exported = counting(read_export(tmp_path / "exported", configuration))

    assert counting(pulled) == exported
    assert len(exported["contact"]) == {"espocrm": 2, "odoo": 4}[mapping]


PEOPLE = {"phones": "phone", "emails": "mail", "account_id": "company"}
LOGGED = {"activity_kind": "what", "logged_at": "made", "owner_id": "who", "contact_ids": "person", "deleted": "gone"}


def test_a_pull_of_any_tables_gives_the_facts_of_their_export_with_the_same_mapping(tmp_path: Path) -> None:
    engine = crm_at(tmp_path / "crm.sqlite")
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE people (no INTEGER PRIMARY KEY, phone TEXT, mail TEXT, company TEXT, changed DATETIME)",
            "CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT, made DATETIME, who INTEGER, person INTEGER,"
            " changed DATETIME, gone INTEGER)",
            "INSERT INTO people VALUES (7, '040 1234567; 09 1234567', 'maija@customer.example', 'A1',"
            " '2024-05-02 10:00:00')",
            "INSERT INTO log VALUES (1, 'Puhelu', '2024-05-02 12:30:05', 3, 7, '2024-05-02 12:31:00', 0)",
            "INSERT INTO log VALUES (2, 'Puhelu', '2024-12-02 12:30:05', 3, 7, '2024-12-02 12:31:00', 1)",
        ):
            connection.execute(sa.text(statement))
    options: dict[str, Any] = {"values": {"activity_kind": {"Puhelu": "call"}}}
    tables = [
        {"kind": "contact", "table": "people", "id": "no", "updated": "changed", "columns": PEOPLE},
        {"kind": "activity", "table": "log", "updated": "changed", "columns": LOGGED, "options": options},
    ]
    export(engine, tmp_path / "exported")
    zone = {"timezone": "Europe/Helsinki"}
    shared = {"name": "crm", "format": "canonical_csv", **zone}
    mapped = [
        {"path": "people.csv", "mapping": {"kind": "=contact", "contact_id": "no", "updated_at": "changed", **PEOPLE}},
        {
            "path": "log.csv", "options": options,
            "mapping": {"kind": "=activity", "activity_id": "id", "updated_at": "changed", **LOGGED},
        },
    ]  # fmt: skip
    configuration = Configuration.model_validate({"source": [{**shared, **each} for each in mapped]})
    exported = read_export(tmp_path / "exported", configuration)
    read_at = datetime(2025, 1, 1, tzinfo=UTC)
    chosen = settings("sqlite:///crm.sqlite", "tables", table=tables, **zone)
    pulled = facts_of(chosen, tmp_path, names(), read_at)
    assert len(pulled["contact"]) == 1
    assert len(pulled["activity"]) == 2
    assert without_progress(pulled)["contact"] == without_progress(exported)["contact"]
    assert pulled["identifier"] == exported["identifier"]
    (first,) = (dict(row) for row in pulled["activity"] if ("activity_id", "'1'") in row)
    assert first["logged_from"] == "datetime.datetime(2024, 5, 2, 9, 30, 5)"
    assert [row for row in pulled["activity"] if ("activity_id", "'1'") in row] == exported["activity"]
