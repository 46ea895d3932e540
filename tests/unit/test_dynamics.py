"""Dynamics 365: who is who, what was logged on whom and when, from its Web API and from tables of Dataverse."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.dynamics import SOURCE
from pipeline.sources.message_headers import masked_key, message_key
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, phone, recognised, rows
from tests.records import Fact, call, email, person

MAIJA, MATTI, LEENA = "maija@customer.example", "matti@acme.example", "leena@customer.example"
NUMBER = "+358401234567"
TYPE, LABEL = "Microsoft.Dynamics.CRM.lookuplogicalname", "OData.Community.Display.V1.FormattedValue"


def guid(number: int) -> str:
    return f"{number:08x}-c6c6-ea11-a812-000d3a3e1af1"


CALL, MAIL, NOTE, CASE = guid(1), guid(2), guid(3), guid(4)
CONTACT, OTHER_CONTACT, FIRM, USER, TEAM, LEAD = (guid(number) for number in (0x501, 0x502, 0x900, 0x77, 0x78, 0x601))

Record = dict[str, Any]


def lookup(name: str, table: str | None, other: str) -> Record:
    """Return a lookup as the Web API writes it; without a table it was asked for no annotations."""
    typed = {f"_{name}_value@{TYPE}": table, f"_{name}_value@{LABEL}": "Secret Name"} if table else {}
    return {f"_{name}_value": other, **typed}


def party(mask: int, table: str | None, other: str | None, **fields: Any) -> Record:
    found = lookup("partyid", table, other) if other else {"_partyid_value": None}
    return {
        **found,
        "participationtypemask": mask,
        f"participationtypemask@{LABEL}": "x",
        "ispartydeleted": False,
        **fields,
    }


def a_call(call_id: str = CALL, *parties: Record, **fields: Any) -> Record:
    """Return a completed call of our user with these parties, by default one contact."""
    return {
        "@odata.etag": 'W/"4260710"', "activityid": call_id, "subject": "secret", "phonenumber": "040 1234567",
        "directioncode": True, "leftvoicemail": False, "statecode": 1, "statuscode": 2,
        "createdon": "2024-03-04T09:12:00Z", "modifiedon": "2024-03-04T09:13:00Z",
        **lookup("ownerid", "systemuser", USER), **lookup("createdby", "systemuser", USER),
        "phonecall_activity_parties": list(
            parties or (party(1, "systemuser", USER), party(2, "contact", CONTACT), party(9, "systemuser", USER))
        ),
        **fields,
    }  # fmt: skip


def an_email(email_id: str = MAIL, *parties: Record, **fields: Any) -> Record:
    return {
        "activityid": email_id, "subject": "secret", "messageid": "<A1.b2@mail.example>", "directioncode": False,
        "sender": MAIJA, "torecipients": f"{MATTI};", "statecode": 1, "statuscode": 4,
        "createdon": "2024-03-04T09:12:00Z", "modifiedon": "2024-03-04T09:12:00Z", "senton": "2024-03-04T08:00:00Z",
        **lookup("ownerid", "systemuser", USER),
        "email_activity_parties": list(parties or (party(1, "contact", CONTACT), party(2, "systemuser", USER))),
        **fields,
    }  # fmt: skip


def a_note(created: str, **fields: Any) -> Record:
    return {"annotationid": NOTE, "notetext": "secret", "createdon": created, "modifiedon": created,
            **lookup("objectid", "contact", CONTACT), **lookup("ownerid", "systemuser", USER), **fields}  # fmt: skip


def a_contact(**fields: Any) -> Record:
    return {"contactid": CONTACT, "lastname": "V", "emailaddress1": MAIJA, "telephone1": "040 1234567",
            "createdon": "2023-01-01T00:00:00Z", "modifiedon": "2024-01-01T00:00:00Z", "merged": False,
            **lookup("parentcustomerid", "account", FIRM), **fields}  # fmt: skip


USERS = {"systemuserid": USER, "ownerid": USER, "internalemailaddress": MATTI, "domainname": "matti@acme.example.net"}


def answer(folder: Path, entity_set: str, *records: Record, name: str | None = None) -> Path:
    """Write a page of the Web API."""
    path = folder / (name or f"{entity_set}.json")
    context = f"https://acme.crm4.dynamics.com/api/data/v9.2/$metadata#{entity_set}(subject,createdon)"
    path.write_bytes(orjson.dumps({"@odata.context": context, "value": records, "@odata.nextLink": "https://x"}))
    return path


def table(folder: Path, name: str, *records: Mapping[str, str]) -> Path:
    path = folder / name
    columns = list(dict.fromkeys(column for values in records for column in values))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(records)
    return path


def batches(
    path: Path, options: Mapping[str, Any] | None = None, mapping: Mapping[str, str] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def activities(folder: Path, entity_set: str, *records: Record) -> list[dict[str, Any]]:
    return rows(batches(answer(folder, entity_set, *records)), "activity")


def outcomes(read: Sequence[Batch], *observed: Fact) -> list[tuple[Any, ...]]:
    """Return outcome, reason and tier of each interaction, in a company where Matti has the extension 201."""
    directory = person("r1", extension="201", email_token=address(MATTI))
    found = parsing.interactions(read, [directory, *observed])
    return [(row["outcome"], row["reason"], row["tier"]) for row in sorted(found, key=lambda row: row["started_at"])]


def test_a_call_that_is_logged_is_traced_and_one_that_is_not_is_bypassed(tmp_path: Path) -> None:
    read = [
        *batches(answer(tmp_path, "contacts", a_contact())),
        *batches(answer(tmp_path, "systemusers", USERS)),
        *batches(answer(tmp_path, "phonecalls", a_call())),
        *batches(answer(tmp_path, "annotations", a_note("2024-03-20T12:00:00Z"))),
    ]
    customer = phone(NUMBER)

    found = outcomes(
        read,
        call("pbx:1", "09:00", 600, customer=customer),
        call("pbx:2", "13:00", 600, customer=customer, outbound=True),
    )

    assert found == [("traced", None, "same_representative"), ("bypassed", "not_logged", None)]


TABLES = {
    "contact.csv": [
        {"contactid": CONTACT.upper(), "lastname": "V", "telephone1": "040 1234567", "emailaddress1": MAIJA,
         "parentcustomerid": FIRM, "parentcustomerid_entitytype": "account", "statecode": "0",
         "modifiedon": "2024-01-01T00:00:00.0000000Z"},
    ],
    "systemuser.csv": [{"systemuserid": USER, "internalemailaddress": MATTI, "createdon": "2020-01-01"}],
    "phonecall.csv": [
        {"Id": CALL, "activityid": f"{{{CALL.upper()}}}", "phonenumber": "040 1234567", "directioncode": "True",
         "leftvoicemail": "False", "statecode": "1", "statuscode": "2", "createdon": "2024-03-04T09:12:00.0000000Z",
         "modifiedon": "3/4/2024", "ownerid": USER, "ownerid_entitytype": "systemuser", "createdby": USER,
         "SinkModifiedOn": "2024-03-20T00:00:00Z", "IsDelete": ""},
    ],
    "annotation.csv": [
        {"annotationid": NOTE, "notetext": "secret", "objectid": CONTACT, "objecttypecode": "contact",
         "createdon": "2024-03-20T12:00:00Z"},
    ],
    "activityparty.csv": [
        {"activitypartyid": guid(0x1001), "activityid": CALL, "partyid": USER, "partyobjecttypecode": "8",
         "participationtypemask": "1"},
        {"activitypartyid": guid(0x1002), "activityid": CALL, "partyid": CONTACT, "partyobjecttypecode": "2",
         "participationtypemask": "2"},
        {"activitypartyid": guid(0x1003), "activityid": CALL, "partyid": OTHER_CONTACT, "partyobjecttypecode": "2",
         "participationtypemask": "9"},
    ],
}  # fmt: skip


def written(folder: Path) -> dict[str, Path]:
    return {name: table(folder, name, *records) for name, records in TABLES.items()}


def test_tables_give_the_same_outcomes_and_the_same_activities(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    paths = written(tmp_path)
    read = [batch for path in paths.values() for batch in batches(path)]
    customer = phone(NUMBER)

    found = outcomes(read, call("pbx:1", "09:00", 600, customer=customer), call("pbx:2", "13:00", customer=customer))

    assert {recognised(path) for path in paths.values()} == {"dynamics"}
    assert found == [("traced", None, "same_representative"), ("bypassed", "not_logged", None)]
    (of_table,) = [row for row in rows(read, "activity") if row["kind"] == "call"]
    (of_api,) = activities(tmp_path / "api", "phonecalls", a_call(modifiedon="2024-03-04T09:12:00Z"))
    assert {**of_table, "raw_id": ""} == {**of_api, "raw_id": ""}


def test_an_activity_has_those_who_took_part_and_are_not_ours(tmp_path: Path) -> None:
    parties = (
        party(1, "systemuser", USER), party(2, "contact", CONTACT), party(2, "team", TEAM), party(3, "lead", LEAD),
        party(4, "account", FIRM), party(8, "contact", OTHER_CONTACT), party(2, None, None, addressused=LEENA),
    )  # fmt: skip

    (found,) = activities(tmp_path, "phonecalls", a_call(CALL, *parties))

    assert (found["contact_ids"], found["account_ids"]) == (sorted([CONTACT, LEAD]), [FIRM])
    assert (found["owner_id"], found["creator_id"], found["direction"]) == (USER, USER, "outbound")


def test_without_parties_the_record_counts_that_an_activity_is_regarding(tmp_path: Path) -> None:
    ours = party(1, "systemuser", USER)

    def regarding(table: str | None, other: str, *parties: Record) -> tuple[list[str], list[str]]:
        (found,) = activities(
            tmp_path, "phonecalls", a_call(CALL, ours, *parties, **lookup("regardingobjectid", table, other))
        )
        return found["contact_ids"], found["account_ids"]

    assert regarding("contact", CONTACT) == ([CONTACT], [])
    assert regarding("account", FIRM) == ([], [FIRM])
    assert regarding("lead", LEAD) == ([LEAD], [])
    assert regarding("opportunity", guid(0x700)) == ([], [])
    assert regarding(None, FIRM) == ([FIRM], [])
    # Of another contact's record, those who took part count; the account goes with them.
    assert regarding("contact", OTHER_CONTACT, party(2, "contact", CONTACT)) == ([CONTACT], [])
    assert regarding("account", FIRM, party(2, "contact", CONTACT)) == ([CONTACT], [FIRM])


def test_an_email_is_evidence_on_each_of_its_contacts(tmp_path: Path) -> None:
    to_two = (party(1, "systemuser", USER), party(2, "contact", CONTACT), party(3, "contact", OTHER_CONTACT))

    found = activities(tmp_path, "emails", an_email(MAIL, *to_two, directioncode=True))

    assert [(row["activity_id"], row["contact_ids"], row["deleted"]) for row in found] == [
        (MAIL, [], True),
        (f"{MAIL}:{CONTACT}", [CONTACT], False),
        (f"{MAIL}:{OTHER_CONTACT}", [OTHER_CONTACT], False),
    ]


def test_a_message_id_is_evidence_whenever_the_email_was_tracked(tmp_path: Path) -> None:
    read = [
        *batches(answer(tmp_path, "contacts", a_contact())),
        *batches(answer(tmp_path, "emails", an_email(createdon="2024-03-11T12:00:00Z"))),
        *batches(answer(tmp_path, "annotations", a_note("2024-03-20T12:00:00Z"))),
    ]
    to = [address(MATTI) or ""]

    found = outcomes(
        read,
        email("mail:1", "08:00", address(MAIJA), to, message_id="A1.b2@mail.example"),
        email("mail:2", "09:00", address(MAIJA), to, message_id="A1.b9@mail.example"),
    )

    assert found == [("traced", None, "exact"), ("bypassed", "not_logged", None)]


def test_an_email_from_a_mailbox_has_its_own_time_and_one_written_down_that_of_its_creation(tmp_path: Path) -> None:
    found = activities(
        tmp_path,
        "emails",
        an_email(guid(1)),
        an_email(guid(2), messageid=None),
        an_email(guid(3), senton="2093-01-01T00:00:00Z"),
        an_email(guid(4), senton=None),
    )

    created = datetime(2024, 3, 4, 9, 12)
    assert [row["logged_from"] for row in found] == [datetime(2024, 3, 4, 8), created, created, created]
    assert [row["keys"] for row in found] == [
        [masked_key("A1.b2@mail.example")],
        [],
        [masked_key("A1.b2@mail.example")],
        [masked_key("A1.b2@mail.example")],
    ]


def test_a_message_id_that_holds_a_party_s_address_is_masked_as_a_mailbox_masks_it(tmp_path: Path) -> None:
    message_id = f"<20240304.{MAIJA}>"

    (found,) = activities(tmp_path, "emails", an_email(messageid=message_id))

    assert found["keys"] == [message_key(message_id, {MAIJA})]
    assert found["keys"][0].startswith("x:")


@pytest.mark.parametrize(
    ("fields", "logged"),
    [
        ({"actualend": "2024-03-04T09:10:00Z"}, datetime(2024, 3, 4, 9, 12)),  # it was written down afterwards
        ({"actualend": "2024-03-06T15:00:00Z"}, datetime(2024, 3, 6, 15)),  # it had been planned
        ({"actualend": "2024-03-06T15:00:00Z", "statecode": "Completed"}, datetime(2024, 3, 6, 15)),
        ({"actualend": "2024-03-06T15:00:00Z", "statecode": 0}, datetime(2024, 3, 4, 9, 12)),
        ({"actualend": "2093-03-06T15:00:00Z"}, datetime(2024, 3, 4, 9, 12)),
        ({"actualend": "soon"}, datetime(2024, 3, 4, 9, 12)),
        ({"actualend": None}, datetime(2024, 3, 4, 9, 12)),
    ],
)
def test_a_call_was_logged_when_it_was_created_or_completed_later(
    tmp_path: Path, fields: dict[str, Any], logged: datetime
) -> None:
    (found,) = activities(tmp_path, "phonecalls", a_call(**fields))

    assert found["logged_from"] == logged


def test_a_task_stays_where_it_was_created(tmp_path: Path) -> None:
    task = {"activityid": CALL, "percentcomplete": 100, "statecode": 1, "createdon": "2024-03-04T09:12:00Z",
            "actualend": "2024-03-06T15:00:00Z", **lookup("regardingobjectid", "contact", CONTACT)}  # fmt: skip

    (found,) = activities(tmp_path, "tasks", task)

    assert (found["kind"], found["logged_from"]) == ("task", datetime(2024, 3, 4, 9, 12))


@pytest.mark.parametrize(
    ("entity_set", "record", "is_trace"),
    [
        ("phonecalls", a_call(statecode=0, statuscode=1), True),
        ("phonecalls", a_call(statecode=2, statuscode=3), False),
        ("phonecalls", a_call(statecode="Canceled"), False),
        ("phonecalls", a_call(leftvoicemail=True), False),
        ("emails", an_email(statecode=1, statuscode=3), True),
        ("emails", an_email(statecode=None, statuscode=None), True),
        ("emails", an_email(statecode=0, statuscode=1), False),
        ("emails", an_email(statecode=None, statuscode=8), False),
        ("emails", an_email(statecode=1, statuscode=6), False),
        ("emails", an_email(statecode=1, statuscode="Sending"), False),
        ("emails", an_email(statecode=2, statuscode=5), False),
        ("annotations", a_note("2024-03-04T09:12:00Z", statecode=2), True),
    ],
)
def test_what_was_canceled_or_not_sent_or_reached_nobody_is_no_trace(
    tmp_path: Path, entity_set: str, record: Record, is_trace: bool
) -> None:
    read = batches(answer(tmp_path, entity_set, record))

    # One that is none is taken back, should an earlier export have told of it.
    assert [row["deleted"] for row in rows(read, "activity")] == [not is_trace]
    assert (
        any("1 of its records were canceled, not sent or reached nobody" in each for each in warnings(read))
        is not is_trace
    )


@pytest.mark.parametrize(
    ("entity_set", "kind"),
    [("phonecalls", "call"), ("emails", "email"), ("appointments", "meeting"), ("tasks", "task"), ("faxes", "fax"),
     ("letters", "other"), ("serviceappointments", "meeting"), ("socialactivities", "social")],
)  # fmt: skip
def test_the_answer_says_what_its_records_are(tmp_path: Path, entity_set: str, kind: str) -> None:
    path = answer(tmp_path, entity_set, {"activityid": CALL, "createdon": "2024-03-04T09:12:00Z", "statecode": 1})

    assert recognised(path) == "dynamics"
    assert [row["kind"] for row in rows(batches(path), "activity")] == [kind]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (a_call(), "call"),
        (an_email(), "email"),
        ({"activityid": CALL, "isalldayevent": False, **lookup("ownerid", None, USER)}, "meeting"),
        ({"activityid": CALL, "percentcomplete": 0, **lookup("ownerid", None, USER)}, "task"),
        ({"activityid": CALL, "activitytypecode": "fax", **lookup("ownerid", None, USER)}, "fax"),
        ({"activityid": CALL, "activitytypecode": "new_visit", **lookup("ownerid", None, USER)}, "other"),
        (a_note("2024-03-04T09:12:00Z"), "note"),
    ],
)
@pytest.mark.parametrize("form", ["list", "lines", "pages"])
def test_records_without_their_answer_are_told_by_their_columns(
    tmp_path: Path, record: Record, kind: str, form: str
) -> None:
    path = tmp_path / "export"
    whole = {"createdon": "2024-03-04T09:12:00Z", "statecode": 1, **record}
    path.write_bytes(
        {"list": orjson.dumps([whole]), "lines": orjson.dumps(whole) + b"\n" + orjson.dumps(whole),
         "pages": orjson.dumps({"value": [whole]})}[form]
    )  # fmt: skip

    assert recognised(path) == "dynamics"
    assert {row["kind"] for row in rows(batches(path), "activity")} == {kind}


def test_pages_of_several_tables_may_stand_in_one_file(tmp_path: Path) -> None:
    records = {"phonecalls": a_call(), "emails": an_email(), "contacts": a_contact(), "systemusers": USERS}
    parts = [answer(tmp_path, name, record).read_bytes() for name, record in records.items()]
    path = tmp_path / "all.json"
    path.write_bytes(b"\n".join(parts))

    read = batches(path)

    assert [row["kind"] for row in rows(read, "activity")] == ["call", "email"]
    assert [len(rows(read, kind)) for kind in ("contact", "crm_user")] == [1, 1]


def test_the_table_of_all_activities_tells_those_whose_own_table_is_not_there(tmp_path: Path) -> None:
    values = {"createdon": "2024-03-04T09:12:00Z", "statecode": "1", "regardingobjectid": CONTACT,
              "regardingobjecttypecode": "2"}  # fmt: skip
    path = table(
        tmp_path,
        "activitypointer.csv",
        {"activityid": guid(1), "activitytypecode": "4210", **values},
        {"activityid": guid(2), "activitytypecode": "email", **values},
        {"activityid": guid(3), "activitytypecode": "4406", **values},
    )
    table(tmp_path, "email.csv", {"activityid": guid(2), "messageid": "x@y", "createdon": "2024-03-04T09:12:00Z"})

    found = rows(batches(path), "activity")

    assert recognised(path) == "dynamics"
    assert [(row["activity_id"], row["kind"], row["contact_ids"]) for row in found] == [
        (guid(1), "call", [CONTACT]),
        (guid(3), "other", [CONTACT]),
    ]


def test_a_case_is_a_ticket_of_its_customer_and_says_nothing_of_how_far_activities_reach(tmp_path: Path) -> None:
    values = {"title": "secret", "ticketnumber": "CAS-1", "createdon": "2024-03-04T10:00:00Z", "statecode": 0,
              **lookup("ownerid", "systemuser", USER)}  # fmt: skip
    read = batches(
        answer(
            tmp_path,
            "incidents",
            {"incidentid": guid(1), **values, **lookup("customerid", "account", FIRM),
             **lookup("primarycontactid", "contact", CONTACT)},
            {"incidentid": guid(2), **values, **lookup("customerid", "contact", CONTACT)},
            {"incidentid": guid(3), **values},
        )
    )  # fmt: skip

    found = rows(read, "activity")
    assert [(row["kind"], row["contact_ids"], row["account_ids"], row["owner_id"]) for row in found] == [
        ("ticket", [CONTACT], [FIRM], USER),
        ("ticket", [CONTACT], [], USER),
        ("ticket", [], [], USER),
    ]
    assert rows(read, "feed_progress") == []


def test_an_activity_on_a_case_alone_belongs_to_the_case_s_customer_or_is_siloed(tmp_path: Path) -> None:
    values = {"ticketnumber": "CAS-1", "createdon": "2024-03-04T07:00:00Z"}
    answer(
        tmp_path, "incidents", {"incidentid": guid(1), **values, **lookup("customerid", "account", FIRM)},
        {"incidentid": guid(2), **values},
    )  # fmt: skip
    ours = party(1, "systemuser", USER)
    read = [
        *batches(answer(tmp_path, "contacts", a_contact())),
        *batches(
            answer(tmp_path, "phonecalls", a_call(CALL, ours, **lookup("regardingobjectid", "incident", guid(1))))
        ),
        *batches(
            answer(
                tmp_path,
                "emails",
                an_email(
                    MAIL, party(2, "queue", TEAM), sender=LEENA, **lookup("regardingobjectid", "incident", guid(2))
                ),
            )
        ),
        *batches(answer(tmp_path, "annotations", a_note("2024-03-20T12:00:00Z"))),
    ]

    of_call, of_email, _ = rows(read, "activity")
    assert (of_call["kind"], of_call["account_ids"]) == ("call", [FIRM])
    assert (of_email["kind"], of_email["tokens"]) == ("ticket", [address(LEENA)])
    arrived = email("mail:1", "08:00", address(LEENA), [address(MATTI) or ""], message_id="A1.b2@mail.example")
    assert outcomes(read, arrived) == [("siloed", None, None)]


def test_contacts_and_accounts_have_all_their_identifiers(tmp_path: Path) -> None:
    contact = a_contact(
        mobilephone="+358 50 5550001", emailaddress2=LEENA, new_direct="09 123 4567", new_mail="m@w.example"
    )
    account = {"accountid": FIRM, "accountnumber": "1", "telephone1": "09 765 4321", "websiteurl": "https://www.customer.example",
               "emailaddress1": "info@customer.example", "industrycode": 5, f"industrycode@{LABEL}": "Energy",
               "new_tier": 1, f"new_tier@{LABEL}": "Gold"}  # fmt: skip
    options = {"phone_fields": "new_direct", "email_fields": ["new_mail"], "segment_field": "new_tier"}

    (someone,) = rows(batches(answer(tmp_path, "contacts", contact), options), "contact")
    (firm,) = rows(batches(answer(tmp_path, "accounts", account), options), "account")
    (usual,) = rows(batches(answer(tmp_path, "accounts", account)), "account")

    numbers = [phone(each) for each in (NUMBER, "+358505550001", "+35891234567")]
    assert someone["tokens"] == sorted(str(each) for each in [*numbers, *map(address, (MAIJA, LEENA, "m@w.example"))])
    assert (someone["contact_id"], someone["account_id"]) == (CONTACT, FIRM)
    assert firm["tokens"] == sorted([phone("+35897654321") or "", address("info@customer.example") or ""])
    assert firm["domains"] == [parsing.IDENTIFIERS.domain_token("customer.example")]
    assert (firm["segment"], usual["segment"]) == ("Gold", "Energy")


@pytest.mark.parametrize(
    ("entity_set", "record", "account"),
    [
        ("contacts", a_contact(), FIRM),
        ("contacts", a_contact(**{f"_parentcustomerid_value@{TYPE}": None}), FIRM),
        ("contacts", a_contact(**lookup("parentcustomerid", "contact", OTHER_CONTACT)), None),
        ("contacts", a_contact(merged=True, **lookup("masterid", "contact", OTHER_CONTACT)), FIRM),
        (
            "contacts",
            {"contactid": CONTACT, "lastname": "V", "merged": True, **lookup("masterid", "contact", OTHER_CONTACT)},
            OTHER_CONTACT,
        ),
        ("leads", {"leadid": CONTACT, "telephone1": "1"}, None),
        (
            "leads",
            {"leadid": CONTACT, "telephone1": "1", **lookup("parentcontactid", "contact", OTHER_CONTACT)},
            OTHER_CONTACT,
        ),
        (
            "leads",
            {"leadid": CONTACT, "telephone1": "1", **lookup("parentcontactid", "contact", OTHER_CONTACT),
             **lookup("parentaccountid", "account", FIRM)},
            FIRM,
        ),
    ],
)  # fmt: skip
def test_people_belong_to_their_account(tmp_path: Path, entity_set: str, record: Record, account: str | None) -> None:
    (found,) = rows(batches(answer(tmp_path, entity_set, record)), "contact")

    assert (found["contact_id"], found["account_id"]) == (CONTACT, account)


def test_what_was_merged_into_another_record_has_no_numbers_of_its_own(tmp_path: Path) -> None:
    contact = a_contact(merged=True, **lookup("masterid", "contact", OTHER_CONTACT))
    account = {"accountid": FIRM, "telephone1": "09 765 4321", "websiteurl": "https://customer.example", "merged": True}

    (someone,) = rows(batches(answer(tmp_path, "contacts", contact)), "contact")
    (firm,) = rows(batches(answer(tmp_path, "accounts", account)), "account")

    assert (someone["tokens"], firm["tokens"], firm["domains"]) == ([], [], [])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (USERS, MATTI),
        ({"systemuserid": USER, "domainname": MATTI}, MATTI),
        ({"systemuserid": USER, "domainname": "ACME\\m"}, None),
    ],
)
def test_a_user_is_known_by_the_address_or_by_a_name_that_is_one(
    tmp_path: Path, record: Record, expected: str | None
) -> None:
    (found,) = rows(batches(answer(tmp_path, "systemusers", record)), "crm_user")

    assert (found["user_id"], found["email_token"]) == (USER, address(expected) if expected else None)


def test_a_deletion_counts_as_late_as_it_was_noticed_even_when_nothing_else_is_left(tmp_path: Path) -> None:
    row = TABLES["phonecall.csv"][0]
    bare = {name: "" for name in row} | {
        "activityid": guid(9),
        "IsDelete": "True",
        "SinkModifiedOn": "2024-03-21T00:00:00Z",
    }
    path = table(tmp_path, "phonecall.csv", row | {"IsDelete": "True"}, bare)

    found = rows(batches(path), "activity")

    assert [(each["deleted"], each["updated_at"]) for each in found] == [
        (True, datetime(2024, 3, 20)),
        (True, datetime(2024, 3, 21)),
    ]


def test_a_version_that_the_warehouse_superseded_gives_nothing(tmp_path: Path) -> None:
    row = TABLES["phonecall.csv"][0]
    path = table(tmp_path, "phonecall.csv", row | {"_fivetran_active": "false"}, row | {"_fivetran_active": "true"})

    assert [found["raw_id"] for found in rows(batches(path), "activity")] == ["tried:phonecall.csv:3"]


def test_a_party_that_was_removed_ties_nobody(tmp_path: Path) -> None:
    path = table(tmp_path, "phonecall.csv", *TABLES["phonecall.csv"])
    table(tmp_path, "activityparty.csv", *(row | {"IsDelete": "True"} for row in TABLES["activityparty.csv"]))

    assert [found["contact_ids"] for found in rows(batches(path), "activity")] == [[]]


def test_without_parties_the_run_is_told_what_is_missing(tmp_path: Path) -> None:
    path = table(tmp_path, "phonecall.csv", *TABLES["phonecall.csv"])

    (remedy,) = warnings(batches(path))
    table(tmp_path, "activityparty.csv", *TABLES["activityparty.csv"])

    assert remedy == (
        "phonecall.csv: 1 of its 1 activities are regarding no customer, and nothing says who took part; put the table "
        "activityparty beside it, or ask the Web API to expand the parties, as in $expand=phonecall_activity_parties"
    )
    assert warnings(batches(path)) == []


def test_lookups_that_do_not_say_what_they_lead_to_are_customers_unless_they_are_owners(tmp_path: Path) -> None:
    typeless = a_call(CALL, party(1, None, USER), party(2, None, CONTACT))
    path = table(tmp_path, "phonecall.csv", *TABLES["phonecall.csv"])
    bare = [
        {name: value for name, value in row.items() if name != "partyobjecttypecode"}
        for row in TABLES["activityparty.csv"]
    ]
    table(tmp_path, "activityparty.csv", *bare)

    of_api = batches(answer(tmp_path, "phonecalls", typeless))
    of_table = batches(path)

    for read in (of_api, of_table):
        assert [row["contact_ids"] for row in rows(read, "activity")] == [[CONTACT]]
        assert any("2 lookups do not say what they lead to" in each for each in warnings(read))


def test_a_table_of_parties_that_breaks_off_is_reported(tmp_path: Path) -> None:
    parties = [
        {"activitypartyid": guid(number), "_activityid_value": CALL, **party(2, "contact", CONTACT)}
        for number in (1, 2)
    ]
    broken = answer(tmp_path, "activityparties", *parties)
    broken.write_bytes(broken.read_bytes()[:-120])

    read = batches(table(tmp_path, "phonecall.csv", *TABLES["phonecall.csv"]))

    assert [row["contact_ids"] for row in rows(read, "activity")] == [[CONTACT]]
    assert any("activityparties.json could not be read to its end" in each for each in warnings(read))


@pytest.mark.parametrize(
    ("entity_set", "record", "reason"),
    [
        ("phonecalls", a_call(activityid=None), "activityid: missing; every record of the table phonecall has one"),
        ("contacts", a_contact(contactid=""), "contactid: missing"),
        ("phonecalls", a_call(createdon="yesterday"), "createdon: expected a date and time"),
        ("phonecalls", a_call(createdon=None), "createdon: missing; nothing says when it was logged"),
        ("phonecalls", a_call(createdon="2027-01-01T00:00:00Z"), "dated in the future"),
        ("incidents", {"incidentid": CASE, "title": "secret"}, "createdon: missing; nothing says when the case"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_that_shows_nothing(
    tmp_path: Path, entity_set: str, record: Record, reason: str
) -> None:
    read = batches(answer(tmp_path, entity_set, {**record, "telephone1": NUMBER, "description": "secret"}))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (1, "record", False)
    assert not any(word in letter.raw_text for word in ("secret", "Secret Name", NUMBER[3:], MAIJA))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("activityparties", "who took part in activities; it is looked up"),
        ("opportunities", "it says nothing of interactions"),
    ],
)
def test_what_says_nothing_gives_nothing_but_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    path = answer(
        tmp_path,
        name,
        {"activityid": CALL, **party(2, "contact", CONTACT)} if "part" in name else {"opportunityid": CALL},
    )

    read = batches(path)

    assert recognised(path) == "dynamics"
    assert [kind for batch in read for kind in batch.facts] == []
    assert any(sentence in each for each in warnings(read))


def test_files_of_other_systems_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    for text in (
        b'{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": [{"id": "1"}]}',
        b'[{"activityid": "1", "phonenumber": "2"}]',
        b"activityid,phonenumber\n1,2\n",
        b"contactid,lastname\n1,V\n",
        b"a,b\n",
    ):
        path.write_bytes(text)
        assert SOURCE.recognise(Sample(path, text)) is None


def test_the_table_and_a_call_s_own_id_can_be_configured(tmp_path: Path) -> None:
    row = {"Phone Call": CALL, "createdon": "2024-03-04T09:12", "new_callid": "c-7"}
    path = table(tmp_path, "calls.csv", row)
    words = tmp_path / "words.csv"
    words.write_text("a,b\n1,2\n")

    (found,) = rows(
        batches(path, {"object": "phonecall"}, {"activityid": "Phone Call", "call_id": "new_callid"}), "activity"
    )

    assert (found["activity_id"], found["kind"], found["keys"], found["precision"]) == (CALL, "call", ["c-7"], "minute")
    with pytest.raises(ConfigurationError, match="cannot be told to hold a table of Dataverse"):
        batches(words)
    with pytest.raises(ConfigurationError, match="object is 'deal'; expected one of phonecall"):
        batches(words, {"object": "deal"})
    with pytest.raises(ConfigurationError, match=r"words\.csv: no column 'activityid'"):
        batches(words, {"object": "phonecall"})
    with pytest.raises(ConfigurationError, match="no field; did you mean 'call_id'"):
        batches(path, {"object": "phonecall"}, {"activityid": "Phone Call", "callid": "x"})


def test_a_lookup_may_be_mapped_as_the_web_api_writes_it(tmp_path: Path) -> None:
    record = a_call(CALL, party(1, "systemuser", USER), **lookup("new_customer", None, CONTACT))

    (found,) = rows(
        batches(answer(tmp_path, "phonecalls", record), mapping={"regardingobjectid": "_new_customer_value"}),
        "activity",
    )

    assert found["contact_ids"] == [CONTACT]


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = answer(tmp_path, "phonecalls", a_call(guid(1)), a_call(guid(2)))
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["activity_id"] for row in rows(found, "activity")] == [guid(1)]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "whole"
    folder.mkdir(exist_ok=True)
    two = (party(1, "contact", CONTACT), party(2, "contact", OTHER_CONTACT))
    wholes = [
        answer(folder, "phonecalls", a_call(), an_email(MAIL, *two), a_contact(), USERS),
        table(folder, "phonecall.csv", *TABLES["phonecall.csv"]),
    ]
    whole = data.draw(st.sampled_from(wholes))
    table(tmp_path, "activityparty.csv", *TABLES["activityparty.csv"])
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole.read_bytes(), data))

    parsing.assert_survives(SOURCE, path, ("contact", "account", "crm_user", "activity"))
