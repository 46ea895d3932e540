"""Exchange's tracking: many rows of a message, one interaction with each who wrote it or got it outside."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.exchange_tracking import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, rows
from tests.records import person

OURS = ("acme.example",)
CUSTOMER, OTHER, ALICE, BO = (
    "maija@customer.example", "pekka@partner.example", "alice@acme.example", "bo@acme.example",
)  # fmt: skip
PEOPLE = (person("alice", email_token=address(ALICE)), person("bo", email_token=address(BO)))
SYSTEM = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example"
PROBE = "HealthMailbox0659e34f91d84a0d8b0ff2d1c3f4d5ab@acme.example"
# As Exchange 2016 writes them; Exchange 2010 has neither network-message-id nor what follows custom-data.
HEADER = (
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,"
    "internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,"
    "related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,"
    "tenant-id,original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version"
)
FIELDS = HEADER.split(",")
OLDER = [name for name in FIELDS[:27] if name != "network-message-id"]
PREAMBLE = (
    "#Software: Microsoft Exchange Server\n#Version: 15.01.2507.006\n#Log-type: Message Tracking Log\n"
    "#Date: 2024-03-05T07:00:00.052Z\n"
)


def row(event: str = "DELIVER", source: str = "STOREDRIVER", **fields: str) -> dict[str, str]:
    """Return a row of a message of a customer to alice; `to_` and the like stand for the fields' long names."""
    told = {
        "date_time": "2024-03-05T07:00:03.562Z",
        "server_hostname": "EX01",
        "source_context": "08DC3CE5C2A0;2024-03-05T07:00:03.312Z;0",
        "internal_message_id": "64712272257893",
        "message_id": "<1@mail.customer.example>",
        "recipient_address": ALICE,
        "total_bytes": "7631",
        "recipient_count": "1",
        "message_subject": "Tarjous, kiireellinen",
        "sender_address": CUSTOMER,
        "return_path": CUSTOMER,
        "message_info": "2024-03-05T07:00:02.100Z;SRV=EX01:TOTAL=1",
        "directionality": "Incoming",
        "custom_data": "S:DeliveryPriority=Normal;S:AccountForest=acme.example",
        **fields,
    }
    return {**{name.replace("_", "-"): value for name, value in told.items()}, "event-id": event, "source": source}


def outward(event: str = "SEND", source: str = "SMTP", **fields: str) -> dict[str, str]:
    sides = {"sender_address": ALICE, "return_path": ALICE, "directionality": "Originating"}
    return row(event, source, **{**sides, "recipient_address": CUSTOMER, "message_id": "<2@acme.example>", **fields})


def as_log(told: Sequence[Mapping[str, str]], fields: Sequence[str] = FIELDS) -> str:
    text = io.StringIO()
    text.write(f"{PREAMBLE}#Fields: {','.join(fields)}\n")
    writer = csv.DictWriter(text, fields, extrasaction="ignore", lineterminator="\n")
    writer.writerows(told)
    return text.getvalue()


def written(folder: Path, *told: Mapping[str, str], fields: Sequence[str] = FIELDS) -> Path:
    path = folder / "MSGTRKMD2024030507-1.LOG"
    path.write_text(as_log(told, fields), encoding="utf-8")
    return path


def as_report(folder: Path, *told: Mapping[str, str], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    """Write the rows as the extended report of Exchange Online has them."""
    path = folder / "report.csv"
    names = {name: name.replace("-", "_") for name in FIELDS if name != "log-id"} | {"date-time": "date_time_utc"}
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(names.values()), delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows([{names[name]: value for name, value in each.items() if name in names} for each in told])
    return path


def batches(path: Path, mapping: Mapping[str, str] | None = None, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def told_of(path: Path) -> list[dict[str, Any]]:
    return parsing.interactions(batches(path), PEOPLE, OURS)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def test_a_delivery_gives_its_parties_time_and_keys(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, row(recipient_address=f"{ALICE};{BO}"))))

    assert (found["raw_id"], found["channel"]) == ("tried:MSGTRKMD2024030507-1.LOG:6", "email")
    assert (found["event_id"], found["key"]) == ("1@mail.customer.example", "m:1@mail.customer.example")
    assert found["started_at"] == found["ended_at"] == datetime(2024, 3, 5, 7, 0, 3, 562_000)
    assert found["from_token"] == address(CUSTOMER)
    assert [(each["role"], each["token"]) for each in found["parties"]] == [("to", address(ALICE)), ("to", address(BO))]
    assert (found["automated"], found["bulk"]) == (False, False)


