"""Specification of the mail sources: every message one observation or one dead letter, copies that meet, no leaks."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources import mailbox as module
from pipeline.sources.mailbox import SOURCES, EmlSource, MaildirSource, MboxSource
from pipeline.sources.mbox_stream import HEADER_LIMIT
from pipeline.sources.message_headers import masked_key
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, DeadLetter, ReadContext, Sample, Source
from schemas.facts import OBSERVATION

SAMPLES = Path(os.environ.get("BYPASSFLOW_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "eml"
ENVELOPE = "From maija@example.com Mon Mar  2 09:00:00 2026\n"
IDENTIFIERS = Identifiers(b"a key of the tests, thirty bytes")

PLAIN = """\
Message-ID: <20260302.1@mail.example>
Date: Mon, 2 Mar 2026 09:00:00 +0200
From: Maija Virtanen <maija@firm.example>
To: Sales <sales@ours.example>
Subject: Tarjous

Hei!
"""


def make_context(file: str = "mail", source: str = "mail") -> ReadContext:
    return ReadContext(
        source=source,
        file=file,
        zone=ZoneInfo("Europe/Helsinki"),
        identifiers=IDENTIFIERS,
        read_at=datetime(2026, 11, 1, tzinfo=UTC),
    )


def token(address: str) -> str | None:
    return IDENTIFIERS.email(address).token


def domain(address: str) -> str | None:
    return IDENTIFIERS.email(address).domain


def read(source: Source, path: Path, context: ReadContext | None = None) -> Batch:
    """Return everything in a path as one batch, after checking that the accounts add up."""
    batches = list(source.read(path, context or make_context()))
    for batch in batches:
        assert batch.record_count == batch.facts["observation"].num_rows + len(batch.dead_letters)
        assert batch.facts["observation"].schema.equals(OBSERVATION)
        batch.facts["observation"].validate(full=True)
    return Batch(
        facts={
            "observation": pa.concat_tables([OBSERVATION.empty_table(), *(b.facts["observation"] for b in batches)])
        },
        record_count=sum(batch.record_count for batch in batches),
        byte_count=sum(batch.byte_count for batch in batches),
        dead_letters=[letter for batch in batches for letter in batch.dead_letters],
        warnings=[warning for batch in batches for warning in batch.warnings],
    )


def rows(batch: Batch) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = batch.facts["observation"].to_pylist()
    return result


def read_until_error(stream: Iterator[Batch]) -> tuple[list[Batch], InvalidRecord | None]:
    """Return the batches and the error that ended them."""
    batches: list[Batch] = []
    try:
        for batch in stream:
            batches.append(batch)
    except InvalidRecord as error:
        return batches, error
    return batches, None


def put(path: Path, *messages: str | bytes) -> Path:
    """Write messages to a file as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(m if isinstance(m, bytes) else m.encode() for m in messages))
    return path


def one(tmp_path: Path, text: str | bytes) -> dict[str, Any]:
    """Return the observation that one message becomes."""
    (row,) = rows(read(EmlSource(), put(tmp_path / "one.eml", text)))
    return row


def refusal(tmp_path: Path, text: str | bytes) -> DeadLetter:
    """Return the dead letter that one message becomes."""
    (letter,) = read(EmlSource(), put(tmp_path / "one.eml", text)).dead_letters
    return letter


def sample(path: Path) -> Sample:
    if path.is_dir():
        return Sample(path, b"", True, sorted(entry.name for entry in path.iterdir())[:100])
    return Sample(path, head(path))


def claims(path: Path) -> list[str]:
    """Return the names of the sources that claim a path, the surest first."""
    found = [(source.recognise(sample(path)), source.name) for source in SOURCES]
    return [name for claim, name in sorted((-claim.confidence, name) for claim, name in found if claim)]


# One message


