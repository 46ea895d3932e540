"""Postfix's log: lines of one message by its queue id, deliveries once, and who sent what to whom."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources import postfix as module
from pipeline.sources.postfix import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, rows
from tests.records import person, shared

OURS = ("acme.example",)
CUSTOMER, OTHER, ALICE, BO, SALES = (
    "maija@customer.example", "pekka@partner.example", "alice@acme.example", "bo@acme.example", "sales@acme.example",
)  # fmt: skip
PEOPLE = (
    person("alice", email_token=address(ALICE)),
    person("bo", email_token=address(BO)),
    shared("Sales", email_token=address(SALES)),
)
DELIVERED = "250 2.0.0 <alice@acme.example> Saved"


class Log:
    """Lines of a log, one second after another."""

    def __init__(self, tag: str = "postfix", host: str = "mx", is_whole: bool = True) -> None:
        self.lines: list[str] = []
        self._tag, self._host, self._is_whole = tag, host, is_whole
        self.second = 0

    def add(self, agent: str, text: str) -> Log:
        moment = datetime(2026, 3, 5, 9, 0, self.second % 60)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.250000+02:00" if self._is_whole else f"{moment:%b %e %H:%M:%S}"
        self.lines.append(f"{stamp} {self._host} {self._tag}/{agent}[4711]: {text}")
        self.second += 1
        return self

    def queue(self, number: str, sender: str = CUSTOMER, message_id: str = "<1@customer.example>") -> Log:
        """Add what comes before a delivery."""
        self.add("smtpd", f"{number}: client=mail.customer.example[192.0.2.7]")
        self.add("cleanup", f"{number}: message-id={message_id}")
        return self.add("qmgr", f"{number}: from=<{sender}>, size=5360, nrcpt=1 (queue active)")

    def deliver(
        self, number: str, to: str = ALICE, reply: str = DELIVERED, agent: str = "lmtp", status: str = "sent",
        original: str | None = None,
    ) -> Log:  # fmt: skip
        orig_to = f"orig_to=<{original}>, " if original else ""
        relay = "relay=store.acme.example[private/dovecot-lmtp]"
        delays = "delay=0.5, delays=0.3/0.02/0.04/0.14, dsn=2.0.0"
        return self.add(agent, f"{number}: to=<{to}>, {orig_to}{relay}, {delays}, status={status} ({reply})")

    def remove(self, number: str) -> Log:
        return self.add("qmgr", f"{number}: removed")

    def whole(self, number: str = "4F1A23C5D6", to: str = ALICE, sender: str = CUSTOMER, **fields: Any) -> Log:
        """Add all lines of one message to one recipient."""
        identity = fields.pop("message_id", "<1@customer.example>")
        return self.queue(number, sender, identity).deliver(number, to, **fields).remove(number)


def written(folder: Path, *logs: Log, more: Sequence[str] = ()) -> Path:
    path = folder / "mail.log"
    path.write_text("\n".join([*(line for log in logs for line in log.lines), *more]) + "\n", encoding="utf-8")
    return path


def batches(path: Path, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, options=options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def told(path: Path) -> list[dict[str, Any]]:
    return parsing.interactions(batches(path), PEOPLE, OURS)


@pytest.mark.parametrize("tag", ["postfix", "postfix-inbound", "postfix/relay", "mx-out"])
def test_the_lines_of_one_queue_id_make_one_delivery(tmp_path: Path, tag: str) -> None:
    path = written(tmp_path, Log(tag).whole())
    assert parsing.recognised(path) == "postfix"

    read = batches(path)

    (found,) = rows(read)
    assert (found["raw_id"], found["channel"]) == ("tried:mail.log:4", "email")
    assert (found["event_id"], found["key"]) == ("1@customer.example", "m:1@customer.example")
    assert found["started_at"] == found["ended_at"] == datetime(2026, 3, 5, 7, 0, 3, 250_000)
    assert found["from_token"] == address(CUSTOMER)
    assert [(each["role"], each["token"]) for each in found["parties"]] == [("to", address(ALICE))]
    assert (found["automated"], found["bulk"]) == (False, False)
    assert warnings(read) == ["mail.log: 4 of its records tell of no conversation and were passed over"]


@pytest.mark.parametrize("agent", ["smtp", "lmtp", "local", "virtual", "pipe"])
def test_every_delivery_agent_delivers(tmp_path: Path, agent: str) -> None:
    assert len(rows(batches(written(tmp_path, Log().whole(agent=agent))))) == 1


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ("smtp", "deferred"), ("smtp", "bounced"), ("lmtp", "expired"), ("smtp", "deliverable"),
        ("smtp", "undeliverable"), ("discard", "sent"), ("error", "bounced"), ("bounce", "sent"),
    ],
)  # fmt: skip
def test_what_was_not_delivered_is_passed_over(tmp_path: Path, agent: str, status: str) -> None:
    read = batches(
        written(tmp_path, Log().whole(agent=agent, status=status, reply="said: 450 later, status=sent (then)"))
    )

    assert (rows(read), letters(read)) == ([], [])


def test_a_delivery_that_came_after_a_while_counts_once(tmp_path: Path) -> None:
    log = Log().queue("4F1A23C5D6").deliver("4F1A23C5D6", status="deferred", reply="greylisted")
    log.add("qmgr", f"4F1A23C5D6: from=<{CUSTOMER}>, size=5360, nrcpt=1 (queue active)").deliver("4F1A23C5D6")

    (found,) = rows(batches(written(tmp_path, log)))

    assert (found["event_id"], found["started_at"]) == ("1@customer.example", datetime(2026, 3, 5, 7, 0, 5, 250_000))


def test_a_message_to_three_customers_is_three_interactions_of_its_sender(tmp_path: Path) -> None:
    log = Log().queue("4F1A23C5D6", ALICE)
    for to in (CUSTOMER, OTHER, "x@third.example", BO):
        log.deliver("4F1A23C5D6", to, agent="smtp", reply="250 2.0.0 Ok: queued as 1B4DC16C0")

    found = told(written(tmp_path, log))

    assert {each["token"] for each in found} == {address(CUSTOMER), address(OTHER), address("x@third.example")}
    assert {(each["direction"], each["representative_id"]) for each in found} == {("outbound", "alice")}


def test_mail_among_colleagues_and_from_nobody_is_no_interaction(tmp_path: Path) -> None:
    log = Log().whole(sender=ALICE, to=BO, message_id="<2@acme.example>")
    path = written(tmp_path, log, Log().whole("5F1A23C5D6", sender="", message_id="<3@mx.customer.example>"))

    assert told(path) == []
    internal, from_nobody = rows(batches(path))
    assert (internal["automated"], from_nobody["automated"], from_nobody["from_token"]) == (False, True, None)


def test_an_alias_is_who_was_written_to_and_its_members_took_part(tmp_path: Path) -> None:
    log = Log().queue("4F1A23C5D6")
    for member in (ALICE, BO):
        log.deliver("4F1A23C5D6", member, original=SALES)

    (found,) = told(written(tmp_path, log))

    assert (found["direction"], found["token"], found["participants"]) == (
        "inbound",
        address(CUSTOMER),
        ["alice", "bo"],
    )
    first = rows(batches(written(tmp_path, log)))[0]
    assert [(each["role"], each["token"]) for each in first["parties"]] == [
        ("to", address(ALICE)), ("delivered", address(SALES)),
    ]  # fmt: skip


def filtered(message_id: str = "<1@customer.example>", *, removed_early: bool = False) -> Log:
    """Return the log of a message that a content filter hands back, as amavis is used with Postfix."""
    first, second = "46D715F949", "64F41606CC"
    log = Log(host="mx2").queue(first, message_id=message_id).queue(second, message_id=message_id)
    if removed_early:
        log.deliver(second).remove(second)
    reply = f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {second}"
    log.deliver(first, agent="smtp", reply=reply).remove(first)
    return log if removed_early else log.deliver(second).remove(second)


@pytest.mark.parametrize("message_id", ["<1@customer.example>", "<>", ""])
@pytest.mark.parametrize("removed_early", [True, False])
def test_a_content_filter_doubles_no_message(tmp_path: Path, message_id: str, removed_early: bool) -> None:
    read = batches(written(tmp_path, filtered(message_id, removed_early=removed_early)))

    (found,) = rows(read)
    assert found["event_id"] == ("1@customer.example" if "1" in message_id else None)
    assert letters(read) == []


def test_an_alias_to_somewhere_else_is_told_under_the_new_queue_id(tmp_path: Path) -> None:
    log = Log().queue("9E17C11F70").queue("E050E11F61")
    log.deliver("9E17C11F70", agent="local", reply="forwarded as E050E11F61").remove("9E17C11F70")
    log.deliver("E050E11F61", "maija@elsewhere.example", agent="smtp", original=ALICE)

    (found,) = rows(batches(written(tmp_path, log)))

    assert found["parties"][0]["token"] == address("maija@elsewhere.example")


def test_a_queue_id_of_another_server_or_of_another_message_hands_nothing_on(tmp_path: Path) -> None:
    unknown = Log().whole(agent="smtp", reply="250 2.0.0 Ok: queued as 64F41606CC")
    other = Log().queue("64F41606CC", message_id="<2@customer.example>")
    other.whole("5F1A23C5D6", agent="smtp", reply="250 Ok: queued as 64F41606CC", message_id="<3@customer.example>")
    elsewhere = Log(host="mx2").queue("74F41606CC", message_id="<4@customer.example>")
    there = Log().whole("6F1A23C5D6", reply="250 Ok: queued as 74F41606CC", message_id="<4@customer.example>")

    found = rows(batches(written(tmp_path, unknown, other, elsewhere, there)))

    assert [each["event_id"] for each in found] == ["1@customer.example", "3@customer.example", "4@customer.example"]


def test_queue_ids_come_again_and_belong_to_one_machine(tmp_path: Path) -> None:
    again = Log().whole(message_id="<1@x.example>").whole(sender=OTHER, message_id="<2@x.example>")
    twin = Log(host="mx2").queue("4F1A23C5D6", "eva@third.example", "<3@x.example>")
    mixed = Log().queue("4F1A23C5D6", "ida@fourth.example", "<4@x.example>")
    both = [Log(host="mx2").deliver("4F1A23C5D6"), Log().deliver("4F1A23C5D6")]

    found = rows(batches(written(tmp_path, again, twin, mixed, *both)))

    assert [(each["event_id"], each["from_token"]) for each in found] == [
        ("1@x.example", address(CUSTOMER)), ("2@x.example", address(OTHER)),
        ("3@x.example", address("eva@third.example")), ("4@x.example", address("ida@fourth.example")),
    ]  # fmt: skip


@pytest.mark.parametrize("agent", ["smtpd", "pickup"])
def test_a_new_message_has_nothing_of_the_one_that_had_its_queue_id_before(tmp_path: Path, agent: str) -> None:
    log = Log().queue("4F1A23C5D6")
    log.add(agent, "4F1A23C5D6: " + ("client=x[192.0.2.8]" if agent == "smtpd" else "uid=33 from=<www-data>"))
    log.deliver("4F1A23C5D6")

    (letter,) = letters(batches(written(tmp_path, log)))

    assert letter.reason.startswith("from: who sent this stands in an earlier log")


@pytest.mark.parametrize("manager", ["qmgr", "nqmgr", "oqmgr"])
def test_a_log_that_begins_in_the_middle_still_tells_what_it_can(tmp_path: Path, manager: str) -> None:
    log = Log().deliver("4F1A23C5D6").add(manager, f"5F1A23C5D6: from=<{CUSTOMER}>, size=1, nrcpt=1 (queue active)")
    read = batches(written(tmp_path, log.deliver("5F1A23C5D6")))

    (letter,) = letters(read)
    assert (letter.position, letter.unit) == (1, "line")
    assert "put rotated logs into one file, the oldest first" in letter.reason
    (found,) = rows(read)
    assert (found["event_id"], found["from_token"]) == (None, address(CUSTOMER))


def test_so_many_messages_are_remembered_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    log = Log().queue("1F1A23C5D6").queue("2F1A23C5D6")
    log.add("qmgr", f"1F1A23C5D6: from=<{CUSTOMER}>, size=1, nrcpt=1 (queue active)")  # tried again
    log.queue("3F1A23C5D6").deliver("1F1A23C5D6").deliver("2F1A23C5D6").deliver("3F1A23C5D6")

    read = batches(written(tmp_path, log))

    assert [letter.position for letter in letters(read)] == [12]
    assert len(rows(read)) == 2


def test_nothing_is_taken_from_a_message_that_had_the_queue_id_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 1)
    log = Log().whole("1F1A23C5D6").queue("1F1A23C5D6", OTHER).queue("2F1A23C5D6").deliver("1F1A23C5D6")

    read = batches(written(tmp_path, log))

    assert [letter.position for letter in letters(read)] == [12]
    assert len(rows(read)) == 1


def test_of_those_that_are_gone_the_last_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_GONE", 1)
    log = Log().queue("1F1A23C5D6").queue("2F1A23C5D6").remove("1F1A23C5D6").remove("2F1A23C5D6").remove("3F1A23C5D6")
    log.deliver("1F1A23C5D6").deliver("2F1A23C5D6")

    read = batches(written(tmp_path, log))

    assert [letter.position for letter in letters(read)] == [10]
    assert len(rows(read)) == 1


def test_lines_of_other_programs_and_of_other_matters_are_passed_over(tmp_path: Path) -> None:
    others = [
        "2026-03-05T09:00:00+02:00 mx dovecot: lda(alice@acme.example): msgid=<1@customer.example>: saved mail",
        "2026-03-05T09:00:00+02:00 mx amavis[1154]: (01154-06) Passed CLEAN, <maija@customer.example> -> <x>",
        "2026-03-05T09:00:00+02:00 mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from x[192.0.2.9]: 554 from=<a@b.c>",
        "2026-03-05T09:00:00+02:00 mx postfix/smtpd[7]: connect from unknown[192.0.2.9]",
        "2026-03-05T09:00:00+02:00 mx postfix/anvil[7]: statistics: max connection rate 1/60s",
        "2026-03-05T09:00:00+02:00 mx postfix/cleanup[7]: 4F1A23C5D6: resent-message-id=<9@customer.example>",
        "2026-03-05T09:00:00+02:00 mx postfix/smtp[7]: 4F1A23C5D6: host x[192.0.2.9] said: 450 try to=<a@b.c>",
        "2026-03-05T09:00:00+02:00 mx last message repeated 2 times",
        "",
    ]

    read = batches(written(tmp_path, Log().whole(), more=others))

    assert (len(rows(read)), letters(read)) == (1, [])
    assert "12 of its records tell of no conversation" in warnings(read)[0]


def test_times_without_year_and_zone_are_read_and_the_year_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, Log(is_whole=False).whole())
    assert parsing.recognised(path) == "postfix"

    (found,) = rows(read := batches(path))
    (dated,) = rows(given := batches(path, year=2019))

    assert found["started_at"] == datetime(2026, 3, 5, 7, 0, 3)
    assert warnings(read)[-1] == (
        "mail.log: its lines name no year; the latest was taken to be of 2026; if it is not, give the year of the "
        "first one: options = { year = ... }"
    )
    assert dated["started_at"] == datetime(2019, 3, 5, 7, 0, 3)
    assert len(warnings(given)) == 1


def test_the_year_does_not_hang_on_the_day_of_reading_alone(tmp_path: Path) -> None:
    path = written(tmp_path, Log(is_whole=False).whole())
    later = replace(parsing.context(path), read_at=datetime(2027, 2, 1, tzinfo=UTC))

    (found,) = rows(SOURCE.read(path, later))

    assert found["started_at"] == datetime(2026, 3, 5, 7, 0, 3)


@pytest.mark.parametrize("year", ["2019", 1066, 3000, 2019.5])
def test_an_option_that_is_no_year_stops_the_run(tmp_path: Path, year: object) -> None:
    path = written(tmp_path, Log().whole())

    with pytest.raises(ConfigurationError, match=r"options\.year is .*; expected a year such as 2022"):
        batches(path, year=year)
    with pytest.raises(ConfigurationError, match="unknown option 'yaer'; did you mean 'year'"):
        batches(path, yaer=2019)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("4F1A23C5D6: to=<maija@customer.example>", "no time at the beginning of the line"),
        ("Feb 30 09:00:00 mx postfix/qmgr[7]: 4F1A23C5D6: removed", "no time at the beginning of the line"),
        (
            "2026-03-05T09:00:00+02:00 mx postfix/smtp[7]: 4F1A23C5D6: to=<maija@customer.example>, relay=x, delay=1",
            "status: missing behind a recipient",
        ),
        (
            "2026-06-03T09:00:00+02:00 mx postfix/smtp[7]: 4F1A23C5D6: to=<a@b.example>, relay=x, status=sent (250)",
            "dated",
        ),
        ("2026-03-05T09:00:00+02:00 mx x: " + "y" * (1 << 20), "line of 1,048,609 bytes is too long"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_dead_letter_that_tells_nobody(tmp_path: Path, line: str, reason: str) -> None:
    read = batches(written(tmp_path, Log().whole(), more=[line]))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (6, "line", True)
    for private in ("maija", "customer", "a@b.example"):
        assert private not in letter.raw_text + letter.reason
    assert len(rows(read)) == 1
    assert sum(batch.record_count for batch in read) == 2


def test_a_sender_that_is_no_address_is_a_dead_letter(tmp_path: Path) -> None:
    (letter,) = letters(batches(written(tmp_path, Log().whole(sender="www-data"))))

    assert letter.reason == "from: expected an address"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "Nov 21 20:35:10 host sshd[7]: Accepted publickey for root\n",
        "4F1A23C5D6: from=<a@b.example>, size=1\n",
        "Nov 21 20:35:10 mx postfix/qmgr[7]: 4F1A23C5D6: removed\n" + "words\n" * 9,
    ],
)
def test_other_logs_are_left_to_others(tmp_path: Path, text: str) -> None:
    assert SOURCE.recognise(Sample(tmp_path / "other", text.encode())) is None


def test_a_log_that_breaks_off_gives_what_stands_before(tmp_path: Path) -> None:

    path = tmp_path / "mail.log.1.gz"
    lines = "\n".join(Log(is_whole=False).whole().lines) + "\n"
    packed = gzip.compress(lines.encode() + bytes(range(256)) * 4_000)
    path.write_bytes(packed[: len(packed) // 2])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="ends in the middle"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert len(rows(found)) == 1


@pytest.mark.parametrize("is_whole", [True, False])
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, is_whole: bool, data: st.DataObject) -> None:
    log = Log(is_whole=is_whole).whole().whole("5F1A23C5D6", original=SALES).whole("6F1A23C5D6", sender="")
    whole = written(tmp_path, log).read_bytes()
    path = tmp_path / "damaged.log"
    path.write_bytes(parsing.damaged(whole, data, (*parsing.SPLINTERS, b"Feb 29 ", b"9999-12-31T", b": to=<")))

    parsing.assert_survives(SOURCE, path)
