"""Specification of what a message's header says, on headers as people's programs write and break them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.sources import message_headers as module
from pipeline.sources.message_headers import (
    addresses_of,
    decode_words,
    header_fields,
    instant_of,
    is_automated,
    is_bulk,
    masked_key,
    message_key,
    read_addresses,
    read_date,
    received_instants,
    second_key,
    subject_core,
    text_of,
)

# Identity


@pytest.mark.parametrize(
    "written",
    [
        "<1275447987.2063.842@pony.example>",
        "1275447987.2063.842@pony.example",
        "  <1275447987.2063.842@pony.example>\r\n",
        "\r\n <1275447987.2063.842@pony.example>",
        "<<1275447987.2063.842@pony.example>>",
        "<1275447987.2063.842@pony.example> (added by the server)",
        "<1275447987.2063\r\n .842@pony.example>",
    ],
)
def test_a_message_id_has_one_form_however_it_is_written(written: str) -> None:
    assert message_key(written) == "1275447987.2063.842@pony.example"


def test_the_case_of_a_message_id_is_kept() -> None:
    assert message_key("<CAEsy@Mail.Example>") == "CAEsy@Mail.Example"


@pytest.mark.parametrize("written", ["", " ", "<>", "< >", "\r\n"])
def test_an_empty_message_id_has_no_key(written: str) -> None:
    assert message_key(written) == ""


@pytest.mark.parametrize(
    "revealing",
    [
        "<maija@example.com@mail.example>",
        "<maija%40example.com.1234@mail.example>",
        "<20260301.maija=40example.com@mail.example>",
        "<bounce-17-maija.virtanen=example.com@lists.example>",
        "<NDBBJKHFMCPOHBAGNOKPAEGDCAAA.maija@example.com>",
        "<maija.virtanen@example.com>",
        "<maija_virtanen@example.com>",
    ],
)
def test_a_message_id_that_looks_like_an_address_is_hashed_whoever_reads_it(revealing: str) -> None:
    key = message_key(revealing)

    assert key.startswith("x:")
    assert len(key) == 26
    assert "maija" not in key
    assert message_key(revealing.strip("<>")) == key
    assert message_key(key) == key


@pytest.mark.parametrize(
    "plain",
    [
        "CAEAsyCbSF1Bk7CBuu6zp3Qs8=j2iUkNi3dPkGe6z40q4dmaogQ@mail.example.com",
        "d3de01cd60c6$1491c120$a8557053@admin",
        "18782981.1075855378110.JavaMail.evans@thyme",
        "b1c8f711-0d9d-43e1-8f83-eb3084e2587e@VANILLA.corp.example.net",
        "AM0PR01MB1234ABCD@AM0PR01MB1234.eurprd01.prod.example.com",
        "only-a-word",
    ],
)
def test_a_message_id_that_names_nobody_stays_in_clear(plain: str) -> None:
    assert message_key(f"<{plain}>") == plain


def test_a_message_id_that_is_one_of_the_messages_own_addresses_is_hashed() -> None:
    assert message_key("<maija@example.com>", ["maija@example.com"]).startswith("x:")
    assert message_key("<77.Maija@Example.com>", ["maija@example.com"]).startswith("x:")


@pytest.mark.parametrize("message_id", ["<20260301.77@mail.example>", "<77.maija@example.com>", "<maija@a.fi@host>"])
def test_a_crm_that_knows_an_email_by_its_id_alone_meets_it_whatever_mailboxes_see_in_it(message_id: str) -> None:
    alone = masked_key(message_id)

    assert alone.startswith("x:")
    assert alone == masked_key(message_key(message_id)) == masked_key(message_key(message_id, ["maija@example.com"]))


def test_nothing_is_masked_where_there_is_no_message_id() -> None:
    assert (masked_key(""), masked_key(" <> ")) == ("", "")


def test_an_address_that_is_only_part_of_a_longer_word_reveals_nothing() -> None:
    assert message_key("<m1@example.com>", ["1@example.com", "m1@example.co"]) == "m1@example.com"


def test_an_endless_message_id_is_hashed() -> None:
    assert len(message_key("<" + "7" * 100_000 + "@example.com>")) == 26


@pytest.mark.parametrize(
    "subject",
    [
        b" Tarjous p\xc3\xa4iv\xc3\xa4lle",
        b"Re: Tarjous p\xc3\xa4iv\xc3\xa4lle",
        b"RE: VS: Tarjous  p\xc3\xa4iv\xc3\xa4lle ",
        b"Vl: SV: Re[3]: Tarjous p\xc3\xa4iv\xc3\xa4lle",
        b"FW:FWD: AW : WG: TR: RV: Tarjous p\xc3\xa4iv\xc3\xa4lle",
        b"=?utf-8?q?Re=3A_Tarjous_p=C3=A4iv=C3=A4lle?=",
        b"Re: =?iso-8859-1?Q?Tarjous_p=E4iv=E4lle?=",
        b"=?utf-8?b?VGFyam91cw==?=\r\n =?utf-8?q?_p=C3=A4iv=C3=A4lle?=",
        b"Tarjous p\xe4iv\xe4lle",
        b"Tarjous\r\n\tpa\xcc\x88iva\xcc\x88lle",
    ],
)
def test_a_subject_is_the_same_with_reply_prefixes_and_in_every_encoding(subject: bytes) -> None:
    assert subject_core(subject) == "Tarjous päivälle"


@pytest.mark.parametrize("subject", [b"Regarding: x", b"Review", b"Vsop: x", b"Reply", b"[Re: x]"])
def test_words_that_only_begin_like_a_prefix_stay(subject: bytes) -> None:
    assert subject_core(subject) == subject.decode()


@pytest.mark.parametrize(
    "broken", ["=?utf-8?q?", "=?nonsense?b?AAAA?=", "=?utf-8?b?A?=", "=?utf-7?q?+AA?=", "=?idna?q?xn--a?=", "=?"]
)
def test_words_that_only_look_encoded_are_no_error(broken: str) -> None:
    assert isinstance(decode_words(broken), str)


def test_the_second_key_ignores_order_and_repetition_of_recipients() -> None:
    key = second_key("a@a.example", ["c@c.example", "b@b.example"], "Hei", 1_700_000_000)

    assert key == second_key("a@a.example", ["b@b.example", "c@c.example", "b@b.example"], "Hei", 1_700_000_000)
    assert key.startswith("h:")
    assert len(key) == 66


def test_the_second_key_tells_messages_apart_by_each_of_its_parts() -> None:
    keys = {
        second_key("a@a.example", ["b@b.example"], "Hei", 1_700_000_000),
        second_key("x@a.example", ["b@b.example"], "Hei", 1_700_000_000),
        second_key("a@a.example", ["x@b.example"], "Hei", 1_700_000_000),
        second_key("a@a.example", ["b@b.example"], "Moi", 1_700_000_000),
        second_key("a@a.example", ["b@b.example"], "Hei", 1_700_000_001),
    }

    assert len(keys) == 5


# Addresses


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("maija@example.com", ["maija@example.com"]),
        (" Maija Virtanen <Maija.Virtanen@Example.COM>\r", ["maija.virtanen@example.com"]),
        ('"Virtanen, Maija" <maija@example.com>', ["maija@example.com"]),
        ("a@a.example,b@b.example , c@c.example", ["a@a.example", "b@b.example", "c@c.example"]),
        ("a@a.example; b@b.example", ["a@a.example", "b@b.example"]),
        ("A <a@a.example>,\r\n\tB <b@b.example>", ["a@a.example", "b@b.example"]),
        ("a@a.example, A <A@a.example>", ["a@a.example"]),
        ("maija@example.com (Maija Virtanen)", ["maija@example.com"]),
        ("maija(at work)@example.com", ["maija@example.com"]),
        ("Team: a@a.example, B <b@b.example>;, c@c.example", ["a@a.example", "b@b.example", "c@c.example"]),
        ("undisclosed-recipients:;", []),
        ("Undisclosed recipients", []),
        ("<@relay.example,@other.example:maija@example.com>", ["maija@example.com"]),
        ('"maija"@example.com', ["maija@example.com"]),
        ('"maija virtanen"@example.com', ["maija virtanen@example.com"]),
        ("'maija@example.com'", ["maija@example.com"]),
        ("<'maija@example.com'>", ["maija@example.com"]),
        ("\"'maija@example.com'\" <maija@example.com>", ["maija@example.com"]),
        ("maija@example.com <maija@example.com>", ["maija@example.com"]),
        ("<mailto:maija@example.com>", ["maija@example.com"]),
        ("maija@bücher.example", ["maija@bücher.example"]),
        ("mäijä@example.com", ["mäijä@example.com"]),
        ("=?utf-8?q?Virtanen=2C_Maija?= <maija@example.com>", ["maija@example.com"]),
        ("=?utf-8?b?TWFpamEgPG1haWphQGV4YW1wbGUuY29tPg==?=", ["maija@example.com"]),
        ("/O=FIRM/OU=FIRST/CN=RECIPIENTS/CN=MAIJA", []),
        ("/O=FIRM/OU=FIRST/CN=MAIJA@example.com", []),
        ("Maija <maija@example.com", ["maija@example.com"]),
        ('"Maija <maija@example.com>, b@b.example', ["maija@example.com", "b@b.example"]),
        ("a@a.example b@b.example", ["a@a.example", "b@b.example"]),
        ("<a@a.example> <b@b.example>", ["a@a.example", "b@b.example"]),
        ("<a@a.example>, , ,<b@b.example>,", ["a@a.example", "b@b.example"]),
        ("maija@example.com\0", ["maija@example.com"]),
        ("(" * 5_000 + "maija@example.com", ["maija@example.com"]),
        ("MAILER-DAEMON", []),
        ("@", []),
        ("<>", []),
        ("", []),
    ],
)
def test_addresses_are_found_in_every_form_of_a_header(written: str, expected: list[str]) -> None:
    assert addresses_of(written.encode()) == tuple(expected)


def test_an_address_in_no_known_encoding_is_read_as_latin_1() -> None:
    assert addresses_of(b"P\xe4ivi <paivi@example.com>, p\xe4ivi@example.com") == (
        "paivi@example.com",
        "päivi@example.com",
    )


_NAMES = st.one_of(
    st.just(""),
    st.text("abcÄ=?_-. '", min_size=1, max_size=12).map(lambda name: name + " "),
    st.text("abc,;:() ä.", max_size=12).map(lambda name: f'"{name}" '),
)
_LOCALS = st.text("abcXYZ019._+-='!#/", min_size=1, max_size=10)
_HOSTS = st.lists(st.text("abcX019-", min_size=1, max_size=5), min_size=1, max_size=3).map(".".join)
_MEMBERS = st.one_of(
    st.builds("{}@{}".format, _LOCALS, _HOSTS),
    st.builds("{}<{}@{}>".format, _NAMES, _LOCALS, _HOSTS),
)


@settings(max_examples=500)
@given(st.lists(_MEMBERS, min_size=1, max_size=4), st.sampled_from([",", ", ", " , ", ",\r\n\t"]))
def test_the_short_way_through_plain_addresses_equals_the_standard_library(members: list[str], comma: str) -> None:
    raw = comma.join(members).encode()

    assert addresses_of(raw) == tuple(dict.fromkeys(read_addresses(text_of(raw))))


@settings(max_examples=500)
@given(st.text("ab1.@<>\", \t()':;\\[]=?_-é", max_size=24))
def test_the_short_way_is_only_taken_where_it_equals_the_standard_library(text: str) -> None:
    raw = text.encode()

    assert addresses_of(raw) == tuple(dict.fromkeys(read_addresses(text_of(raw))))


# Dates


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Fri, 05 Jul 2013 23:24:28 +0300", "2013-07-05 20:24:28"),
        (" Fri, 5 Jul 2013 23:24:28 -0700 (PDT)\r\n", "2013-07-06 06:24:28"),
        ("5 Jul 2013 23:24 +0000", "2013-07-05 23:24:00"),
        ("Fri, 5 Jul 2013 23:24:28 -0000", "2013-07-05 23:24:28"),
        ("Fri, 5 Jul 2013 23:24:28", "2013-07-05 23:24:28"),
        ("Fri, 5 Jul 2013 23:24:28 GMT", "2013-07-05 23:24:28"),
        ("Fri, 5 Jul 2013 10:47:34 EST", "2013-07-05 15:47:34"),
        ("Fri, 5 Jul 2013 10:47:34 EEST", "2013-07-05 07:47:34"),
        ("Fri, 5 Jul 2013 10:47:34 (EET)", "2013-07-05 08:47:34"),
        ("Fri, 5 Jul 2013 10:47:34 GMT+0300", "2013-07-05 07:47:34"),
        ("Fri, 5 Jul 2013 10:47:34 +0000 (EET)", "2013-07-05 10:47:34"),
        ("Fri, 5 Jul 2013 10:47:34 Q", "2013-07-05 10:47:34"),
        ("Wed, 20 Sep 1995 00:19:00 (EDT) -0400", "1995-09-20 04:19:00"),
        ("Mon Feb  8 02:53:47 PST 1993", "1993-02-08 10:53:47"),
        ("Friday, 05-Jul-13 10:47:34 GMT", "2013-07-05 10:47:34"),
        ("Fri, 1 Jan 10 10:00:00 CEST", "2010-01-01 08:00:00"),
        ("1 Jan 99 10:00:00 +0000", "1999-01-01 10:00:00"),
        ("1 Jan 102 10:00:00 +0000", "2002-01-01 10:00:00"),
        ("Tue, 5 Jun 0001 10:00:00 -0700", "2001-06-05 17:00:00"),
        ("Fri, 5 Jul 2013 10:47:34 PM -0700", "2013-07-06 05:47:34"),
        ("Fri, 5 Jul 2013 10.47.34 -0700", "2013-07-05 17:47:34"),
        ("Fri, 05 Jul 2013 10:47:60 +0000", "2013-07-05 10:47:59"),
        ("Thu, 01 Jan 2015 10:00:00 +9999", "2015-01-01 10:00:00"),
        ("2013-07-05T10:00:00Z", "2013-07-05 10:00:00"),
        ("2013-07-05 10:00:00+03:00", "2013-07-05 07:00:00"),
    ],
)
def test_dates_of_all_times_and_programs_are_read(written: str, expected: str) -> None:
    instant = instant_of(written.encode())

    assert instant is not None
    assert f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M:%S}" == expected


@pytest.mark.parametrize(
    "written",
    ["", "yesterday", "Mon, 31 Feb 2010 10:00:00 +0000", "Thu, 1 Jan 1970 00:00:00 +0000", "1 Jan 2010 25:00:00", "\0"],
)
def test_what_is_no_date_is_none(written: str) -> None:
    assert instant_of(written.encode()) is None


def test_a_date_without_a_zone_is_in_the_zone_that_is_given() -> None:
    assert read_date("Tue Jul  7 22:47:39 2009", ZoneInfo("Europe/Helsinki")) == read_date(
        "Tue, 7 Jul 2009 22:47:39 +0300"
    )


_MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2068, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(_MOMENTS, _OFFSETS)
def test_a_date_as_the_standard_library_writes_it_is_read_back(moment: datetime, zone: timezone) -> None:
    moment = moment.replace(tzinfo=zone)

    assert instant_of(format_datetime(moment).encode()) == int(moment.timestamp())


@settings(max_examples=500)
@given(
    st.from_regex(
        r"\A *([A-Z][a-z]{2},)? ?[0-3]?\d (Jan|feb|MAR|Dec|Xyz) (19[6-9]\d|20\d\d) [0-2]\d:[0-6]\d:[0-6]\d "
        r"[+-][01]\d[0-7]\d( \([A-Za-z]*\))? *\Z"
    )
)
@example("Thu, 31 Dec 1970 23:00:00 -0200")
@example("Fri, 1 Jan 1971 00:00:00 +0200")
def test_the_short_way_through_plain_dates_equals_the_long_one(text: str) -> None:
    assert instant_of(text.encode()) == read_date(text_of(text.encode()))


def test_received_headers_tell_the_first_server_first() -> None:
    block = (
        b"Received: from b by c; Fri, 05 Jul 2013 10:00:02 +0000\n"
        b"Received: without a date\n"
        b"Received: from a by b with ESMTP\n\tfor <x@example.com>;\n\tFri, 05 Jul 2013 10:00:00 +0000\n"
    )

    first, second = received_instants(block)

    assert second - first == 2


# Fields


def test_fields_are_found_folded_and_in_any_case_and_nothing_else_is() -> None:
    fields = header_fields(
        b"FROM : a@a.example\r\nX-From: x\r\nsubject:Hei\r\n  vaan\r\n\tTo: no\r\nTo:\r\n b@b.example"
    )

    assert {name: text_of(value) for name, value in fields.items()} == {
        b"from": "a@a.example",
        b"subject": "Hei vaan To: no",
        b"to": "b@b.example",
    }


def test_recipients_of_repeated_headers_are_joined_and_the_first_of_other_headers_counts() -> None:
    fields = header_fields(b"To: a@a.example\nFrom: x@x.example\nTo: b@b.example\nFrom: y@y.example\n")

    assert addresses_of(fields[b"to"]) == ("a@a.example", "b@b.example")
    assert addresses_of(fields[b"from"]) == ("x@x.example",)


def test_all_headers_of_delivery_are_one_role() -> None:
    fields = header_fields(
        b"Delivered-To: a@a.example\nX-Original-To: b@b.example\nEnvelope-To: c@c.example\nDelivered-To: a@a.example\n"
    )

    assert addresses_of(fields[b"delivered"]) == ("a@a.example", "b@b.example", "c@c.example")


def test_every_field_that_matters_survives_the_early_passing_over() -> None:
    names = [name.decode() for name in module._KNOWN | module._DELIVERED]
    for spelling in (str.lower, str.upper, str.title, str.capitalize):
        block = "".join(f"{spelling(name)}: 1@a.example\n" for name in names).encode()
        assert header_fields(block).keys() == module._KNOWN | {b"delivered"}


def test_text_between_headers_is_passed_over() -> None:
    fields = header_fields(
        b"   \r\n1234\r\nFrom: a@a.example\r\n>From b@b.example Mon\r\nrubbish\r\nTo: c@c.example\r\n"
    )

    assert fields.keys() == {b"from", b"to"}


# Machines and lists


@pytest.mark.parametrize(
    "header",
    [
        b"Auto-Submitted: auto-generated",
        b"Auto-Submitted: auto-replied (vacation)",
        b"auto-submitted: Auto-Notified; owner-email=x",
        b"X-Autoreply: yes",
        b"X-Autorespond: Lomalla",
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=x",
        b'Content-Type: MULTIPART/REPORT; boundary=x;\r\n REPORT-TYPE="disposition-notification"',
        b"Content-Type: multipart/report; boundary=x",
        b"Content-Type: message/delivery-status",
        b"Return-Path: <>",
        b"X-Envelope-From: <>",
    ],
)
def test_a_message_of_a_machine_is_automated(header: bytes) -> None:
    assert is_automated(header_fields(header))


@pytest.mark.parametrize(
    "header",
    [
        b"Auto-Submitted: no",
        b"Auto-Submitted: No (really)",
        b"Auto-Submitted:",
        b"X-Auto-Response-Suppress: All",
        b"Content-Type: multipart/report; report-type=feedback-report",
        b"Content-Type: multipart/mixed; boundary=report",
        b"Return-Path: <a@a.example>",
        b"Precedence: bulk",
    ],
)
def test_a_message_of_a_person_is_not_automated(header: bytes) -> None:
    assert not is_automated(header_fields(header))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"List-Id: News <news.example.com>", True),
        (b"Precedence: Bulk", True),
        (b"Precedence: list", True),
        (b"Precedence: junk", True),
        (b"Precedence: first-class", False),
        (b"List-Id:", False),
        (b"List-Unsubscribe: <mailto:leave@example.com>", False),
    ],
)
def test_a_message_to_a_list_is_bulk(header: bytes, expected: bool) -> None:
    assert is_bulk(header_fields(header)) is expected


_PIECES = b'From To Date Subject Message-ID Received : < > @ a =?utf-8?q? ?= ( ) " , ; -0700 2013 Jul'.split()
_BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([*_PIECES, b" ", b"\n", b"\r\n", b"\t", b"\0", b"\xff"]), max_size=60).map(b"".join),
)


@settings(max_examples=500)
@given(_BYTES)
def test_nothing_in_a_header_is_an_error(block: bytes) -> None:
    fields = header_fields(block)
    for value in [block, *fields.values()]:
        addresses = addresses_of(value)
        assert all("@" in address for address in addresses)
        instant_of(value)
        subject_core(value)
        message_key(value.decode("latin-1"), addresses)
    received_instants(block)
    is_automated(fields)
    is_bulk(fields)
