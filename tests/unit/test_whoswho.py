"""Who a device, number or address belongs to, at each instant."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.whoswho import BEGINNING, END, WhosWho
from tests.records import MONDAY, person, shared

TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)


def who(*facts: Any) -> WhosWho:
    return WhosWho(fact.row for fact in facts)


def holders(rows: list[Any], at: datetime) -> list[str | None]:
    return [row[3] for row in rows if row[1] <= at < row[2]]


def test_an_endpoint_is_an_extension_an_id_or_a_personal_name() -> None:
    directory = who(person("r1", name="Anna Oma", extension="201"))

    for endpoint in ("201", "r1", "Anna Oma", "anna oma"):
        assert directory.endpoint_rows([endpoint]) == [(endpoint, BEGINNING, END, "r1", "Sales", "other", 0)]
    assert directory.endpoint_rows(["R1", "Anna", "trunk", "1", "1234567", "٢٠١"]) == []


def test_what_looks_like_an_extension_is_ours_even_when_the_directory_does_not_know_it() -> None:
    directory = who(person("r1", extension="201", valid_from=TUESDAY, valid_to=WEDNESDAY))

    assert directory.endpoint_rows(["202"]) == [("202", BEGINNING, END, None, None, None, None)]
    assert [row[1:4] for row in directory.endpoint_rows(["201"])] == [
        (BEGINNING, TUESDAY, None),
        (TUESDAY, WEDNESDAY, "r1"),
        (WEDNESDAY, END, None),
    ]


def test_a_team_and_its_function_keep_their_number() -> None:
    numbers: dict[tuple[str, str | None], int] = {}
    facts = [person("r1", "Sales", extension="201"), person("r2", "Field", extension="202")]
    before = WhosWho((fact.row for fact in facts), numbers).endpoint_rows(["201", "202"])
    after = WhosWho((fact.row for fact in facts), numbers).endpoint_rows(["202", "201"])

    assert sorted(before) == sorted(after)
    assert numbers == {("Sales", "other"): 0, ("Field", "other"): 1}


def test_the_name_of_a_shared_line_is_no_endpoint() -> None:
    directory = who(shared("Support", name="Help", extension="600"))

    assert directory.endpoint_rows(["Help", "help"]) == []
    assert directory.endpoint_rows(["600"]) == [("600", BEGINNING, END, None, "Support", "contact_center", 0)]


def test_a_change_of_team_holds_from_its_first_instant() -> None:
    directory = who(
        person("r1", "Sales", extension="201", valid_to=TUESDAY),
        person("r1", "Field", extension="201", valid_from=TUESDAY),
    )

    assert [(row[1], row[2], row[4]) for row in directory.endpoint_rows(["201"])] == [
        (BEGINNING, TUESDAY, "Sales"),
        (TUESDAY, END, "Field"),
    ]


def test_of_entries_that_hold_at_once_the_smallest_representative_wins_and_a_person_goes_before_a_shared_line() -> None:
    directory = who(
        shared("Alpha", extension="201"),
        person("r2", extension="201"),
        person("r1", extension="201", valid_from=TUESDAY, valid_to=WEDNESDAY),
    )
    rows = directory.endpoint_rows(["201"])

    assert [holders(rows, at) for at in (MONDAY, TUESDAY, WEDNESDAY)] == [["r2"], ["r1"], ["r2"]]


def test_a_token_is_a_mailbox_a_direct_number_or_a_mobile_number() -> None:
    directory = who(person("r1", email_token="M", direct_token="D", mobile_token="D"))

    assert sorted(row[0] for row in directory.token_rows()) == ["D", "M"]


def test_a_representative_is_found_by_id_and_a_shared_line_is_nobody() -> None:
    directory = who(person("r1"), shared("Support"))

    assert [row[0] for row in directory.representative_rows()] == ["r1"]


def test_an_entry_that_is_over_before_it_begins_holds_never() -> None:
    directory = who(person("r1", extension="desk", valid_from=WEDNESDAY, valid_to=TUESDAY))

    assert directory.endpoint_rows(["desk"]) == []


_DAYS = st.one_of(st.none(), st.integers(0, 5).map(lambda day: MONDAY + timedelta(days=day)))
_ENTRIES = st.lists(
    st.builds(
        lambda name, team, since, until: person(name, team, extension="desk", valid_from=since, valid_to=until),
        st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["A", "B"]), _DAYS, _DAYS,
    ),
    max_size=6,
)  # fmt: skip


@given(_ENTRIES)
def test_at_any_instant_exactly_one_entry_holds_and_it_is_the_smallest_of_those_valid(entries: list[Any]) -> None:
    rows = who(*entries).endpoint_rows(["desk"])

    for day in range(-1, 7):
        at = MONDAY + timedelta(days=day, hours=12)
        valid = [
            (entry.row["representative_id"], entry.row["team"])
            for entry in entries
            if (entry.row["valid_from"] or BEGINNING) <= at < (entry.row["valid_to"] or END)
        ]
        assert [(row[3], row[4]) for row in rows if row[1] <= at < row[2]] == ([min(valid)] if valid else [])
