"""Operators' itemisations: which column is which, what each row is, which way it went, and numbers that are hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.itemisation_words import columns_of
from pipeline.sources.operator_itemisation import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, MOBILE = "+358401234567", "+358407654321", "+358505550001"
HEADER = ("Liittymä", "Päivämäärä", "Kellonaika", "Palvelu", "Suunta", "Numero", "Kesto", "Hinta")
DIRECTORY = (person("alice", mobile_token=token(MOBILE)),)


def row(**cells: str) -> tuple[str, ...]:
    """Return a row: our mobile talks to a customer for 312 s."""
    usual = {
        "Liittymä": "050 555 0001", "Päivämäärä": "5.3.2024", "Kellonaika": "9.15.04", "Palvelu": "Puhelu",
        "Suunta": "Lähtevä", "Numero": "040 123 4567", "Kesto": "0:05:12", "Hinta": "0,35",
    }  # fmt: skip
    return tuple({**usual, **cells}.values())


def written(
    folder: Path, *table: Sequence[str], above: str = "", encoding: str = "utf-8", delimiter: str = ";"
) -> Path:
    path = folder / "bill.csv"
    path.write_bytes((above + "".join(delimiter.join(cells) + "\r\n" for cells in table)).encode(encoding))
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def test_the_facts_of_a_call(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, HEADER, row())))

    assert (found["channel"], found["line"], found["direction"]) == ("call", "mobile", "outbound")
    assert (found["from_token"], found["to_token"]) == (token(MOBILE), token(CUSTOMER))
    assert found["started_at"] == datetime(2024, 3, 5, 7, 15, 4)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 312)


def test_a_row_is_an_interaction_of_who_has_the_subscription(tmp_path: Path) -> None:
    (found,) = parsing.interactions(batches(written(tmp_path, HEADER, row(Suunta="Saapuva"))), DIRECTORY)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(CUSTOMER), "inbound", "alice")


@pytest.mark.parametrize(
    ("service", "channel"),
    [
        ("Puhelu, kotimaan matkapuhelin", "call"),
        ("Äänipuhelu", "call"),
        ("Mobilsamtal", "call"),
        ("Voice", "call"),
        ("Tekstiviesti ulkomaille", "sms"),
        ("MMS", "sms"),
        ("Textmeddelande", "sms"),
        ("Faksi", "fax"),
    ],
)
def test_a_service_is_a_channel(tmp_path: Path, service: str, channel: str) -> None:
    assert [found["channel"] for found in rows(batches(written(tmp_path, HEADER, row(Palvelu=service))))] == [channel]


@pytest.mark.parametrize("service", ["Mobiilidata", "Datapuhelu", "GPRS EU", "Mobilsurf", "Kuukausimaksu", "Avgift"])
def test_what_is_no_conversation_is_passed_over_and_said(tmp_path: Path, service: str) -> None:
    read = batches(written(tmp_path, HEADER, row(), row(Palvelu=service, Numero="internet")))

    assert sum(batch.record_count for batch in read) == len(rows(read)) == 1
    assert warnings(read) == ["bill.csv: 1 of its records tell of no conversation and were passed over"]


def test_a_service_that_nobody_knows_is_a_dead_letter_until_somebody_says_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, row(Palvelu="Lanka"), row(Palvelu="Kuitu"))

    assert [letter.reason.split(":")[0] for letter in letters(batches(path))] == ["service", "service"]

    told = batches(path, options={"values": {"service": {"lanka": "call", "Kuitu": "none"}}})
    assert [found["channel"] for found in rows(told)] == ["call"]
    assert letters(told) == []


@pytest.mark.parametrize(
    ("service", "length", "told"),
    [
        ("Saapuva", "0:05:12", ("inbound", "talk")),
        ("Utgående", "0:05:12", ("outbound", "talk")),
        ("Vastaamaton", "", ("inbound", "unanswered")),
    ],
)
def test_a_service_may_be_no_more_than_a_direction(
    tmp_path: Path, service: str, length: str, told: tuple[str, str]
) -> None:
    header = ["Muuta" if name == "Suunta" else name for name in HEADER]

    (found,) = rows(batches(written(tmp_path, header, row(Palvelu=service, Kesto=length))))

    assert (found["channel"], found["direction"], found["attempt"]) == ("call", *told)


def test_a_list_of_calls_of_a_telephone_is_left_to_other_mappings(tmp_path: Path) -> None:
    header = b"Date,Time,Call Type,Number,Duration\n5.3.2024,9:15,Incoming,0401234567,60\n"

    assert SOURCE.recognise(Sample(tmp_path, header)) is None


def test_a_call_to_the_voicemail_is_no_talk(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, HEADER, row(Palvelu="Vastaajan kuuntelu", Numero="777"))))

    assert found["attempt"] == "no_human"


def test_a_call_of_no_length_was_not_answered(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, HEADER, row(Kesto="00:00"))))

    assert (found["attempt"], found["talk_seconds"]) == ("unanswered", 0)


@pytest.mark.parametrize(
    ("column", "length"), [("Kesto", "312"), ("Kesto", "5:12"), ("Kesto (min)", "5,2"), ("Samtalslängd", "0:05:12")]
)
def test_lengths_are_read_as_they_are_written(tmp_path: Path, column: str, length: str) -> None:
    header = [column if name == "Kesto" else name for name in HEADER]

    (found,) = rows(batches(written(tmp_path, header, row(Kesto=length))))

    assert found["talk_seconds"] == 312


@pytest.mark.parametrize("number", ["04012345xx", "040 123 4XXX", "+35840123****", "040123…", "0401234..."])
def test_a_number_whose_digits_are_hidden_is_of_nobody(tmp_path: Path, number: str) -> None:
    read = batches(written(tmp_path, HEADER, row(Numero=number), row(Numero=number, Palvelu="Tekstiviesti"), row()))

    assert [found["to_token"] for found in rows(read)].count(None) == 2
    assert [warning.partition(" in ")[2][:55] for warning in warnings(read)] == [
        "2 of its records the other party's number is masked or "
    ]
    withheld = [found for found in parsing.interactions(read, DIRECTORY) if found["token"] is None]
    assert {(found["channel"], found["representative_id"]) for found in withheld} == {
        ("call", "alice"),
        ("sms", "alice"),
    }


def test_numbers_that_are_cut_off_count_as_withheld_when_the_configuration_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, row(Numero="0401234"))

    assert [found["to_token"] is None for found in rows(batches(path))] == [False]
    assert [found["to_token"] for found in rows(batches(path, options={"numbers_are_cut": True}))] == [None]


@pytest.mark.parametrize(
    ("service", "direction"),
    [("Saapuva puhelu", "inbound"), ("Vastaanotettu puhelu ulkomailla", "inbound"), ("Puhelu", "outbound")],
)
def test_without_a_direction_the_service_tells_it_or_a_row_went_out(
    tmp_path: Path, service: str, direction: str
) -> None:
    header = ["Muuta" if name == "Suunta" else name for name in HEADER]

    (found,) = rows(batches(written(tmp_path, header, row(Palvelu=service))))

    assert found["direction"] == direction


@pytest.mark.parametrize(
    ("caller", "called", "direction"),
    [(MOBILE, CUSTOMER, "outbound"), (CUSTOMER, "0505550001", "inbound"), ("04012345xx", MOBILE, "inbound")],
)
def test_the_subscription_tells_which_way_a_call_went(tmp_path: Path, caller: str, called: str, direction: str) -> None:
    header = ("Subscription", "Date and time", "A-number", "B-number", "Duration", "Service")
    path = written(tmp_path, header, (MOBILE, "2024-03-05 09:15:04", caller, called, "312", "Voice call"))

    (found,) = rows(batches(path))

    assert found["direction"] == direction


def test_without_a_subscription_the_directory_tells_which_way_a_call_went(tmp_path: Path) -> None:
    header = ("Date", "Time", "A-number", "B-number", "Duration", "Service")
    path = written(tmp_path, header, ("2024-03-05", "09:15:04", CUSTOMER, MOBILE, "312", "Voice call"))

    (found,) = parsing.interactions(batches(path), DIRECTORY)

    assert (found["direction"], found["representative_id"]) == ("inbound", "alice")


def test_latin_1_and_lines_above_the_table_and_sums_do_no_harm(tmp_path: Path) -> None:
    total = ("Yhteensä", "", "", "", "", "", "0:05:12", "0,35")
    path = written(
        tmp_path, HEADER, row(), total, ("Kiitos!",), above="Asiakas: Äänekosken Öljy\r\n\r\n", encoding="latin-1"
    )

    read = batches(path)

    assert parsing.recognised(path) == "operator_itemisation"
    assert [found["direction"] for found in rows(read)] == ["outbound"]
    assert letters(read) == []


def test_an_encoding_may_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, row(), encoding="cp850")

    assert [letter.reason.partition(":")[0] for letter in letters(batches(path))] == ["started_at"]
    assert len(rows(batches(path, options={"encoding": "cp850"}))) == 1
    with pytest.raises(ConfigurationError, match=r"options\.encoding is 'latin-99'"):
        batches(path, options={"encoding": "latin-99"})


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    header = ("Own", "When", "What", "Who", "Seconds")
    path = written(tmp_path, header, (MOBILE, "20240305 09:15", "Voice", CUSTOMER, "312"), delimiter=",")
    mapping = {
        "started_at": "When", "talk_seconds": "Seconds", "representative": "Own", "customer": "Who", "service": "What",
        "direction": "=inbound",
    }  # fmt: skip

    (found,) = rows(batches(path, mapping, {"date_format": "%Y%m%d %H:%M"}))

    assert (found["started_at"], found["talk_seconds"]) == (datetime(2024, 3, 5, 7, 15), 312)
    assert (found["direction"], found["from_token"], found["to_token"]) == ("inbound", token(CUSTOMER), token(MOBILE))


def test_columns_of_a_table_without_a_header_are_mapped_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, (MOBILE, "5.3.2024", "9:15", CUSTOMER, "5:12", "S"), delimiter="\t")
    mapping = {"representative": "1", "started_at": "2+3", "customer": "4", "talk_seconds": "5", "service": "6"}
    options = {"header": False, "values": {"service": {"S": "call"}}}

    (found,) = rows(batches(path, mapping, options))

    assert (found["to_token"], found["talk_seconds"]) == (token(CUSTOMER), 312)


def test_some_columns_by_name_and_some_by_number(tmp_path: Path) -> None:
    path = written(tmp_path, ("Liittymä", "Pvm", "Klo", "Laji", "???", "Kesto"), (*row()[:4], CUSTOMER, "312"))

    (found,) = rows(batches(path, {"customer": "5"}))

    assert found["to_token"] == token(CUSTOMER)


@pytest.mark.parametrize(
    ("mapping", "options", "message"),
    [
        ({"caller": "Numero"}, {}, "'caller' is no field of an itemisation"),
        ({"customer": "Nummer"}, {}, "no line names the columns"),
        ({}, {"numbers_are_cut": "yes"}, "numbers_are_cut: expected true or false"),
        ({}, {"values": {"service": {"X": "data"}}}, "kinds of service are call"),
        ({}, {"values": 1}, "expected tables of words"),
        ({}, {"mask": "x"}, "unknown option 'mask'"),
        ({}, {"duration_unit": "hours"}, "duration_unit is 'hours'"),
    ],
)
def test_what_the_configuration_has_wrong_is_said(
    tmp_path: Path, mapping: dict[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        batches(written(tmp_path, HEADER, row()), mapping, options)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Päivämäärä": ""}, "started_at: "),
        ({"Kellonaika": ""}, "started_at: a date without a time of day"),
        ({"Kesto": "pitkä"}, "talk_seconds: expected a length of time"),
        ({"Kesto": ""}, "cannot tell whether anybody talked"),
        ({"Suunta": "sivulle"}, "direction: "),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, HEADER, row(), row(**change), row(Numero=OTHER)))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (3, "line")
    assert "123 4567" not in letter.raw_text
    assert len(rows(read)) == 2


def test_a_table_of_messages_alone_needs_no_lengths(tmp_path: Path) -> None:
    header = ("Liittymä", "Pvm", "Klo", "Laji", "Numero")
    path = written(
        tmp_path,
        header,
        (MOBILE, "5.3.2024", "9:15", "SMS", CUSTOMER),
        (MOBILE, "5.3.2024", "9:15", "Puhelu", CUSTOMER),
    )

    read = batches(path)

    assert [found["channel"] for found in rows(read)] == ["sms"]
    assert [letter.reason for letter in letters(read)] == [
        "talk_seconds: no column has the length of calls; name it in the mapping"
    ]


@pytest.mark.parametrize(
    "header",
    [
        ("Start", "Duration", "Caller", "Called"),
        ("Date", "Time", "Direction", "Number", "Extension", "Talk"),
        HEADER[:2],
        (),
    ],
)
def test_other_lists_of_calls_are_not_claimed(tmp_path: Path, header: Sequence[str]) -> None:
    assert SOURCE.recognise(Sample(tmp_path / "bill.csv", ";".join(header).encode())) is None


def test_the_columns_that_were_found_are_told_so_that_they_can_be_changed(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, row())

    claim = SOURCE.recognise(Sample(path, path.read_bytes()))

    assert claim is not None
    assert "started_at = 'Päivämäärä+Kellonaika'" in claim.evidence
    assert columns_of(HEADER)["customer"] == "Numero"


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, HEADER, row(), row(Palvelu="SMS"), row(Numero="04012345xx")).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