def test_all_rows_of_a_message_are_one_interaction_whatever_servers_wrote_them(tmp_path: Path) -> None:
    """As the log of two servers tells of a message from outside to two mailboxes."""
    both = f"{ALICE};{BO}"
    told = [
        row("RECEIVE", "SMTP", recipient_address=both),
        row("AGENTINFO", "AGENT", recipient_address=both),
        row("HAREDIRECT", "SMTP", recipient_address=both),
        row("SEND", "SMTP", recipient_address=ALICE, server_hostname="EX01"),
        row("DELIVER", "STOREDRIVER", recipient_address=ALICE),
        row("SEND", "SMTP", recipient_address=BO, server_hostname="EX02"),
        row("DELIVER", "STOREDRIVER", recipient_address=BO, date_time="2024-03-05T07:00:05.000Z"),
    ]
    read = batches(written(tmp_path, *told))

    (found,) = parsing.interactions(read, PEOPLE, OURS)

    assert (found["direction"], found["token"], found["participants"]) == (
        "inbound",
        address(CUSTOMER),
        ["alice", "bo"],
    )
    assert len(rows(read)) == 4
    assert warnings(read) == ["MSGTRKMD2024030507-1.LOG: 3 of its records tell of no conversation and were passed over"]


def test_a_message_sent_to_customers_is_an_interaction_with_each_and_none_with_colleagues(tmp_path: Path) -> None:
    told = [
        outward("NOTIFYMAPI", "STOREDRIVER", message_id="", recipient_address="", sender_address="", return_path=""),
        outward("SUBMIT", "STOREDRIVER", recipient_address=f"{CUSTOMER};{OTHER};{BO}"),
        outward("DELIVER", "STOREDRIVER", recipient_address=BO),
        outward("SEND", "SMTP", recipient_address=f"{CUSTOMER}; {OTHER}"),
    ]

    found = told_of(written(tmp_path, *told))

    assert {each["token"] for each in found} == {address(CUSTOMER), address(OTHER)}
    assert {(each["direction"], each["representative_id"]) for each in found} == {("outbound", "alice")}


def test_mail_among_colleagues_is_no_interaction(tmp_path: Path) -> None:
    sides = {"sender_address": ALICE, "return_path": ALICE, "recipient_address": BO}

    assert told_of(written(tmp_path, row("SEND", "SMTP", **sides), row("DELIVER", "STOREDRIVER", **sides))) == []


def test_a_list_that_was_expanded_shows_its_members_and_its_many_recipients_make_it_bulk(tmp_path: Path) -> None:
    members = [f"m{number}@customer{number}.example" for number in range(22)]
    expanded = outward(
        "EXPAND", "ROUTING", recipient_address=";".join(members), related_recipient_address="l@x.example"
    )
    few = [outward("SEND", "SMTP", recipient_address=";".join(members[:11]), date_time="2024-03-05T07:00:01Z")]
    many = [*few, outward("SEND", "SMTP", recipient_address=";".join(members[11:]), date_time="2024-03-05T07:00:02Z")]

    assert len(told_of(written(tmp_path, expanded, *few))) == 11
    assert told_of(written(tmp_path, expanded, *many)) == []


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ("RECEIVE", "SMTP"), ("RECEIVE", "STOREDRIVER"), ("SUBMIT", "STOREDRIVER"), ("SEND", "STOREDRIVER"),
        ("DUPLICATEDELIVER", "STOREDRIVER"), ("DELIVERFAIL", "STOREDRIVER"), ("FAIL", "SMTP"), ("DSN", "DSN"),
        ("EXPAND", "ROUTING"), ("RESOLVE", "ROUTING"), ("REDIRECT", "ROUTING"), ("TRANSFER", "ROUTING"),
        ("SUPPRESSED", "STOREDRIVER"), ("DROP", "AGENT"), ("NEWEVENT", "SMTP"),
    ],
)  # fmt: skip
def test_what_tells_of_no_delivery_is_passed_over(tmp_path: Path, event: str, source: str) -> None:
    read = batches(written(tmp_path, row(event, source)))

    assert (rows(read), letters(read)) == ([], [])
    assert "1 of its records" in warnings(read)[0]


