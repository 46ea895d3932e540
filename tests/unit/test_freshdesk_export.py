"""Freshdesk's exported tickets: the same tickets as those of the API, by the contact's address and number."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.freshdesk import SOURCE as API
from pipeline.sources.freshdesk_export import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, phone, rows

EMAIL, NUMBER = "maija@customer.example", "+358401234567"


def ticket(**cells: str) -> dict[str, str]:
    usual = {
        "Ticket ID": "7", "Subject": "About Maija", "Status": "Open", "Agent": "Alice Aalto",
        "Created time": "2024-03-05 11:10:00", "Due by Time": "2024-03-08 11:10:00",
        "Last update time": "2024-03-05 12:00:00", "Full name": "Maija", "Email": EMAIL, "Work phone": "",
        "Mobile phone": "040 1234567", "Unique external ID": "C1",
    }  # fmt: skip
    return {**usual, **{name.replace("_", " "): cell for name, cell in cells.items()}}


def written(folder: Path, *tickets: Mapping[str, str], delimiter: str = ",") -> Path:
    path = folder / "tickets.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(tickets[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(tickets)
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def tickets(path: Path, **options: Any) -> list[dict[str, Any]]:
    return rows(batches(path, options=options), "activity")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_row_is_a_ticket_of_who_asked(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, ticket(), delimiter=delimiter)

    (found,) = tickets(path)

    assert parsing.recognised(path) == "freshdesk_export"
    assert found["kind"] == "ticket"
    assert (found["activity_id"], found["owner_id"]) == ("tried:7", "Alice Aalto")
    assert (found["logged_from"], found["updated_at"]) == (datetime(2024, 3, 5, 9, 10), datetime(2024, 3, 5, 10))
    assert sorted(found["tokens"]) == sorted(filter(None, (address(EMAIL), phone(NUMBER))))


def test_a_ticket_is_the_same_in_the_table_and_in_the_api(tmp_path: Path) -> None:
    path = tmp_path / "tickets.json"
    path.write_text(
        '[{"id": 7, "requester_id": 11, "responder_id": 22, "source": 1, "status": 2, "created_at": '
        '"2024-03-05T09:10:00Z", "updated_at": "2024-03-05T10:00:00Z", "requester": {"id": 11, "email": "'
        f'{EMAIL}", "mobile": "040 1234567", "phone": null}}}}]'
    )

    (by_api,) = rows(parsing.batches(API, path), "activity")
    (by_table,) = tickets(written(tmp_path, ticket()))

    for name in ("activity_id", "logged_from", "updated_at"):
        assert by_api[name] == by_table[name]
    assert set(by_api["tokens"]) == set(by_table["tokens"])


@pytest.mark.parametrize("agent", ["", "No Agent"])
def test_a_ticket_that_nobody_took_has_no_owner(tmp_path: Path, agent: str) -> None:
    assert [found["owner_id"] for found in tickets(written(tmp_path, ticket(Agent=agent)))] == [None]


def test_a_column_may_tie_a_ticket_to_a_contact_of_the_crm(tmp_path: Path) -> None:
    path = written(tmp_path, ticket(), ticket(Ticket_ID="8", Unique_external_ID=""))

    tied, untied = tickets(path, contact_field="Unique external ID")

    assert (list(tied["contact_ids"]), list(untied["contact_ids"])) == (["C1"], [])
    assert [list(found["contact_ids"]) for found in tickets(path)] == [[], []]


def test_the_column_of_the_last_change_has_two_names(tmp_path: Path) -> None:
    older = {name.replace("Last update", "Last updated"): cell for name, cell in ticket().items()}

    assert [found["updated_at"] for found in tickets(written(tmp_path, older))] == [datetime(2024, 3, 5, 10)]


def test_a_table_without_the_contacts_fields_says_so(tmp_path: Path) -> None:
    bare = {name: cell for name, cell in ticket().items() if name not in ("Email", "Work phone", "Mobile phone")}

    read = batches(written(tmp_path, bare))

    assert [warning for batch in read for warning in batch.warnings] == [
        "tickets.csv: no column tells who asked; export again with Email, Work phone and Mobile phone of the contact "
        "among the fields"
    ]
    assert len(rows(read, "activity")) == 1


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = written(tmp_path, {"Numero": "7", "Luotu": "03/05/2024 11:10", "Osoite": EMAIL})
    mapping = {"ticket_id": "Numero", "created_time": "Luotu", "email": "Osoite"}

    (found,) = rows(batches(path, mapping, {"date_format": "%m/%d/%Y %H:%M"}), "activity")

    assert found["logged_from"] == datetime(2024, 3, 5, 9, 10)
    with pytest.raises(ConfigurationError, match="no column 'ticket_id' or 'ticket id'"):
        batches(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'created'"):
        batches(path, {"created": "Luotu"})
    with pytest.raises(ConfigurationError, match="unknown option 'contact'"):
        batches(path, mapping, {"contact": "x"})
    path.write_text("")
    assert batches(path) == []


@pytest.mark.parametrize(
    "header", [b"", b"Ticket ID,Created time\n", b"Ticket Id,Created Time,Due by Time,Requester Email\n"]
)
def test_other_tables_are_not_claimed(tmp_path: Path, header: bytes) -> None:
    assert SOURCE.recognise(Sample(tmp_path, header)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Ticket_ID": ""}, "ticket_id: missing"),
        ({"Created_time": ""}, "created_time: missing"),
        ({"Created_time": "2024-03-05"}, "created_time: expected a date and time of day"),
        ({"Last_update_time": "soon"}, "updated_time: "),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_who_asked(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, ticket(), ticket(**change), ticket(Ticket_ID="9")))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (3, "line", False)
    assert not any(word in letter.raw_text for word in ("Maija", "maija", "1234567"))
    assert len(rows(read, "activity")) == 2


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, ticket(), ticket(Ticket_ID="8")).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path, ("activity",))
