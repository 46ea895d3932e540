"""What is kept of messages that mail servers pass on: headers, and recipients whom only the envelope names."""

from __future__ import annotations

import base64
import time

import pytest

from pipeline import journaled
from pipeline.journaled import PassedOn, delivered
from pipeline.sources.mbox_stream import HEADER_LIMIT

HEADER = b"From: Maija <maija@customer.fi>\nTo: sales@acme.fi\nSubject: Offer\nDate: Mon, 4 Mar 2024 09:00:00 +0200\n"
REPORT = """\
From: <journaling@acme.fi>
To: journal@bypassflow.acme.fi
Date: Mon, 4 Mar 2024 09:00:05 +0200
X-MS-Journal-Report:
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="part"

This is a multipart message.
--part
Content-Type: text/plain; charset="utf-8"
{encoding}
{text}
--part
Content-Type: message/rfc822
{packed}
{message}
--part--
"""
TEXT = """\
Sender: maija@customer.fi
Subject: Offer
Message-Id: <1@customer.fi>
To: anna@acme.fi, Expanded: sales@acme.fi
Cc: eero@acme.fi
Bcc: hidden@partner.fi
Recipient: other@partner.fi, Forwarded: eero@acme.fi
"""
MESSAGE = HEADER.decode() + "Cc: Eero <eero@acme.fi>\nMessage-ID: <1@customer.fi>\n\nTo: not@a.header\nA secret body\n"


def report(text: str = TEXT, message: str = MESSAGE, encoding: str = "", packed: str = "") -> bytes:
    return REPORT.format(text=text, message=message, encoding=encoding, packed=packed).replace("\n", "\r\n").encode()


def passed_on(content: bytes, piece: int = 0, *, may_report: bool = True) -> PassedOn:
    found = PassedOn(may_report=may_report)
    for line in content.splitlines(keepends=True):
        for start in range(0, len(line), piece or len(line)):
            found.add(line[start : start + (piece or len(line))])
    return found


def test_a_copy_is_its_header_and_nothing_of_its_body() -> None:
    found = passed_on(HEADER + b"\nTo: not@a.header\nA secret body\n")
    assert found.has_enough
    assert found.header(["sales@acme.fi"]) == HEADER


def test_recipients_whom_the_header_does_not_name_are_blind_copies_in_one_order_without_our_own_address() -> None:
    envelope = ["zoe@partner.fi", "SALES@acme.fi", "<hidden@partner.fi>", "Journal@bypassflow.acme.fi"]
    for order in (envelope, envelope[::-1]):
        assert passed_on(HEADER).header(order, ["journal@bypassflow.acme.fi"]) == (
            HEADER + b"Bcc: hidden@partner.fi,\n zoe@partner.fi\n"
        )


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_report_is_the_message_in_it_with_the_recipients_that_it_names(is_packed: bool) -> None:
    text = base64.encodebytes(TEXT.encode()).decode() if is_packed else TEXT
    content = report(text, encoding="Content-Transfer-Encoding: base64\n" if is_packed else "")
    header = passed_on(content).header(["journal@bypassflow.acme.fi"], [])
    assert header == (
        HEADER
        + b"Cc: Eero <eero@acme.fi>\nMessage-ID: <1@customer.fi>\n"
        + b"Bcc: anna@acme.fi,\n hidden@partner.fi,\n other@partner.fi\n"
    )


@pytest.mark.parametrize(
    "content",
    [report(packed="Content-Transfer-Encoding: base64\n"), report().partition(b"--part\r\nContent-Type: message")[0]],
)
def test_a_report_without_a_readable_message_tells_itself_who_wrote_to_whom(content: bytes) -> None:
    header = passed_on(content).header()
    assert b"From: maija@customer.fi\n" in header
    assert b"Message-ID: <1@customer.fi>\n" in header
    assert b"Date: Mon, 4 Mar 2024 09:00:05 +0200\n" in header
    assert b"journaling@acme.fi" not in header


def test_a_message_that_only_looks_like_a_report_is_one_like_all_others() -> None:
    header = b"X-MS-Journal-Report:\n" + HEADER
    assert passed_on(header + b"\n" + report()).header() == header
    strangers = passed_on(report(), may_report=False).header()
    assert strangers.startswith(b"From: <journaling@acme.fi>\n")
    assert b"maija" not in strangers


def test_a_hostile_report_takes_no_longer_than_a_long_one() -> None:
    begun = time.process_time()
    types = b"Content-Type: multipart/mixed\n" * 8_000
    passed_on(b"X-MS-Journal-Report:\n" + types + b"\n").header()
    passed_on(report("Sender:" + " " * 500_000 + "x\n" + "To:" + " ," * 200_000 + "\n")).header()
    assert time.process_time() - begun < 5


def test_long_lines_may_come_in_pieces() -> None:
    content = report().replace(b"\r\n", b"\n")
    assert passed_on(content, 40).header() == passed_on(content).header() == passed_on(report()).header()


def test_memory_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(passed_on(HEADER + b"X-Long: " + b"a" * 2 * HEADER_LIMIT + b"\n\n", 60_000).header()) <= HEADER_LIMIT
    monkeypatch.setattr(journaled, "REPORT_LIMIT", 1_000)
    long = report(TEXT + "To: someone@partner.fi\n" * 1_000)
    assert b"Subject: Offer" in passed_on(long).header()
    many = [f"person{number}@partner.fi" for number in range(50_000)]
    assert len(passed_on(HEADER).header(many)) <= HEADER_LIMIT


def test_mail_in_a_mailbox_was_delivered_to_it_unless_it_sent_it() -> None:
    assert delivered(HEADER + b"\r\n", "anna@acme.fi") == HEADER + b"Delivered-To: anna@acme.fi\n"
    for mailbox in ("sales@acme.fi", "maija@customer.fi", None):
        assert delivered(HEADER.replace(b"\n", b"\r\n") + b"\r\n", mailbox) == HEADER