@pytest.mark.parametrize(
    ("fields", "sender", "automated"),
    [
        ({}, CUSTOMER, False),
        ({"return_path": "<>"}, CUSTOMER, True),
        ({"sender_address": "<>", "return_path": "<>"}, None, True),
        ({"sender_address": "", "return_path": "<>"}, None, True),
        ({"sender_address": "<>", "return_path": ""}, None, True),
        ({"sender_address": ""}, CUSTOMER, False),
        ({"sender_address": SYSTEM, "return_path": SYSTEM}, SYSTEM, True),
        ({"sender_address": "Maija <Maija@Customer.example>", "return_path": ""}, CUSTOMER, False),
    ],
)
def test_a_null_return_path_and_exchange_itself_are_machines(
    tmp_path: Path, fields: dict[str, str], sender: str | None, automated: bool
) -> None:
    (found,) = rows(batches(written(tmp_path, row(**fields))))

    assert (found["from_token"], found["automated"]) == (address(sender) if sender else None, automated)


def test_probes_by_which_exchange_watches_itself_are_passed_over(tmp_path: Path) -> None:
    told = [
        row(sender_address="inboundproxy@contoso.com", recipient_address=PROBE),
        row(sender_address=PROBE.lower(), recipient_address=PROBE),
        row(sender_address="inboundproxy@contoso.com"),
        row(sender_address="watch@elsewhere.example", recipient_address=f"{PROBE};{PROBE}"),
        row(recipient_address=f"{PROBE};{ALICE}", message_id="<kept@x.example>"),
        row(sender_address="healthmailbox@customer.example", message_id="<kept@y.example>"),
    ]

    assert [each["event_id"] for each in rows(batches(written(tmp_path, *told)))] == [
        "kept@x.example",
        "kept@y.example",
    ]


@pytest.mark.parametrize("fields", [FIELDS, OLDER, FIELDS[::-1]])
def test_columns_are_those_that_the_header_names(tmp_path: Path, fields: list[str]) -> None:
    path = written(tmp_path, row(), fields=fields)

    assert parsing.recognised(path) == "exchange_tracking"
    (found,) = rows(batches(path))
    assert (found["event_id"], found["from_token"]) == ("1@mail.customer.example", address(CUSTOMER))


def test_logs_of_several_versions_in_one_file_keep_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "all.log"
    later = row(message_id="<2@x.example>", message_subject='Re: "hei"\nrivi')
    path.write_text(as_log([row()], OLDER) + as_log([later, row(message_id="<3@x.example>")]))

    assert [each["event_id"] for each in rows(batches(path))] == [
        "1@mail.customer.example",
        "2@x.example",
        "3@x.example",
    ]


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ","), ("utf-16", ","), ("utf-8-sig", ";")])
def test_the_extended_report_gives_what_the_log_does(tmp_path: Path, encoding: str, delimiter: str) -> None:
    told = [row(), outward("SENDEXTERNAL", "SMTP"), outward("Send", "Smtp"), row("RECEIVE", "SMTP")]
    path = as_report(tmp_path, *told, encoding=encoding, delimiter=delimiter)
    assert parsing.recognised(path) == "exchange_tracking"

    from_report = rows(batches(path))
    from_log = rows(batches(written(tmp_path, *told)))

    assert len(from_report) == 3
    assert [{**each, "raw_id": ""} for each in from_report] == [{**each, "raw_id": ""} for each in from_log]


def test_times_in_the_words_of_a_country_need_the_administrators_help(tmp_path: Path) -> None:
    path = as_report(tmp_path, row(date_time="3/5/2024 7:00:03 AM"))

    (letter,) = letters(batches(path))
    assert letter.reason.startswith("date-time: a date that could be two: set options.date_format")
    (found,) = rows(batches(path, date_format="%m/%d/%Y %I:%M:%S %p"))
    assert found["started_at"] == datetime(2024, 3, 5, 7, 0, 3)