def test_a_message_becomes_one_observation(tmp_path: Path) -> None:
    path = put(tmp_path / "in.mbox", ENVELOPE, PLAIN)

    (row,) = rows(read(MboxSource(), path, make_context("in.mbox")))

    second_key = row["other_keys"][0]
    assert second_key.startswith("h:")
    assert {name: value for name, value in row.items() if value is not None} == {
        "raw_id": "mail:in.mbox:0",
        "source": "mail",
        "record_digest": row["record_digest"],
        "channel": "email",
        "started_at": datetime(2026, 3, 2, 7, 0),
        "ended_at": datetime(2026, 3, 2, 7, 0),
        "talk_seconds": 0.0,
        "talk_basis": 0,
        "key": "m:20260302.1@mail.example",
        "other_keys": [second_key],
        "event_id": "20260302.1@mail.example",
        "session_id": masked_key("20260302.1@mail.example"),
        "from_token": token("maija@firm.example"),
        "from_domain": domain("maija@firm.example"),
        "parties": [{"role": "to", "token": token("sales@ours.example"), "domain": domain("sales@ours.example")}],
        "automated": False,
        "bulk": False,
        "emergency": False,
    }


def test_recipients_come_in_the_order_to_cc_bcc_delivered_with_their_domains(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        "Delivered-To: box@ours.example\nBcc: d@gmail.com\nCC: c@firm.example, Team: e@firm.example;\n"
        "From: x@firm.example\nTo: b@firm.example,\n a@firm.example\nDate: Mon, 2 Mar 2026 09:00:00 +0200\n\n",
    )

    expected = [
        ("to", "b@firm.example"),
        ("to", "a@firm.example"),
        ("cc", "c@firm.example"),
        ("cc", "e@firm.example"),
        ("bcc", "d@gmail.com"),
        ("delivered", "box@ours.example"),
    ]
    assert row["parties"] == [
        {"role": role, "token": token(address), "domain": domain(address)} for role, address in expected
    ]
    assert row["parties"][4]["domain"] is None


def test_a_sender_is_looked_for_in_from_then_sender_then_return_path(tmp_path: Path) -> None:
    date = "Date: Mon, 2 Mar 2026 09:00:00 +0200\nTo: b@ours.example\n"

    assert one(tmp_path, date + "Sender: s@x.example\nFrom: f@x.example\n")["from_token"] == token("f@x.example")
    assert one(tmp_path, date + "Sender: s@x.example\nFrom: /O=X/CN=Y\n")["from_token"] == token("s@x.example")
    assert one(tmp_path, date + "Return-Path: <r@x.example>\n")["from_token"] == token("r@x.example")
    assert one(tmp_path, date + "From: undisclosed\n")["from_token"] is None


@pytest.mark.parametrize("name", ["/O=OURS/OU=FIRST/CN=RECIPIENTS/CN=ANNA", '"Anna" </o=Ours/ou=First/cn=Anna>'])
def test_a_sender_by_an_internal_name_is_of_the_mailboxes_own_domain(tmp_path: Path, name: str) -> None:
    text = f"Date: Mon, 2 Mar 2026 09:00:00 +0200\nFrom: {name}\nTo: maija@x.example\n"
    path = put(tmp_path / "mail" / "anna@ours.example" / "1.", text)
    ours = token("imceaex-anna@ours.example")

    (by_folder,) = rows(read(EmlSource(), path.parent.parent))
    (by_file,) = rows(read(EmlSource(), path, make_context("anna@ours.example.eml")))
    (by_option,) = rows(read(EmlSource(), path, replace(make_context(), options={"mailbox": "anna@ours.example"})))

    assert [row["from_token"] for row in (by_folder, by_file, by_option)] == [ours] * 3
    assert by_folder["from_domain"] == domain("imceaex-anna@ours.example")
    mbox = put(tmp_path / "box", "From anna Mon Mar  2 09:00:00 2026\n", text, "\n\n")
    (row,) = rows(read(MboxSource(), mbox, make_context("archive/anna@ours.example.mbox")))
    assert row["from_token"] == ours
    assert refusal(tmp_path, text).reason.startswith(
        "from: an X.500 name of somebody in the mailbox's own organisation"
    )


def test_what_options_have_wrong_is_said(tmp_path: Path) -> None:
    path = put(tmp_path / "one.eml", "From: a@x.example\n")

    with pytest.raises(ConfigurationError, match=r"options\.mailbox is 'anna'; expected one address"):
        read(EmlSource(), path, replace(make_context(), options={"mailbox": "anna"}))
    with pytest.raises(ConfigurationError, match="unknown option 'mailboxes'; did you mean 'mailbox'"):
        read(EmlSource(), path, replace(make_context(), options={"mailboxes": "anna@ours.example"}))


