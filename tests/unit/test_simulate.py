"""The simulated company writes what real systems write, is the same each time, and its truth points into its files."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from benchmarks.company import write_calls, write_mail
from pipeline.configuration import complete_through, engine_settings, load
from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.simulate import SimulatedCompany, simulate, truth_path
from pipeline.simulation import numbers

HELSINKI = ZoneInfo("Europe/Helsinki")
SALESFORCE_TIME = "%Y-%m-%dT%H:%M:%S.%f%z"


@lru_cache(maxsize=1)
def fortnight() -> SimulatedCompany:
    return simulate(days=14, representatives=24, seed=7)


@lru_cache(maxsize=1)
def files() -> dict[str, bytes]:
    return dict(fortnight().files())


@lru_cache(maxsize=1)
def truth() -> list[dict[str, Any]]:
    return [json.loads(line) for line in fortnight().truth()]


@lru_cache(maxsize=1)
def cdr() -> list[list[str]]:
    return list(csv.reader(io.StringIO(files()["asterisk/Master.csv"].decode(errors="replace"))))


@lru_cache(maxsize=16)
def table(name: str) -> list[dict[str, str]]:
    text = files()[f"salesforce/{name}.csv"].decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text), strict=True))


@lru_cache(maxsize=1)
def messages() -> dict[str, email.message.Message]:
    """Return all messages by place, split where a line begins with From after a blank one."""
    found = {}
    for path, content in files().items():
        if path.startswith("mail/"):
            starts = [0, *(match.end() for match in re.finditer(rb"\n\n(?=From )", content))]
            for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
                header = content[start:end].split(b"\n", 1)[1]
                found[f"{path}:{start}"] = email.message_from_bytes(header, policy=email.policy.compat32)
    return found


def share(count: int, total: int) -> float:
    return count / total


# The same each time


def test_same_arguments_give_same_bytes() -> None:
    one, other = simulate(3, 9, seed=5), simulate(3, 9, seed=5)

    assert list(one.files()) == list(other.files())
    assert list(one.truth()) == list(other.truth())


def test_another_seed_gives_another_company() -> None:
    one, other = simulate(3, 9, seed=5), simulate(3, 9, seed=6)

    assert dict(one.files())["asterisk/Master.csv"] != dict(other.files())["asterisk/Master.csv"]


def test_reading_the_files_twice_changes_nothing() -> None:
    company = simulate(2, 5, seed=1)

    assert (list(company.files()), list(company.truth())) == (list(company.files()), list(company.truth()))


def test_every_file_has_a_name_of_its_own() -> None:
    paths = [path for path, _ in fortnight().files()]

    assert len(paths) == len(set(paths))
    assert not any("truth" in path for path in paths)


def test_truth_lies_beside_the_directory() -> None:
    assert truth_path(Path("demo/company")) == Path("demo/company.truth.jsonl")


@pytest.mark.parametrize(("days", "representatives"), [(0, 5), (400, 5), (5, 0), (5, 100_000)])
def test_sizes_that_make_no_sense_are_refused(days: int, representatives: int) -> None:
    with pytest.raises(ConfigurationError, match="expected 1 to"):
        simulate(days, representatives)


@pytest.mark.parametrize("representatives", [1, 2, 7])
def test_smallest_companies_work(representatives: int) -> None:
    company = simulate(days=8, representatives=representatives, seed=2)

    assert sum(1 for _ in company.truth()) > 20 * representatives
    assert {person.team.name for person in company.company.representatives} == {
        team.profile.name for team in company.company.teams
    }


def test_an_end_of_summer_time_moves_nothing_out_of_working_hours() -> None:
    company = simulate(days=7, representatives=8, seed=3, start=date(2025, 10, 23))
    rows = csv.reader(io.StringIO(dict(company.files())["asterisk/Master.csv"].decode(errors="replace")))

    offsets = Counter(row[9][:10] for row in rows if not 7 <= int(row[9][11:13]) <= 18)
    assert not offsets


# The formats


def test_call_records_have_all_columns_and_agree_with_themselves() -> None:
    for row in cdr():
        assert len(row) == 21
        start, end = datetime.fromisoformat(row[9]), datetime.fromisoformat(row[11])
        answer = datetime.fromisoformat(row[10]) if row[10] else end
        assert start <= answer <= end
        assert int(row[12]) == (end - start).seconds
        assert int(row[13]) == (end - answer).seconds
        assert row[14] in {"ANSWERED", "NO ANSWER", "BUSY", "FAILED"}


def test_unique_ids_hold_the_epoch_of_the_local_time() -> None:
    for row in cdr():
        epoch = int(row[16].split(".")[0])
        began = datetime.fromisoformat(row[9]).replace(tzinfo=HELSINKI).timestamp()
        assert 0 <= began - epoch < 4 * 3600, "a row begins with its channel or later"
        assert row[16] != row[19] or row[5].startswith("PJSIP/")


def test_call_records_are_written_in_the_order_of_the_calls_ends() -> None:
    ends: dict[str, str] = {}
    for row in cdr():
        ends[row[19]] = max(ends.get(row[19], ""), row[11])
    assert list(ends.values()) == sorted(ends.values())


def test_every_row_has_a_sequence_of_its_own() -> None:
    sequences = [row[20] for row in cdr()]
    assert len(sequences) == len(set(sequences))


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ("losing leg", lambda row: row[7] == "Dial" and row[14] == "NO ANSWER" and "&" in row[8]),
        ("queue", lambda row: row[7] == "Queue" and row[14] == "ANSWERED" and row[6]),
        ("menu that nobody leaves", lambda row: row[7] == "BackGround" and not row[6]),
        ("given up in the queue", lambda row: row[7] == "Queue" and not row[6]),
        ("voicemail", lambda row: row[7] == "VoiceMail" and row[14] == "ANSWERED"),
        ("forwarded to a mobile phone", lambda row: "trunk" in row[5] and "trunk" in row[6]),
        ("click-to-dial", lambda row: row[7] == "AppDial2"),
        ("local channel", lambda row: row[5].startswith("Local/") and row[5].endswith(";2")),
        ("busy", lambda row: row[14] == "BUSY"),
        ("withheld", lambda row: row[1] in {"anonymous", "unknown", ""}),
        ("outside line", lambda row: row[2].startswith("00") and "trunk" in row[6]),
        ("internal", lambda row: len(row[1]) == 3 and len(row[2]) == 3),
        ("transferred", lambda row: len(row[2]) == 3 and "trunk" in row[5] and row[3] == "from-internal"),
        ("presents the main number", lambda row: row[1] == "0480110000"),
    ],
)
def test_every_shape_of_call_occurs(shape: str, fits: Any) -> None:
    assert any(fits(row) for row in cdr()), shape


def test_two_representatives_talk_with_one_switchboard_at_the_same_time() -> None:
    calls = [
        (line["identifier"], line["started_at"], line["ended_at"], line["representative_id"])
        for line in truth()
        if line["channel"] == "call" and line["identifier"] and line["identifier"].startswith("+358489")
    ]
    calls.sort()
    assert any(one[0] == two[0] and two[1] < one[2] and one[3] != two[3] for one, two in pairwise(calls))


def test_queue_log_joins_the_call_records() -> None:
    linked_ids = {row[19] for row in cdr()}
    events: Counter[str] = Counter()
    epochs = []
    for line in files()["asterisk/queue_log"].decode().splitlines():
        epoch, call_id, _, agent, event, *_ = line.split("|")
        epochs.append(int(epoch))
        events[event] += 1
        assert call_id == "NONE" or call_id in linked_ids
        assert (agent == "NONE") == (event in {"ENTERQUEUE", "ABANDON", "QUEUESTART"})
    assert epochs == sorted(epochs)
    assert events.keys() >= {"ENTERQUEUE", "CONNECT", "COMPLETECALLER", "ABANDON", "RINGNOANSWER", "BLINDTRANSFER"}
    ended = sum(events[name] for name in ("COMPLETECALLER", "COMPLETEAGENT", "BLINDTRANSFER", "ATTENDEDTRANSFER"))
    assert events["CONNECT"] == ended


def test_mailboxes_parse_and_dates_are_read_by_the_standard_library() -> None:
    first = datetime(2025, 10, 6, tzinfo=HELSINKI)
    for place, message in messages().items():
        assert not message.defects, place
        sent = parsedate_to_datetime(str(message["Date"]))
        assert first - timedelta(hours=1) <= sent <= first + timedelta(days=15)
        assert "@" in str(message["From"])
        assert message["To"]


def test_one_email_lies_in_several_mailboxes_and_some_have_no_message_id() -> None:
    ids = Counter(str(message["Message-ID"]) for message in messages().values() if message["Message-ID"])
    without = sum(message["Message-ID"] is None for message in messages().values())

    assert any(count > 1 for count in ids.values())
    assert 0.01 < share(without, len(messages())) < 0.05


def test_mail_of_machines_lists_and_colleagues_occurs() -> None:
    found = messages().values()
    assert any(message["Auto-Submitted"] == "auto-replied" for message in found)
    assert any(message["Return-Path"] == "<>" and message.get_content_type() == "multipart/report" for message in found)
    assert any(message["List-Id"] for message in found)
    assert any(str(m["From"]).endswith("@mallila.example>") and "@mallila.example" in str(m["To"]) for m in found)
    assert any("=?utf-8?B?" in str(message["From"]) for message in found)


def test_exports_are_in_the_data_loaders_dialect() -> None:
    for name in ("Task", "EmailMessage", "EmailMessageRelation", "Case", "Contact", "Lead", "Account", "User"):
        assert files()[f"salesforce/{name}.csv"].startswith(b'\xef\xbb\xbf"Id"')
        rows = table(name)
        assert rows
        assert len({row["Id"] for row in rows}) == len(rows)
        assert all(re.fullmatch(r"[0-9A-Za-z]{15}[A-Z0-5]{3}", row["Id"]) for row in rows)
        for row in rows:
            datetime.strptime(row["CreatedDate"], SALESFORCE_TIME)


def test_references_between_records_hold() -> None:
    people = {row["Id"] for row in table("Contact")} | {row["Id"] for row in table("Lead")}
    accounts = {row["Id"] for row in table("Account")}
    users = {row["Id"] for row in table("User")}
    emails = {row["Id"] for row in table("EmailMessage")}
    for row in table("Task"):
        assert row["WhoId"] in people or not row["WhoId"]
        assert row["AccountId"] in accounts or not row["AccountId"]
        assert row["WhoId"] or row["AccountId"]
        assert row["OwnerId"] in users
    for row in table("EmailMessageRelation"):
        assert row["EmailMessageId"] in emails
        assert row["RelationId"] in people | users
    for row in table("Case"):
        assert row["ContactId"] in people or not row["ContactId"]


def test_configuration_is_accepted_and_every_source_is_there() -> None:
    configuration = load(files()["bypassflow.toml"].decode(), "bypassflow.toml")
    identifiers = Identifiers(b"k" * 32, configuration.company.region, configuration.company.outside_prefixes)

    settings = engine_settings(configuration, identifiers)

    assert len(settings.own_domains) == 2
    assert len(settings.never_log) == 2
    assert complete_through(configuration) == datetime(2025, 10, 19, 21)
    for source in configuration.source:
        assert any(path.startswith(f"{source.path}/") for path in files())


def test_directory_gives_every_representative_one_team_at_a_time() -> None:
    rows = list(csv.DictReader(io.StringIO(files()["directory.csv"].decode())))
    people = Counter(row["representative_id"] for row in rows if row["representative_id"])

    assert len(people) == 24
    moved = [row for row in rows if people[row["representative_id"]] == 2]
    assert [bool(row["valid_to"]) for row in moved] == [True, False] * (len(moved) // 2)
    assert moved, "somebody changes teams"
    assert any(not row["representative_id"] and row["email"] for row in rows)
    assert any(not row["representative_id"] and row["extension"] == "service" for row in rows)


# Numbers


def test_nobody_real_can_have_a_number_or_address_of_it() -> None:
    numbers = {line["identifier"] for line in truth() if line["channel"] == "call" and line["identifier"]}
    fictional = r"\+358(47|48)\d{7}|\+467017406\d\d|\+468465004\d\d|\+493023125\d{3}|\+331990\d{5}|\+1\d{3}55501\d\d"
    assert all(re.fullmatch(fictional, number) for number in numbers)
    everything = b"\n".join(files().values())
    hosts = set(re.findall(rb"[\w.+-]+@([\w.-]+\.[a-z]+)\b", everything))
    assert all(host.endswith((b".example", b".test")) for host in hosts)


@pytest.mark.parametrize("write", [numbers.typed, numbers.shown, numbers.dialled])
def test_every_way_of_writing_a_number_is_read_as_that_number(write: Callable[[str, Random], str]) -> None:
    identifiers, rng = Identifiers(b"k" * 32, "FI", ["0"]), Random(4)
    plan = numbers.NumberPlan(rng)
    forms = set()
    for _ in range(300):
        for number in (plan.mobile(), plan.switchboard(), plan.foreign()):
            written = write(number, rng)
            forms.add(re.sub(r"\d", "9", written))
            assert identifiers.phone(written).token == identifiers.phone(number).token, (number, written)
    assert len(forms) > (15 if write is numbers.typed else 3)


# The proportions


def test_four_weeks_of_sixty_representatives_are_enough_to_measure_on() -> None:
    lines = len(truth())
    # 24 representatives and ten working days here; sixty and twenty are five times as much.
    assert 20_000 <= 5 * lines <= 42_000


def test_customers_are_known_as_well_as_they_are_meant_to_be() -> None:
    contacts = [row for row in (*table("Contact"), *table("Lead")) if row["IsDeleted"] == "false"]
    without_number = sum(
        not any(row.get(f) for f in ("Phone", "MobilePhone", "HomePhone", "OtherPhone")) for row in contacts
    )
    without_address = sum(not row["Email"] for row in contacts)
    assert 0.03 < share(without_number, len(contacts)) < 0.07
    assert 0.025 < share(without_address, len(contacts)) < 0.055

    customers = {id(i.customer): i.customer for i in fortnight().interactions}.values()
    assert 0.03 < share(sum(not customer.is_known for customer in customers), len(customers)) < 0.10
    assert 0.07 < share(sum(bool(customer.switchboard) for customer in customers), len(customers)) < 0.18


def test_two_in_a_hundred_inbound_calls_withhold_their_number() -> None:
    inbound = [line for line in truth() if line["channel"] == "call" and line["direction"] == "inbound"]
    assert 0.01 < share(sum(line["identifier"] is None for line in inbound), len(inbound)) < 0.035


def test_few_customers_make_most_of_the_contacts() -> None:
    counts = sorted(Counter(id(i.customer) for i in fortnight().interactions).values(), reverse=True)
    assert share(sum(counts[: len(counts) // 5]), sum(counts)) > 0.5


def test_teams_differ_in_what_they_log() -> None:
    shares = {}
    for team in {line["team"] for line in truth()}:
        lines = [line for line in truth() if line["team"] == team and line["outcome"] != "pending"]
        shares[team] = share(sum(line["outcome"] == "traced" for line in lines), len(lines))
    assert shares["Inside sales"] > 0.65
    assert shares["Dispatch"] < 0.12
    assert 0.15 < shares["Field sales"] < 0.4


def test_half_of_the_logged_emails_carry_their_message_id() -> None:
    emails = [line for line in truth() if line["channel"] == "email" and line["outcome"] == "traced"]
    own = {row["ActivityId"] or row["Id"] for row in table("EmailMessage") if row["MessageIdentifier"]}
    carried = sum(line["activity_id"].partition(":")[0] in own for line in emails)
    tickets = sum(line["activity_id"].startswith("500") for line in emails)
    assert 0.4 < share(carried, len(emails) - tickets) < 0.6


# The truth


def test_truth_points_at_records_that_exist() -> None:
    lines_of = {"asterisk/Master.csv": len(cdr()), "asterisk/queue_log": files()["asterisk/queue_log"].count(b"\n")}
    for line in truth():
        assert line["evidence"]
        for place in line["evidence"]:
            path, _, position = place.rpartition(":")
            if path in lines_of:
                assert line["channel"] == "call"
                assert 1 <= int(position) <= lines_of[path]
            else:
                assert line["channel"] == "email"
                assert place in messages()


def test_evidence_of_a_call_is_the_whole_call_and_shows_who_talked() -> None:
    by_linked_id: dict[str, int] = Counter(row[19] for row in cdr())
    extension = {person.representative_id: person.extension for person in fortnight().company.representatives}
    for line in truth():
        if line["channel"] == "call":
            places = [int(p.rpartition(":")[2]) - 1 for p in line["evidence"] if "Master" in p]
            rows = [cdr()[place] for place in places]
            assert {row[19] for row in rows} == set(line["keys"])
            assert len(rows) == by_linked_id[line["keys"][0]]
            answered = " ".join(
                f"{row[5]} {row[6]} {row[2]}" for row in rows if row[14] == "ANSWERED" and row[13] != "0"
            )
            assert all(extension[person] in answered for person in line["participants"])


def test_evidence_of_an_email_is_every_copy_of_it() -> None:
    copies = Counter(str(m["Message-ID"]).strip("<>") for m in messages().values() if m["Message-ID"])
    for line in truth():
        if line["channel"] == "email" and line["keys"]:
            assert copies[line["keys"][0]] <= len(line["evidence"])
            assert any(
                str(messages()[place]["Message-ID"]).strip("<>") == line["keys"][0] for place in line["evidence"]
            )


def test_no_record_is_evidence_of_two_conversations() -> None:
    owners: dict[str, int] = {}
    for line in truth():
        for place in line["evidence"]:
            assert owners.setdefault(place, line["conversation"]) == line["conversation"]


def test_an_email_to_several_customers_is_one_interaction_each() -> None:
    parties = Counter(line["conversation"] for line in truth())
    several = [line for line in truth() if parties[line["conversation"]] > 1]

    assert several
    for line in several:
        assert (line["channel"], line["direction"]) == ("email", "outbound")
    identifiers = Counter((line["conversation"], line["identifier"]) for line in several)
    assert set(identifiers.values()) == {1}


def test_traces_exist_in_the_exports_and_none_is_given_twice() -> None:
    records = {row["Id"] for name in ("Task", "EmailMessage", "Case") for row in table(name)}
    given: Counter[str] = Counter()
    for line in truth():
        assert (line["outcome"] == "traced") == bool(line["activity_id"])
        assert line["activity_id"] == next(iter(line["activity_ids"]), None)
        given.update(line["activity_ids"])
        assert {activity_id.partition(":")[0] for activity_id in line["activity_ids"]} <= records
    assert set(given.values()) == {1}


def test_true_traces_lie_in_the_windows() -> None:
    created = {row["Id"]: datetime.strptime(row["CreatedDate"], SALESFORCE_TIME) for row in table("Task")}
    created |= {row["Id"]: datetime.strptime(row["CreatedDate"], SALESFORCE_TIME) for row in table("Case")}
    keyed = {row["Id"] for row in table("Task") if row["CallObject"]}
    shadows = {row["ActivityId"] for row in table("EmailMessage")}
    for line in truth():
        for activity_id in line["activity_ids"]:
            if activity_id in created and activity_id not in keyed | shadows:
                delay = created[activity_id] - datetime.fromisoformat(line["ended_at"])
                assert delay <= timedelta(hours=72)
                assert datetime.fromisoformat(line["started_at"]) - created[activity_id] <= timedelta(minutes=15)


def test_only_the_last_days_are_pending_and_none_of_them_is_bypassed() -> None:
    ends_at = datetime(2025, 10, 19, 21, tzinfo=UTC)
    outcomes = Counter(line["outcome"] for line in truth())
    assert set(outcomes) == {"traced", "siloed", "bypassed", "pending"}
    for line in truth():
        is_open = datetime.fromisoformat(line["ended_at"]) > ends_at - timedelta(hours=72)
        assert line["outcome"] != ("bypassed" if is_open else "pending")


def test_every_bypass_has_a_reason_that_fits() -> None:
    for line in truth():
        if line["outcome"] != "bypassed":
            assert line["reason"] is None
        elif line["identifier"] is None:
            assert line["reason"] == "withheld"
        else:
            assert line["reason"] == ("not_logged" if line["customer_ids"] else "unknown_customer")


def test_all_habits_of_logging_occur_and_mistakes_are_no_traces() -> None:
    remarks = Counter((line["remark"], line["outcome"] == "traced") for line in truth())
    for remark in ("none", "wrong_customer", "ticket_of_nobody"):
        assert remarks[remark, False]
        assert not remarks[remark, True]
    for remark in ("logged", "by_colleague", "unidentified"):
        assert remarks[remark, True]
        assert not remarks[remark, False]
    assert any(len(line["activity_ids"]) > 1 for line in truth()), "some is logged twice"
    behind = sum(len(line["activity_ids"]) for line in truth())
    assert behind < sum(len(table(name)) for name in ("Task", "EmailMessage", "Case")), "some has nothing behind it"


# Large logs for benchmarks


def test_benchmark_logs_have_the_asked_size_and_shape(tmp_path: Path) -> None:
    write_calls(tmp_path, 2_000, seed=3)
    write_mail(tmp_path, 80)

    with (tmp_path / "asterisk/Master.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    legs = Counter(row[19] for row in rows)
    assert len(rows) == 2_000
    assert {len(row) for row in rows} == {21}
    assert set(legs.values()) == {1, 2, 3, 4}
    assert sum(1 for _ in (tmp_path / "salesforce/Task.csv").open()) == 501
    assert (tmp_path / "mail/archive.mbox").read_bytes().count(b"\nDate: ") == 80
    assert [row[11] for row in rows if row[14] == "ANSWERED"] == sorted(r[11] for r in rows if r[14] == "ANSWERED")
    for row in rows:
        epoch = datetime.fromisoformat(row[9]).replace(tzinfo=UTC).timestamp()
        assert epoch == int(row[16].split(".")[0])
    load((tmp_path / "bypassflow.toml").read_text(), "bypassflow.toml")


def test_benchmark_logs_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_calls(tmp_path / name, 500, seed=3)
    for path in sorted((tmp_path / "one").rglob("*.csv")):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "one")).read_bytes()