TOMORROW = parsing.READ_AT + timedelta(days=1, seconds=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"date_time": "yesterday"}, "date-time: expected a date and time such as"),
        ({"date_time": "2024-03-05"}, "date-time: a date without a time of day"),
        ({"date_time": ""}, "date-time: missing"),
        ({"date_time": TOMORROW.isoformat()}, "dated in the future"),
        ({"event": ""}, "event-id: missing"),
        ({"recipient_address": " ; "}, "recipient-address: missing"),
        ({"sender_address": "Maija", "return_path": "/O=ACME/CN=MAIJA"}, "sender-address: expected an address"),
        ({"message_id": "x" * 1_001}, "message_id: found text of 1,001 characters"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_that_tells_nobody(
    tmp_path: Path, fields: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, row(**fields), row(message_id="<2@x.example>")))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (6, "line", True)
    for private in ("maija", "Maija", "customer.example", "Tarjous", "alice"):
        assert private not in letter.raw_text + letter.reason
    assert [each["event_id"] for each in rows(read)] == ["2@x.example"]
    assert sum(batch.record_count for batch in read) == 2


def test_a_row_of_another_width_and_a_stray_mark_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "broken.log"
    short, stray = ",".join(["x"] * 5), '2024-03-05T07:00:00Z,"Maija'
    path.write_text(as_log([row()]) + f"{short}\n{stray}\n" + as_log([row(message_id="<2@x.example>")]))

    read = batches(path)

    assert [letter.reason for letter in letters(read)] == [
        f"has 5 columns, expected {len(FIELDS)}",
        "a quotation mark opens and does not close where the record ends",
    ]
    assert "Maija" not in letters(read)[1].raw_text
    assert [each["event_id"] for each in rows(read)] == ["1@mail.customer.example", "2@x.example"]


def test_the_subject_tells_copies_without_its_reply_prefixes(tmp_path: Path) -> None:
    subjects = ("Tarjous", "VS: Tarjous", "Kutsu")

    found = rows(batches(written(tmp_path, *(row(message_subject=subject) for subject in subjects))))

    assert found[0]["other_keys"] == found[1]["other_keys"] != found[2]["other_keys"]


def test_a_long_subject_costs_no_message(tmp_path: Path) -> None:
    assert len(rows(batches(written(tmp_path, row(message_subject="x" * 5_000))))) == 1


def test_columns_with_other_names_are_mapped_and_lacking_ones_refused(tmp_path: Path) -> None:
    renamed = [("Who_Wrote" if name == "sender-address" else name) for name in FIELDS]
    path = written(tmp_path, {**row(return_path=""), "Who_Wrote": CUSTOMER}, fields=renamed)

    (found,) = rows(batches(path, {"sender-address": "Who_Wrote"}))
    assert found["from_token"] == address(CUSTOMER)
    with pytest.raises(ConfigurationError, match=r"no column 'sender-address'; .* mapping = \{ sender-address ="):
        batches(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'sender', which is no field"):
        batches(path, {"sender": "Who_Wrote"})


def test_an_option_that_means_nothing_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'dateformat'; did you mean 'date_format'"):
        batches(written(tmp_path, row()), dateformat="%d")
    with pytest.raises(ConfigurationError, match=r"options\.date_format is 7; expected a text"):
        batches(written(tmp_path, row()), date_format=7)


@pytest.mark.parametrize(
    "text", ["#Fields: date-time,source,event-id\n", "#Software: Microsoft Exchange Server\n", "\n"]
)
def test_other_logs_of_exchange_are_left_to_others(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.log"
    path.write_text(text)

    assert SOURCE.recognise(Sample(path, text.encode())) is None


def test_a_log_without_rows_gives_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)

    assert parsing.recognised(path) == "exchange_tracking"
    assert [batch.record_count for batch in batches(path)] == [0]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    told = [row(), outward(), row("RECEIVE", "SMTP"), row(return_path="<>", message_subject='a "b", c')]
    whole = written(tmp_path, *told).read_bytes()
    path = tmp_path / "damaged.log"
    path.write_bytes(parsing.damaged(whole, data, (*parsing.SPLINTERS, b"#", b"#Fields: a,b\n")))

    parsing.assert_survives(SOURCE, path)