def test_a_message_without_message_id_is_known_by_its_second_key(tmp_path: Path) -> None:
    with_id = one(tmp_path, PLAIN)
    without = one(tmp_path, PLAIN.replace("Message-ID: <20260302.1@mail.example>\n", ""))

    assert without["key"] == with_id["other_keys"][0]
    assert without["other_keys"] is None
    assert without["event_id"] is None


def test_an_address_in_a_message_id_never_becomes_a_key(tmp_path: Path) -> None:
    for written in ("<maija@firm.example>", "<maija@firm.example@host>", "<1.2.maija=firm.example@lists.example>"):
        row = one(tmp_path, PLAIN.replace("<20260302.1@mail.example>", written))
        assert row["event_id"].startswith("x:")
        assert row["key"] == "m:" + row["event_id"]


def test_a_reply_in_the_same_second_with_a_prefix_is_the_same_by_the_second_key_and_another_day_is_not(
    tmp_path: Path,
) -> None:
    key = one(tmp_path, PLAIN)["other_keys"]

    assert one(tmp_path, PLAIN.replace("Tarjous", "VS: RE: Tarjous"))["other_keys"] == key
    assert one(tmp_path, PLAIN.replace("Mon, 2 Mar 2026 09:00:00 +0200", "2 Mar 26 07:00 GMT"))["other_keys"] == key
    assert one(tmp_path, PLAIN.replace("2 Mar", "3 Mar"))["other_keys"] != key


def test_machines_and_lists_are_marked(tmp_path: Path) -> None:
    assert one(tmp_path, "Auto-Submitted: auto-replied\n" + PLAIN)["automated"]
    assert one(tmp_path, "Return-Path: <>\n" + PLAIN)["automated"]
    assert one(tmp_path, "List-Id: <x.example>\n" + PLAIN)["bulk"]


# Dates


def test_a_message_without_a_date_takes_that_of_its_first_server(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        "Received: by b; Mon, 2 Mar 2026 09:00:09 +0200\nReceived: by a; Mon, 2 Mar 2026 09:00:02 +0200\n"
        "From: a@x.example\nDate: some day\n\n",
    )

    assert row["started_at"] == datetime(2026, 3, 2, 7, 0, 2)


def test_a_message_in_an_mbox_may_take_the_date_of_its_envelope_in_the_sources_zone(tmp_path: Path) -> None:
    path = put(tmp_path / "in.mbox", ENVELOPE, "From: a@x.example\n\n")

    (row,) = rows(read(MboxSource(), path))

    assert row["started_at"] == datetime(2026, 3, 2, 7, 0)


def test_a_date_in_the_future_gives_way_to_that_of_a_server(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        "Received: by a; Mon, 2 Mar 2043 09:00:00 +0200\nReceived: by a; Mon, 2 Mar 2026 09:00:00 +0200\n"
        "From: a@x.example\nDate: Mon, 2 Mar 2043 09:00:00 +0200\n\n",
    )

    assert row["started_at"] == datetime(2026, 3, 2, 7, 0)


def test_a_date_in_the_future_with_nothing_better_is_a_dead_letter(tmp_path: Path) -> None:
    letter = refusal(tmp_path, "From: a@x.example\nDate: Mon, 2 Mar 2043 09:00:00 +0200\n\n")

    assert letter.reason.startswith("dated in the future: 2043-03-02 07:00:00 UTC")


def test_a_day_ahead_is_no_future(tmp_path: Path) -> None:
    assert one(tmp_path, "From: a@x.example\nDate: Mon, 2 Nov 2026 00:00:00 +0000\n\n")
    assert refusal(tmp_path, "From: a@x.example\nDate: Mon, 2 Nov 2026 00:00:01 +0000\n\n")


