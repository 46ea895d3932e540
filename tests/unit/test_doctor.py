"""`bypassflow doctor` finds what is wrong with a set-up, one thing at a time, and says the remedy."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from agents.examination import cluster, installation
from agents.examination.installation import Installation
from pipeline.fact_key import FactKey
from pipeline.findings import Finding, Level, clock, is_failed, room
from pipeline.keys import CompanyKey, fingerprint
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.packing import Pack, pack
from schemas.topics import FACTS
from sinks import examination
from sinks.examination import Surroundings
from sinks.placement import Placement
from tests.acme import write_acme
from tests.integration.companies import Ran, bypassflow
from tests.memory_log import MemoryLog
from tests.records import Fact, call, email
from tests.stores import published, said

NOW = datetime(2024, 5, 20, 12, tzinfo=UTC)
ALERT = '\n[[alert]]\nname = "Leaks"\nkind = "share"\nraise_at = 0.5\nto_env = ["DOCTOR_CHAT"]\n'
HOOK = (
    '\n[[receiver]]\nkind = "twilio"\nsource = "sms"\npath = "/hooks/sms"\n'
    'public_url = "https://hooks.acme.example/sms"\nsecret_file = "hook.secret"\n'
)
SIGNED = (
    '\n[kafka]\nbootstrap = ["127.0.0.1:9"]\nsecurity_protocol = "sasl_plaintext"\nsasl_mechanism = "PLAIN"\n'
    'username = "u"\npassword_env = "DOCTOR_PASSWORD"\n'
)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_acme(tmp_path_factory.mktemp("doctor") / "acme")
    with (folder / "bypassflow.toml").open("a", encoding="utf-8") as stream:
        stream.write(ALERT + HOOK)
    ran = bypassflow("replay", folder, "--db", folder / "acme.duckdb")
    assert ran.exit_code == 0, ran.error
    (folder / "hook.secret").write_text("s3cret", encoding="utf-8")
    (folder / "hook.secret").chmod(0o600)
    return folder


@pytest.fixture
def company(healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCTOR_CHAT", "json://127.0.0.1")
    monkeypatch.delenv("BYPASSFLOW_BOOTSTRAP", raising=False)
    return Path(shutil.copytree(healthy, tmp_path / "acme"))


def doctor(company: Path, db: str = "acme.duckdb", *options: str) -> tuple[Ran, list[dict[str, str]]]:
    ran = bypassflow(
        "doctor", "--db", company / db, "--config", company / "bypassflow.toml", "--format", "json",
        "--url", "http://127.0.0.1:9", *options,
    )  # fmt: skip
    return ran, json.loads(ran.out)


def test_a_healthy_set_up_has_nothing_to_be_mended(company: Path) -> None:
    ran, found = doctor(company)

    assert [each for each in found if each["level"] != "ok"] == []
    assert ran.exit_code == 0
    assert {each["subject"] for each in found} == {
        "Python", "libraries", "import names", "configuration", "secrets", "key", "folder", "clocks", "disk", "store",
        "feeds", "broker",
    }  # fmt: skip


def append(text: str) -> Callable[[Path], None]:
    def change(company: Path) -> None:
        with (company / "bypassflow.toml").open("a", encoding="utf-8") as stream:
            stream.write(text)

    return change


def live_without_key(company: Path) -> None:
    append("\n[kafka]\n")(company)
    (company / "bypassflow.key").unlink()


def version(number: int) -> Callable[[Path], None]:
    def change(company: Path) -> None:
        with duckdb.connect(str(company / "acme.duckdb")) as connection:
            connection.execute("UPDATE schema_version SET version = $1", [number])

    return change


def open_tokens(company: Path) -> None:
    (company / "bypassflow.access.json").write_text("{}", encoding="utf-8")
    (company / "bypassflow.access.json").chmod(0o644)


def rename_company(company: Path) -> None:
    path = company / "bypassflow.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[company]", '[company]\nid = "other"'), encoding="utf-8")


def without_alert_variable(company: Path) -> None:
    del os.environ["DOCTOR_CHAT"]


BROKEN: dict[str, tuple[Callable[[Path], object], str, str, str, str]] = {
    "an unknown key of the configuration": (
        append("\n[privacy]\nkey_fil = 'x'\n"), "error", "configuration", "key_fil", "key_file",
    ),
    "a configuration that is no TOML": (append("\n["), "error", "configuration", "not valid TOML", "expected"),
    "a variable that is not set": (
        without_alert_variable, "error", "secrets", "the environment has no DOCTOR_CHAT", "set DOCTOR_CHAT",
    ),
    "a secret that others may read": (
        lambda company: (company / "hook.secret").chmod(0o644), "warning", "secrets", "mode 0644", "chmod 600",
    ),
    "a secret that is not there": (
        lambda company: (company / "hook.secret").unlink(), "error", "secrets", "no such file", "put the file there",
    ),
    "a secret that is empty": (
        lambda company: (company / "hook.secret").write_text(""), "error", "secrets", "is empty", "write the secret",
    ),
    "tokens of readers that others may read": (
        open_tokens, "warning", "secrets",
        "bypassflow.access.json has mode 0644", "chmod 600",
    ),
    "a key that others may read": (
        lambda company: (company / "bypassflow.key").chmod(0o644), "error", "key", "mode 0644", "chmod 600",
    ),
    "a file that holds no key": (
        lambda company: (company / "bypassflow.key").write_text("?"), "error", "key", "holds no key", "restore it",
    ),
    "the key of somebody else": (
        lambda company: (company / "bypassflow.key").write_text("ab" * 32), "error", "key", "another key",
        "put that key back",
    ),
    "the store of another company": (
        rename_company, "error", "store", "of the company acme", "name the configuration of that company",
    ),
    "a store that is none": (
        lambda company: (company / "acme.duckdb").write_text("no"), "error", "store", "not a DuckDB file", "name",
    ),
    "a store of a newer version": (version(99), "error", "store", "schema 99", "upgrade bypassflow"),
    "a store of an older version": (version(4), "warning", "store", "schema 4", "backup"),
    "a broker that is away": (
        append('\n[kafka]\nbootstrap = ["127.0.0.1:9"]\n'), "error", "broker", "cannot be reached", "start it",
    ),
    "a password that is not set": (append(SIGNED), "error", "broker", "no DOCTOR_PASSWORD", "set it"),
    "a live company without its key": (
        live_without_key, "error", "key",
        "is not there", "copy it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_found_with_its_remedy(company: Path, name: str) -> None:
    sabotage, level, subject, what, remedy = BROKEN[name]
    sabotage(company)

    ran, found = doctor(company)

    told = [each for each in found if each["subject"] == subject and each["level"] == level and what in each["found"]]
    assert told, found
    assert remedy in told[0]["remedy"]
    assert ran.exit_code == (1 if level == "error" else 0)
    assert "s3cret" not in ran.out


def test_a_folder_that_is_not_there_is_found(company: Path) -> None:
    ran, found = doctor(company, "absent/acme.duckdb")

    (told,) = [each for each in found if each["level"] == "error"]
    assert (told["subject"], told["found"]) == ("folder", "cannot be written: no such file or directory")
    assert told["remedy"].startswith("make it")
    assert ran.exit_code == 1


@contextmanager
def held(store: Path) -> Iterator[None]:
    with Placement(store).lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_store_that_somebody_writes_is_a_warning_unless_a_sink_answers_for_it(company: Path) -> None:
    path = company / "acme.duckdb"
    with held(path):
        ran, found = doctor(company)
        served = examination.examine_store(around(company, is_served=lambda: True), path)

    (told,) = [each for each in found if each["level"] == "warning"]
    assert (ran.exit_code, told["found"]) == (0, "another process is writing it, so nobody else can open it")
    assert "--url" in told["remedy"]
    assert problems(served) == []


def test_looking_changes_nothing(company: Path) -> None:
    version(4)(company)
    before = {path: path.stat().st_mtime_ns for path in company.rglob("*") if path.is_file()}

    doctor(company)

    assert {path: path.stat().st_mtime_ns for path in company.rglob("*") if path.is_file()} == before


def test_people_see_a_table_with_the_remedy(company: Path) -> None:
    ran = bypassflow("doctor", "--config", company / "bypassflow.toml", "--db", company / "absent" / "x.duckdb")

    assert "→ make it" in ran.out
    assert ran.error.endswith("something is in the way; see above\n")


# What a test cannot break for real


def problems(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK]


def around(company: Path, **values: Any) -> Surroundings:
    known = Surroundings(
        company_id="acme",
        zone=ZoneInfo("Europe/Helsinki"),
        key_path=company / "absent.key",
        digest=lambda key: key.hex(),
        is_live=False,
        is_served=lambda: False,
        now=lambda: datetime.now(UTC),
    )
    return dataclasses.replace(known, **values)


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    (told,) = problems(examination.examine_folder(around(tmp_path, free=lambda _: 9_000_000), tmp_path, "store"))

    assert (told.level, told.subject) == (Level.ERROR, "disk")
    assert told.found == "9 MB free, and 1,000 MB are the least"


def test_a_disk_on_which_the_store_does_not_fit_twice_is_found() -> None:
    told = room("here", 5_000_000_000, 3_000_000_000)

    assert (told.level, told.found) == (Level.WARNING, "5,000 MB free, less than twice the store's 3,000 MB")
    assert room("here", 6_000_000_000, 3_000_000_000).level is Level.OK


def test_a_disk_whose_clock_is_wrong_is_found(tmp_path: Path) -> None:
    later = around(tmp_path, now=lambda: datetime.now(UTC) + timedelta(minutes=5))

    (told,) = problems(examination.examine_folder(later, tmp_path, "store"))

    assert (told.level, told.subject) == (Level.ERROR, "clocks")
    assert "behind this machine's clock" in told.found
    assert "time server" in told.remedy


@pytest.mark.parametrize(("seconds", "is_fine"), [(10, True), (-10, True), (11, False), (-11, False)])
def test_clocks_may_differ_by_ten_seconds(seconds: int, is_fine: bool) -> None:
    assert is_failed([clock("there", NOW + timedelta(seconds=seconds), NOW)]) is not is_fine


def test_a_broker_whose_clock_is_ahead_is_found() -> None:
    settings = KafkaSettings(partitions=1)
    stamp = NOW + timedelta(minutes=2)
    log = MemoryLog({topic.name: 1 for topic in settings.topics()}, int(stamp.timestamp() * 1000))
    log.append([Draft("facts", 0, b"x")])

    (told,) = cluster.newest(log, settings, NOW)
    (fine,) = cluster.newest(log, settings, NOW + timedelta(minutes=3))

    assert (told.level, told.subject, fine.level) == (Level.ERROR, "clocks", Level.OK)
    assert "120 seconds in the future" in told.found


def test_facts_that_were_made_with_another_key_are_found_with_the_remedy() -> None:
    settings, ours = KafkaSettings(), CompanyKey(b"k" * 32)
    log = MemoryLog({topic.name: topic.partitions for topic in settings.topics()})
    (empty,) = cluster.made_with(log, settings, "acme", FactKey(ours))
    log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": "acme", "key": fingerprint(ours)})))])

    (same,) = cluster.made_with(log, settings, "acme", FactKey(ours))
    (strange,) = cluster.made_with(log, settings, "acme", FactKey(b"x" * 32))
    (rotated,) = cluster.made_with(log, settings, "acme", FactKey(CompanyKey(ours + b"l" * 32)))

    assert [each.level for each in (empty, same, strange, rotated)] == ["ok", "ok", "error", "error"]
    assert strange.remedy.startswith("copy the company's key file from where its other processes run")
    assert rotated.remedy == "begin under another [kafka] prefix"


def feeds(path: Path, last_call: datetime, last_mail: datetime) -> Path:
    """Make a store of two sources with ten weeks of an hour a day each, until their last day."""
    days = [NOW.replace(tzinfo=None) - timedelta(days=number) for number in range(70)]
    calls: list[Fact] = [
        call(f"pbx:cdr.csv:{day:%m%d}{number}", day - timedelta(minutes=number))
        for day in days
        if day.replace(tzinfo=UTC) <= last_call
        for number in range(12)
    ]
    mail: list[Fact] = [
        email(f"mail:in:{day:%m%d}", day, "T-own", ["T-anna"], message_id=f"{day:%m%d}")
        for day in days
        if day.replace(tzinfo=UTC) <= last_mail
    ]
    published(path, {("pbx", "cdr.csv"): calls, ("mail", "in"): mail}, said([]))
    return path


def test_a_source_that_fell_silent_is_found(tmp_path: Path) -> None:
    path = feeds(tmp_path / "x.duckdb", NOW - timedelta(days=5), NOW)

    (told,) = problems(examination.examine_store(around(tmp_path, is_live=True, now=lambda: NOW), path)[3:])

    assert (told.level, told.subject, told.place) == (Level.WARNING, "feeds", "pbx")
    assert "there usually are" in told.found
    assert "receiver" in told.remedy


def test_history_is_fresh_when_all_of_its_sources_end_together(tmp_path: Path) -> None:
    path = feeds(tmp_path / "x.duckdb", NOW, NOW)
    much_later = around(tmp_path, now=lambda: NOW + timedelta(days=400))

    assert problems(examination.examine_store(much_later, path)[3:]) == []


def test_records_of_the_future_are_found(tmp_path: Path) -> None:
    path = feeds(tmp_path / "x.duckdb", NOW, NOW)
    earlier = around(tmp_path, now=lambda: NOW - timedelta(hours=3))

    told = problems(examination.examine_store(earlier, path)[3:])

    assert {(each.level, each.place) for each in told} == {(Level.ERROR, "pbx"), (Level.ERROR, "mail")}
    assert "10,800 seconds in the future" in told[0].found
    assert "time zone" in told[0].remedy


@pytest.fixture(scope="module")
def installed() -> Installation:
    return installation.installation(Path(__file__).resolve().parents[2])


def test_this_installation_is_as_it_should_be(installed: Installation) -> None:
    assert problems(installation.examine(installed)) == []


@pytest.mark.parametrize(
    ("change", "subject", "what", "remedy"),
    [
        ({"python": "3.10.4"}, "Python", "expected >=3.11", "newer one"),
        ({"requirements": ["duckdb>=99"]}, "libraries", "expected >=99", "install bypassflow anew"),
        ({"requirements": ["no-such-library>=1"]}, "libraries", "is not installed", "install bypassflow anew"),
        ({"requirements": None}, "libraries", "is not installed", "install bypassflow anew"),
        ({"locked": {"duckdb": "0.1"}}, "libraries", "instead of 0.1", "install bypassflow anew"),
        ({"owners": {"sinks": ["bypassflow", "other-sinks"]}}, "import names", "other-sinks", "uninstall it"),
        ({"origins": {}}, "import names", "is read from nowhere", "unset PYTHONPATH"),
    ],
)
def test_a_wrong_installation_is_found(
    installed: Installation, change: dict[str, Any], subject: str, what: str, remedy: str
) -> None:
    told = problems(installation.examine(dataclasses.replace(installed, **change)))

    assert {each.subject for each in told} == {subject}
    assert what in told[0].found
    assert remedy in told[0].remedy
