"""CRMs told by their columns: what lies beside the pages of an export is read once, and again when it changed."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from pipeline.sources import crm_modules
from pipeline.sources.beside import MOST_TIES, Beside
from pipeline.sources.crm_columns import Columns, squeezed
from pipeline.sources.crm_modules import MOST_KEPT
from pipeline.sources.espocrm import SOURCE
from tests.crm_files import document, read
from tests.parsing import rows

MAIL = {
    "id": "e1", "createdAt": "2024-03-04 10:30:00", "modifiedAt": "2024-03-04 10:30:00", "assignedUserId": "2",
    "status": "Archived", "messageId": "<a@x.example>", "dateSent": "2024-03-01 08:00:00", "isReplied": False,
}  # fmt: skip
CONTACT = {
    "id": "c1", "createdAt": "2023-01-01 08:00:00", "modifiedAt": "2023-01-01 08:00:00", "assignedUserId": "2",
    "lastName": "V", "emailAddress": "maija@customer.example",
}  # fmt: skip


def page(folder: Path, name: str, *records: dict[str, Any]) -> Path:
    return document(folder, name, {"total": len(records), "list": list(records)})


def contacts_of(path: Path) -> list[list[str]]:
    return [row["contact_ids"] for row in rows(read(SOURCE, [path]), "activity")]


def test_what_lies_beside_the_pages_of_an_export_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Beside] = []

    class Counted(Beside):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(crm_modules, "Beside", Counted)
    page(tmp_path, "contacts.json", CONTACT)
    pages = [page(tmp_path, f"{number}.json", {**MAIL, "from": CONTACT["emailAddress"]}) for number in range(5)]

    found = [contacts_of(path) for path in pages]

    assert found == [[["c1"]]] * 5
    assert len(made) == 1


def test_an_index_that_nobody_holds_is_closed(tmp_path: Path) -> None:
    found = []
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        page(folder, "contacts.json", CONTACT)
        path = page(folder, "mail.json", {**MAIL, "from": CONTACT["emailAddress"]})
        found.append(contacts_of(path))
        gc.collect()

    alive = [each for each in gc.get_objects() if isinstance(each, Beside)]

    assert found == [[["c1"]]] * 20
    assert len(alive) <= MOST_KEPT


def test_what_changed_beside_a_file_is_read_again(tmp_path: Path) -> None:
    path = page(tmp_path, "mail.json", {**MAIL, "from": "maija@customer.example"})
    page(tmp_path, "contacts.json", CONTACT)
    before = contacts_of(path)
    page(tmp_path, "contacts.json", {**CONTACT, "id": "c22"})
    changed = contacts_of(path)
    page(tmp_path, "more.json", {**CONTACT, "id": "c333"})

    assert (before, changed) == ([["c1"]], [["c22"]])
    assert sorted(contacts_of(path)) == [[], ["c22"], ["c333"]]


def test_another_list_of_siblings_is_another_index(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path = page(tmp_path, "mail.json", {**MAIL, "from": "maija@customer.example"})
    page(tmp_path, "contacts.json", CONTACT)
    page(tmp_path / "other", "contacts.json", {**CONTACT, "id": "c2"})

    beside = read(SOURCE, [path])
    named = read(SOURCE, [path], options={"siblings": ["other/contacts.json"]})

    assert [rows(found, "activity")[0]["contact_ids"] for found in (beside, named)] == [["c1"], ["c2"]]


def test_a_record_is_tied_to_a_thousand_others_at_most(tmp_path: Path) -> None:
    path = page(tmp_path, "calls.json", {
        "id": "d1", "createdAt": "2024-03-04 09:12:00", "createdById": "1", "status": "Held", "direction": "Outbound",
        "dateStart": "2024-03-04 09:00:00", "contactsIds": [str(number) for number in range(1, 2 * MOST_TIES)],
    })  # fmt: skip

    assert len(contacts_of(path)[0]) == MOST_TIES


def test_names_of_columns_are_told_by_their_letters_and_digits() -> None:
    columns = Columns(("createdAt", "phone"), {"phone": ("Phone No.",)})

    assert squeezed("Person - Phone - Work") == squeezed("person_phone_work") == "personphonework"
    assert columns.values({"Created at": "x", "PHONE": "1", "phone no": "'+358"}) == {"createdAt": "x", "phone": "+358"}
    assert columns.values({"created_at": None, "phone": "'quoted'"}) == {"phone": "'quoted'"}
    assert columns.names(["CREATED_AT", "other"]) == {"createdAt"}