# Dead letters


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"From: a@x.example\nTo: b@x.example\n\n", "no date"),
        (b"Date: Mon, 2 Mar 2026 09:00:00 +0200\nSubject: x\n\n", "no sender and no recipient"),
        (b"Content-Type: message/delivery-status\n\nHei\n", "no sender and no recipient"),
        (b"From: \nTo:\nReturn-Path: <>\nDate: Mon, 2 Mar 2026 09:00:00 +0200\n", "no sender and no recipient"),
        (b"just text\n\nmore", "not a message"),
        (b"", "not a message"),
        (b"\0\1\2\xff\n" * 9_000, "not a message"),
        (b"From: a@x.example\nX: " + b"x" * HEADER_LIMIT, "the header is longer than 262,144 bytes"),
        (b"\0" * HEADER_LIMIT, "not a message"),
        (b"From: a@x.example\nDate: Fri, 31 Dec 9999 23:59:59 -1400\n", "dated in the future: 9999"),
    ],
)
def test_what_cannot_be_used_is_a_dead_letter_with_its_reason(tmp_path: Path, text: bytes, reason: str) -> None:
    letter = refusal(tmp_path, text)

    assert letter.reason.startswith(reason)
    assert (letter.raw_id, letter.source, letter.file, letter.position, letter.unit) == (
        "mail:mail:0",
        "mail",
        "mail",
        0,
        "record",
    )


def test_a_dead_letter_shows_no_subject_no_name_no_address_and_no_body(tmp_path: Path) -> None:
    letter = refusal(
        tmp_path,
        "From: Maija Virtanen <maija@firm.example>\nTo: Matti\n <matti@firm.example>\nSubject: Salainen\n asia\n"
        "Message-ID: <maija@firm.example@host>\nContent-Type: text/plain;\n name=Palkka.pdf\nPalkkaa Maijalle\n"
        "Date: eilen\n+358405551234\n\nrunko\n",
    )

    assert letter.reason.startswith("no date")
    assert "Date: eilen" in letter.raw_text
    assert "Subject: …" in letter.raw_text
    for secret in ("aija", "atti", "firm", "Salainen", "asia", "Palkka", "5551234", "runko"):
        assert secret not in letter.raw_text
        assert secret not in letter.reason


def test_a_dead_letter_is_short(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "X: y\n" * 40_000).raw_text) <= 2_000


# mbox


