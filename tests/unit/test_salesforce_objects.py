"""Which object of Salesforce a table holds is told by its columns and ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.sources.reading import head
from pipeline.sources.registry import Recognition, Sample
from pipeline.sources.salesforce import SOURCE
from pipeline.sources.salesforce_dialect import full_id, is_record_id

SAMPLES = Path(os.environ.get("BYPASSFLOW_SAMPLES", Path(__file__).parents[3] / "shared" / "data"))


def recognised(text: str | bytes, name: str = "export.csv") -> Recognition | None:
    data = text.encode() if isinstance(text, str) else text
    return SOURCE.recognise(Sample(Path(name), data))


@pytest.mark.parametrize(
    ("prefix", "object_name"),
    [
        ("00T", "Task"),
        ("00U", "Event"),
        ("02s", "EmailMessage"),
        ("003", "Contact"),
        ("00Q", "Lead"),
        ("001", "Account"),
        ("500", "Case"),
        ("005", "User"),
    ],
)
def test_prefix_of_the_ids_tells_the_object_whatever_the_file_is_called(prefix: str, object_name: str) -> None:
    claim = recognised(f"Id,Name,CreatedDate\n{full_id(prefix + '8a00000abCD0')},x,\n", "Opportunity.csv")

    assert claim is not None
    assert f"Salesforce {object_name}:" in claim.evidence
    assert claim.confidence >= 0.7


@pytest.mark.parametrize(
    ("header", "object_name"),
    [
        ("Id,WhoId,WhatId,Subject,ActivityDate,TaskSubtype,CallType,CallObject", "Task"),
        ("ID,WHOID,WHATID,SUBJECT,ACTIVITYDATE,CALLDURATIONINSECONDS,COMPLETEDDATETIME", "Task"),
        ("id,who_id,subject,activity_date_time,event_subtype,is_all_day_event,duration_in_minutes", "Event"),
        ("Guid,FromAddress,ToAddress,MessageIdentifier,ThreadIdentifier,Incoming,Status", "EmailMessage"),
        ("Guid,EmailMessageId,RelationAddress,RelationType", "EmailMessageRelation"),
        ("Guid,AccountId,AssistantPhone,Email,Fax,LastName,MailingCity,MobilePhone,OtherPhone,Phone", "Contact"),
        ("Id,LastName,Company,IsConverted,ConvertedAccountId,Phone,Email", "Lead"),
        ("Id,Name,BillingCity,ShippingCity,Industry,Website,Phone", "Account"),
        ("Id,CaseNumber,ContactId,SuppliedEmail,Origin,Status", "Case"),
        ("Id,Username,Email,ProfileId,UserRoleId,TimeZoneSidKey", "User"),
    ],
)
def test_header_alone_tells_the_object(header: str, object_name: str) -> None:
    claim = recognised(header + "\n")

    assert claim is not None
    assert f"Salesforce {object_name}:" in claim.evidence


def test_table_of_another_object_is_recognised_as_one_that_is_only_counted() -> None:
    claim = recognised(f'"Id","Name","StageName","SystemModstamp","CreatedById"\n"{full_id("0068a00000Oooo1")}"\n')

    assert claim is not None
    assert "only counted" in claim.evidence


def test_relation_of_emails_with_ids_is_not_taken_for_an_unknown_object() -> None:
    relation = full_id("0Bz8a000000abcD")
    claim = recognised(f"Id,EmailMessageId,RelationId,RelationType\n{relation},,,\n")

    assert claim is not None
    assert "EmailMessageRelation" in claim.evidence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "Id\n",
        "id,name,created_at,updated_at,email,phone,time_zone\n376144,Mia,2020-03-05,2020-03-05,m@x.example,,Oslo\n",
        "id,property_name,property_createdate,property_phone\n12345678901,Oy,2021-01-01,\n",
        "First Name,Last Name,Company,Job Title,Business Phone,Mobile Phone,E-mail Address\nMaija,V,Oy,,,,\n",
        "Company,FirstName,LastName,Email,Phone,MobilePhone,HomePhone,Title\nOy,M,V,,,,,\n",
        "activityid,subject,directioncode,phonenumber,actualstart,regardingobjectid,ownerid\nabc,x,true,,,,\n",
        'sid,from,to,start_time,status\nCA123,"+1",+2,2022-07-25 16:37:07,completed\n',
        "id,number,duration\n500123456789012,201,10\n",
        '"","0405551234","201","from-trunk","""Maija"" <0405551234>","PJSIP/trunk-1","PJSIP/201-2","Dial","",,,,5\n',
        "\x00\x01\x02\xff\n",
    ],
)
def test_tables_of_other_systems_are_not_claimed(text: str) -> None:
    assert recognised(text) is None


def test_directory_is_not_claimed() -> None:
    assert SOURCE.recognise(Sample(Path("export"), b"", is_directory=True, entries=("Task.csv",))) is None


def test_semicolons_of_a_spreadsheet_do_not_hide_the_columns() -> None:
    claim = recognised("Id;WhoId;WhatId;Subject;TaskSubtype;CallType;CallObject\n")

    assert claim is not None
    assert "Salesforce Task" in claim.evidence


def test_checksum_tells_an_id_from_any_other_text() -> None:
    good = full_id("00T8a00000Aaaa1")

    assert (is_record_id(good), is_record_id(good[:-1] + "Z"), is_record_id("00T8a00000Aaaa"), is_record_id("")) == (
        True,
        False,
        False,
        False,
    )


@pytest.mark.skipif(not (SAMPLES / "salesforce_warehouse").is_dir(), reason="the shared samples are not here")
def test_every_shared_sample_is_recognised_and_no_other_system_s() -> None:
    claims = {
        path: SOURCE.recognise(Sample(path, head(path))) for path in sorted(SAMPLES.glob("*/*")) if path.is_file()
    }

    expected = {path for path in claims if path.parent.name == "salesforce_warehouse"}
    assert {path for path, claim in claims.items() if claim} == expected
    assert len(expected) >= 7