def test_messages_of_an_mbox_are_known_by_their_byte_offsets(tmp_path: Path) -> None:
    first = ENVELOPE + PLAIN + "\n"
    path = put(tmp_path / "in.mbox", first, ENVELOPE, "nothing\n\n", ENVELOPE, PLAIN.replace("Tarjous", "ä"))

    batch = read(MboxSource(), path, make_context("a/in.mbox"))

    last = len((first + ENVELOPE + "nothing\n\n").encode())
    assert [row["raw_id"] for row in rows(batch)] == ["mail:a/in.mbox:0", f"mail:a/in.mbox:{last}"]
    (letter,) = batch.dead_letters
    assert (letter.raw_id, letter.unit) == (f"mail:a/in.mbox:{len(first)}", "byte")
    assert batch.byte_count == path.stat().st_size


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_packed_mbox_reads_like_a_plain_one(tmp_path: Path, pack: Any) -> None:
    text = (ENVELOPE + PLAIN + "\n") * 50
    plain = put(tmp_path / "plain", text)
    packed = put(tmp_path / "packed", pack(text.encode()))

    assert claims(packed) == ["mbox"]
    assert rows(read(MboxSource(), packed)) == rows(read(MboxSource(), plain))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_cut_off_archive_gives_its_messages_and_then_an_error(tmp_path: Path, pack: Any) -> None:
    text = b"".join((ENVELOPE + PLAIN.replace("20260302.1", os.urandom(8).hex()) + "\n").encode() for _ in range(3_000))
    packed = pack(text)
    path = put(tmp_path / "packed.mbox", packed[: len(packed) // 2])

    batches, error = read_until_error(MboxSource().read(path, make_context()))

    assert "ends in the middle" in str(error)
    count = sum(batch.record_count for batch in batches)
    assert 500 < count < 3_000
    assert all(not batch.dead_letters for batch in batches)


def test_messages_come_in_batches_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_MESSAGES", 10)
    path = put(tmp_path / "in.mbox", (ENVELOPE + PLAIN + "\n") * 25)

    batches = list(MboxSource().read(path, make_context()))

    assert [batch.record_count for batch in batches] == [10, 10, 5]
    assert sum(batch.byte_count for batch in batches) == path.stat().st_size
    assert [row["parties"][0]["token"] for batch in batches for row in rows(batch)] == [
        token("sales@ours.example")
    ] * 25


def test_an_mbox_of_nothing_has_no_batches(tmp_path: Path) -> None:
    assert list(MboxSource().read(put(tmp_path / "in.mbox", "\n\n"), make_context())) == []


# Maildirs


def test_a_maildir_is_read_without_its_tmp_and_with_its_folders_as_one_mailbox(tmp_path: Path) -> None:
    for folder in ("maija", "maija/.Sent", "maija/Archive"):
        for kind in ("cur", "new", "tmp"):
            put(tmp_path / folder / kind / "1.M1.host:2,S", PLAIN)
    put(tmp_path / "maija/dovecot.index", "no message")
    put(tmp_path / "maija/cur/.hidden", "no message")

    batch = read(MaildirSource(), tmp_path / "maija", make_context("maija"))

    assert [row["raw_id"] for row in rows(batch)] == [
        f"mail:maija/{folder}{kind}/1.M1.host:2,S:0" for folder in ("", ".Sent/", "Archive/") for kind in ("cur", "new")
    ]
    assert len({row["record_digest"] for row in rows(batch)}) == 1


def test_each_maildir_below_a_directory_is_a_mailbox(tmp_path: Path) -> None:
    for user in ("maija", "matti"):
        for kind in ("cur", "new", "tmp"):
            (tmp_path / user / kind).mkdir(parents=True)
        put(tmp_path / user / "cur/1", PLAIN)

    first, second = rows(read(MaildirSource(), tmp_path, make_context("")))

    assert claims(tmp_path) == ["maildir", "eml"]
    assert (first["raw_id"], second["raw_id"]) == ("mail:maija/cur/1:0", "mail:matti/cur/1:0")
    assert first["record_digest"] != second["record_digest"]
    assert (first["key"], first["other_keys"]) == (second["key"], second["other_keys"])


# Folders of messages


def test_a_folder_of_plain_message_files_is_read_at_any_depth(tmp_path: Path) -> None:
    put(tmp_path / "maija/sent/1.", PLAIN)
    put(tmp_path / "maija/sent/2.", PLAIN)
    put(tmp_path / "maija/inbox/old/1.", PLAIN)
    put(tmp_path / "matti/inbox/1.", PLAIN)
    put(tmp_path / "matti/inbox/.DS_Store", "rubbish")
    put(tmp_path / "top.eml", PLAIN)

    batch = read(EmlSource(), tmp_path, make_context("."))

    digests = {row["raw_id"]: row["record_digest"] for row in rows(batch)}
    assert list(digests) == [
        "mail:top.eml:0",
        "mail:maija/inbox/old/1.:0",
        "mail:maija/sent/1.:0",
        "mail:maija/sent/2.:0",
        "mail:matti/inbox/1.:0",
    ]
    assert len({digests[raw_id] for raw_id in digests if "maija" in raw_id}) == 1
    assert len(set(digests.values())) == 3
    assert len({row["key"] for row in rows(batch)}) == 1
    assert batch.warnings == ["hidden files passed over: 1"]


def test_an_mbox_among_message_files_is_split(tmp_path: Path) -> None:
    put(tmp_path / "a/inbox", ENVELOPE, PLAIN, "\n", ENVELOPE, PLAIN)
    put(tmp_path / "a/one.eml", ENVELOPE, PLAIN, "\n", ENVELOPE, PLAIN)

    batch = read(EmlSource(), tmp_path, make_context("x"))

    offset = len(ENVELOPE + PLAIN) + 1
    assert [row["raw_id"] for row in rows(batch)] == [
        "mail:x/a/inbox:0",
        f"mail:x/a/inbox:{offset}",
        "mail:x/a/one.eml:0",
    ]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        ("\r\n\n" + PLAIN).encode(),
        (" " * 200 + "\r\n" + PLAIN).encode(),
        ("\ufeff" + PLAIN).encode(),
        PLAIN.encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        zstandard.compress(PLAIN.encode()),
        ("1234\n" + PLAIN).encode(),
        ("X-Long: " + "x" * 50_000 + "\n" + PLAIN).encode(),
        PLAIN.encode().replace(b"Maija Virtanen", b"M\xe4ij\xe4 \xff\0"),
        PLAIN.replace("\n\nHei!", "").encode(),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_one_message_is_read_however_its_file_is_written(tmp_path: Path, text: bytes) -> None:
    path = put(tmp_path / "one.eml", text)

    row = one(tmp_path, text)

    assert claims(path) == ["eml"]
    assert row["key"] == "m:20260302.1@mail.example"
    assert row["from_token"] == token("maija@firm.example")
    assert [party["token"] for party in row["parties"]] == [token("sales@ours.example")]


def test_a_name_that_is_no_utf_8_still_gives_a_raw_id(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "box")
    os.mkdir(folder)
    with open(folder + b"/p\xe4ivi.eml", "wb") as file:
        file.write(PLAIN.encode())

    (row,) = rows(read(EmlSource(), tmp_path, make_context("")))

    assert row["raw_id"] == "mail:box/p\\xe4ivi.eml:0"


def test_a_file_that_cannot_be_opened_is_a_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.eml", PLAIN)
    put(tmp_path / "b.eml", PLAIN)
    real = os.open

    def refuse(path: str, flags: int) -> int:
        if path.endswith("a.eml"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)
    batch = read(EmlSource(), tmp_path)

    assert [letter.reason for letter in batch.dead_letters] == ["cannot be read: Permission denied"]
    assert batch.record_count == 2


def test_a_damaged_packed_message_is_a_dead_letter(tmp_path: Path) -> None:
    put(tmp_path / "a.eml", gzip.compress(os.urandom(40_000))[:20_000])

    (letter,) = read(EmlSource(), tmp_path).dead_letters

    assert letter.reason.startswith("not a message")


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        list(MaildirSource().read(tmp_path / "nowhere", make_context()))


# Copies


def test_copies_in_two_mailboxes_meet_by_key_and_a_copy_in_the_same_mailbox_by_digest(tmp_path: Path) -> None:
    path = put(tmp_path / "in.mbox", ENVELOPE, PLAIN, "\n", ENVELOPE.replace("maija", "x"), PLAIN)

    here = rows(read(MboxSource(), path, make_context("maija.mbox")))
    there = rows(read(MboxSource(), path, make_context("matti.mbox")))

    assert here[0]["record_digest"] == here[1]["record_digest"]
    assert here[0]["record_digest"] != there[0]["record_digest"]
    assert len({row["key"] for row in here + there}) == 1


def test_a_digest_is_the_same_on_every_machine(tmp_path: Path) -> None:
    header = PLAIN.partition("\n\n")[0] + "\n"

    expected = int.from_bytes(hashlib.sha256(b"mail\0" + header.encode()).digest()[:8], "big")
    assert one(tmp_path, PLAIN)["record_digest"] == expected == 11920211723163573517


# Recognition


def test_an_empty_file_and_an_empty_directory_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert claims(put(tmp_path / "nothing.mbox")) == []
    assert claims(put(tmp_path / "nothing.eml")) == []
    assert claims(tmp_path / "empty") == []


@pytest.mark.parametrize(
    "text",
    [
        b"From,To,Date\na,b,c\n",
        b"from: here\nplain: yaml\n",
        b"[section]\nTo: x\n",
        b"\0\1\2\3" * 5_000,
        b'"","201","600","from-internal"\n',
        b"From now on\nwe write prose.\n",
        b'{"from": "a@x.example", "to": ["b@x.example"]}\n',
        b"Dear all,\n\nDate: tomorrow\nTo: everybody\n",
    ],
)
def test_what_is_no_mail_is_not_claimed(tmp_path: Path, text: bytes) -> None:
    assert claims(put(tmp_path / "file", text)) == []


def test_an_mbox_and_a_message_file_are_told_apart_by_content(tmp_path: Path) -> None:
    assert claims(put(tmp_path / "a", ENVELOPE, PLAIN)) == ["mbox"]
    assert claims(put(tmp_path / "b", PLAIN)) == ["eml"]
    assert claims(put(tmp_path / "c.eml", ENVELOPE, PLAIN))[0] == "eml"


def test_a_directory_of_other_things_is_not_claimed(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"mail/{number}.eml", PLAIN)
    put(tmp_path / "cdr.csv", '"","201","600"\n')
    put(tmp_path / "bypassflow.toml", "[company]\n")

    assert claims(tmp_path) == []
    assert claims(tmp_path / "mail") == ["eml"]


def test_a_directory_of_mboxes_is_left_to_its_files(tmp_path: Path) -> None:
    put(tmp_path / "inbox", ENVELOPE, PLAIN)
    put(tmp_path / "sent", ENVELOPE, PLAIN)

    assert claims(tmp_path) == []


def test_a_maildir_is_claimed_by_its_folders_even_when_it_is_empty(tmp_path: Path) -> None:
    for kind in ("cur", "new", "tmp"):
        (tmp_path / kind).mkdir()

    assert claims(tmp_path) == ["maildir"]
    assert list(MaildirSource().read(tmp_path, make_context())) == []


# Properties


def _written(parts: dict[str, str]) -> bytes:
    message = EmailMessage()
    for name, value in parts.items():
        message[name] = value
    message.set_content("Hei\nFrom here on\n")
    return message.as_bytes()


_WORDS = st.text("abcäöå ,", min_size=1, max_size=30).map(str.strip)
_ADDRESSES = st.sampled_from(["a@x.example", "B@x.example", "c.c@y.example"])


@settings(max_examples=100)
@given(
    name=_WORDS,
    subject=_WORDS,
    to=st.lists(_ADDRESSES, min_size=1, max_size=3),
    newline=st.sampled_from([b"\n", b"\r\n"]),
)
def test_a_message_as_the_standard_library_writes_it_is_read_alike_in_every_container(
    tmp_path_factory: pytest.TempPathFactory, name: str, subject: str, to: list[str], newline: bytes
) -> None:
    folder = tmp_path_factory.mktemp("mail")
    quoted = name.replace(",", "")
    text = _written(
        {
            "From": f"{quoted} <from@z.example>",
            "To": ", ".join(to),
            "Subject": subject,
            "Date": "Mon, 02 Mar 2026 09:00:00 +0200",
        }
    ).replace(b"\n", newline)
    put(folder / "eml/a.eml", text)
    put(folder / "dir/cur/1", text)
    (folder / "dir/new").mkdir()
    put(folder / "in.mbox", ENVELOPE.encode(), text)

    found = [
        *rows(read(MboxSource(), folder / "in.mbox")),
        *rows(read(MaildirSource(), folder / "dir")),
        *rows(read(EmlSource(), folder / "eml")),
    ]

    assert len(found) == 3
    assert len({row["key"] for row in found}) == 1
    assert {tuple(party["token"] for party in row["parties"]) for row in found} == {
        tuple(dict.fromkeys(token(address) for address in to))
    }


_LINES = st.sampled_from(
    """\
From: a@x.example|To: b@x.example|Date: Mon, 2 Mar 2026 09:00:00 +0200|Date: 2 Mar 2043 09:00 +0200|| folded|x|From
Subject: ÿ|Message-ID: <>|Received: x; rubbish|From: |Content-Length: 9|Cc: =?utf-8?q?|Bcc: (((|To: ;;;|\0|\r
From maija@example.com Mon Mar  2 09:00:00 2026|From x""".encode("latin-1")
    .replace(b"\n", b"|")
    .split(b"|")
)


@settings(max_examples=300)
@given(st.lists(_LINES, max_size=25))
def test_every_record_is_one_observation_or_one_dead_letter(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = put(folder / "file", b"\n".join(lines))

    for source in (MboxSource(), EmlSource()):
        batch = read(source, path)
        raw_ids = [row["raw_id"] for row in rows(batch)] + [letter.raw_id for letter in batch.dead_letters]
        assert len(set(raw_ids)) == batch.record_count
    assert read(EmlSource(), folder).record_count >= 1


# Other people's broken messages


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f"no samples at {SAMPLES}; set BYPASSFLOW_SAMPLES")
    return SAMPLES


def test_every_sample_with_a_date_and_a_party_is_an_observation(samples: Path) -> None:
    batch = read(EmlSource(), samples, make_context(""))

    assert claims(samples) == ["eml"]
    assert batch.record_count == len(list(samples.iterdir()))
    assert {letter.reason.partition(":")[0] for letter in batch.dead_letters} <= {
        "no date",
        "no sender and no recipient",
    }
    assert len(rows(batch)) >= 33
    assert all(row["from_token"] and row["parties"] for row in rows(batch))


def test_every_sample_is_one_message_in_a_file_of_its_own(samples: Path) -> None:
    for path in sorted(samples.iterdir()):
        assert claims(path)[0] == "eml"
        assert read(EmlSource(), path, make_context(path.name)).record_count == 1
