"""Alerts and digests from a store to whom they are for: over HTTP and by mail, and again when that failed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typer.testing import CliRunner, Result

from cli import app as commands
from dashboard.delivering import by_apprise
from pipeline.errors import ConfigurationError, TransientError
from sinks import alerting
from sinks.alerting import Letter, Standings
from sinks.serving import Server
from sinks.store import Store
from tests.served import replayed_acme

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """
[[alert]]
name = "Leaks"
kind = "share"
raise_at = 0.2
to_env = ["CHAT"]

[[alert]]
name = "Records"
kind = "dead_letters"
to_env = ["CHAT"]

[[digest]]
name = "The week"
every = "week"
to_env = ["CHAT"]
"""


class Inbox(HTTPServer):
    """Takes messages over HTTP; `refuses` makes it say that it cannot."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.messages: list[dict[str, Any]] = []
        self.refuses = False

    @property
    def address(self) -> str:
        return f"json://127.0.0.1:{self.server_address[1]}/"


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Inbox)
        if not self.server.refuses:
            self.server.messages.append(json.loads(body))
        self.send_response(503 if self.server.refuses else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    server = Inbox()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("CHAT", server.address)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("acme"))


@pytest.fixture
def store(replayed: Path, tmp_path: Path) -> Path:
    """A store with its configuration beside it."""
    path = tmp_path / "acme.duckdb"
    path.write_bytes(replayed.read_bytes())
    (tmp_path / "bypassflow.toml").write_text(CONFIGURATION, encoding="utf-8")
    return path


def notify(store: Path, *options: str) -> Result:
    return CliRunner().invoke(commands, ["notify", "--db", str(store), *options])


def test_what_is_due_is_told_once(store: Path, inbox: Inbox) -> None:
    done = notify(store)
    assert done.exit_code == 0, done.output
    told = {each["title"]: each["message"] for each in inbox.messages}
    # Three of four conversations left no trace; the interval of so few begins at 30 %.
    assert set(told) == {"Alert: Leaks", "The week"}
    assert "Of 4 interactions that are decided, 3 left no trace" in told["Alert: Leaks"]
    assert "75.0" in told["The week"]
    assert "Which leaks most, for sure?" in told["The week"]
    again = notify(store)
    assert again.exit_code == 0
    assert len(inbox.messages) == 2


def test_an_alert_is_told_to_be_over(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    assert notify(store).exit_code == 0
    changed = CONFIGURATION.replace("raise_at = 0.2", "raise_at = 0.9")
    (tmp_path / "bypassflow.toml").write_text(changed, encoding="utf-8")
    assert notify(store).exit_code == 0
    assert [each["title"] for each in inbox.messages] == ["Alert: Leaks", "The week", "Over: Leaks"]


def test_what_could_not_be_delivered_is_told_the_next_time(store: Path, inbox: Inbox) -> None:
    inbox.refuses = True
    failed = notify(store)
    assert failed.exit_code == 1
    assert "could not be delivered" in failed.output
    assert inbox.address not in failed.output
    assert len(alerting.load(alerting.beside(store)).outbox) == 2
    inbox.refuses = False
    assert notify(store).exit_code == 0
    assert sorted(each["title"] for each in inbox.messages) == ["Alert: Leaks", "The week"]
    assert alerting.load(alerting.beside(store)).outbox == []


def test_a_try_prints_everything_and_keeps_nothing(store: Path, inbox: Inbox) -> None:
    done = notify(store, "--dry-run")
    assert done.exit_code == 0
    assert "to CHAT\nAlert: Leaks\n" in done.output
    assert inbox.address not in done.output
    assert inbox.messages == []
    assert not alerting.beside(store).exists()


def test_a_message_arrives_by_mail(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    envelopes: list[Envelope] = []

    class Keeping:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            envelopes.append(envelope)
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(Keeping(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        address = f"mailto://127.0.0.1:{port}?from=bypassflow@acme.example&to=ops@acme.example&mode=insecure"
        monkeypatch.setenv("CHAT", address)
        done = notify(store)
    finally:
        controller.stop()
    assert done.exit_code == 0, done.output
    assert len(envelopes) == 2
    assert {each.rcpt_tos[0] for each in envelopes} == {"ops@acme.example"}
    assert any(b"Leaks" in (each.content or b"") for each in envelopes if isinstance(each.content, bytes))


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "which is not set"), ("nothing://", "holds no address that Apprise knows")],
)
def test_an_address_that_is_none_is_told_by_the_name_of_its_variable(
    store: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    monkeypatch.delenv("CHAT", raising=False)
    if value is not None:
        monkeypatch.setenv("CHAT", value)
    done = notify(store)
    assert done.exit_code != 0
    told = f"{done.output}{done.exception}"
    assert said in told
    assert "CHAT" in told
    assert "nothing://" not in told


def test_without_alerts_it_says_where_they_belong(replayed: Path) -> None:
    done = notify(replayed)
    assert "[[alert]]" in f"{done.output}{done.exception}"


def test_of_one_alert_only_the_newest_message_waits(tmp_path: Path) -> None:
    standings = Standings()
    for title in ("Alert: Leaks", "Over: Leaks"):
        standings.post(Letter("Leaks", "CHAT", title, ""))
    standings.post(Letter("Leaks", "MAIL", "Over: Leaks", ""))
    path = tmp_path / "kept.json"
    alerting.save(path, standings)
    kept = alerting.load(path)
    assert [(each.variable, each.title) for each in kept.outbox] == [("CHAT", "Over: Leaks"), ("MAIL", "Over: Leaks")]
    assert os.listdir(tmp_path) == ["kept.json"]


def test_a_file_that_holds_something_else_is_not_written_over(store: Path, tmp_path: Path, inbox: Inbox) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}", encoding="utf-8")
    done = notify(store, "--state", str(other))
    assert done.exit_code != 0
    assert "move it away to begin anew" in f"{done.output}{done.exception}"
    assert other.read_text(encoding="utf-8") == "{}"
    assert inbox.messages == []


def test_an_empty_store_raises_nothing(tmp_path: Path, inbox: Inbox) -> None:
    path = tmp_path / "empty.duckdb"
    with Store.create(path) as made:
        made.publish()
    (tmp_path / "bypassflow.toml").write_text(CONFIGURATION, encoding="utf-8")
    assert notify(path).exit_code == 0
    assert [each["title"] for each in inbox.messages] == ["The week"]
    assert "Nothing is decided in this period." in inbox.messages[0]["message"]


def test_an_address_that_is_none_holds_back_its_own_messages_alone(
    store: Path, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "nothing://")
    changed = CONFIGURATION.replace('to_env = ["CHAT"]', 'to_env = ["WRONG"]', 1)
    (tmp_path / "bypassflow.toml").write_text(changed, encoding="utf-8")
    done = notify(store)
    assert done.exit_code == 1
    assert "WRONG holds no address that Apprise knows" in done.output
    assert [each["title"] for each in inbox.messages] == ["The week"]
    assert [each.variable for each in alerting.load(alerting.beside(store)).outbox] == ["WRONG"]


def test_what_waits_goes_where_its_notice_goes_now(
    store: Path, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.refuses = True
    assert notify(store).exit_code == 1
    inbox.refuses = False
    # The alert has another variable now, and the digest is no more.
    monkeypatch.delenv("CHAT")
    monkeypatch.setenv("OTHER", inbox.address)
    changed = CONFIGURATION.partition("[[digest]]")[0].replace("CHAT", "OTHER")
    (tmp_path / "bypassflow.toml").write_text(changed, encoding="utf-8")
    assert notify(store).exit_code == 0
    assert [each["title"] for each in inbox.messages] == ["Alert: Leaks"]
    assert alerting.load(alerting.beside(store)).outbox == []


def test_two_addresses_in_one_variable_are_refused(store: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT", f"{inbox.address}, {inbox.address}other")
    done = notify(store)
    assert done.exit_code == 1
    assert "CHAT holds 2 addresses" in done.output
    assert inbox.address not in done.output
    assert inbox.messages == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe{",
        b'{"form": 1, "alerts": {}, "digests": {"The week": "2024-01-01T00:00:00+00:00"}, "outbox": []}',
    ],
    ids=["no text", "an instant with a zone"],
)
def test_a_state_that_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="move it away to begin anew"):
        alerting.load(path)


def test_that_everything_is_silent_is_told_by_the_clock(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    text = '[[alert]]\nname = "Silent"\nkind = "silence"\nto_env = ["CHAT"]\n'
    (tmp_path / "bypassflow.toml").write_text(text, encoding="utf-8")
    # The last record is of March 2024.
    assert notify(store).exit_code == 0
    (told,) = inbox.messages
    assert told["title"] == "Alert: Silent"
    assert "no source has written anything for" in told["message"]


def test_an_alert_about_a_team_that_there_is_not_is_said_and_the_others_are_told(
    store: Path, inbox: Inbox, tmp_path: Path
) -> None:
    text = CONFIGURATION + '[[alert]]\nname = "Sales"\nkind = "share"\nteam = ["Seles"]\nto_env = ["CHAT"]\n'
    (tmp_path / "bypassflow.toml").write_text(text, encoding="utf-8")
    done = notify(store)
    assert done.exit_code == 1
    assert "alert 'Sales': unknown team 'Seles'; expected one of Sales, Service" in done.output
    assert len(inbox.messages) == 2


def ask_sink(url: str, folder: Path, *options: str) -> Result:
    configured = ["--config", str(folder / "bypassflow.toml"), "--state", str(folder / "told.json")]
    return CliRunner().invoke(commands, ["notify", "--url", url, *configured, *options])


def test_a_running_sink_is_told_of_as_its_store_is(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    assert notify(store, "--state", str(tmp_path / "other.json")).exit_code == 0
    of_store = [(each["title"], each["message"]) for each in inbox.messages]
    inbox.messages.clear()

    with Store.open(store) as opened, Server(opened, dict, "127.0.0.1", 0) as sink:
        tried = ask_sink(sink.url, tmp_path, "--dry-run")
        asked = [ask_sink(sink.url, tmp_path) for _ in range(2)]

    assert "to CHAT\nAlert: Leaks\n" in tried.output
    assert [each.exit_code for each in asked] == [0, 0], asked[0].output
    assert [(each["title"], each["message"]) for each in inbox.messages] == of_store
    assert len(of_store) == 2


def test_a_sink_that_is_away_is_said_and_nothing_is_forgotten(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    with Store.open(store) as opened, Server(opened, dict, "127.0.0.1", 0) as sink:
        inbox.refuses = True
        assert ask_sink(sink.url, tmp_path).exit_code == 1
    kept = (tmp_path / "told.json").read_bytes()

    gone = ask_sink(sink.url, tmp_path)

    assert "no sink answers at" in f"{gone.output}{gone.exception}"
    assert gone.exit_code != 0
    assert (tmp_path / "told.json").read_bytes() == kept


@pytest.mark.parametrize("options", [(), ("--url", "http://127.0.0.1:8766")])
def test_without_a_store_the_place_of_what_was_told_is_named(
    options: tuple[str, ...], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BYPASSFLOW_DB", raising=False)
    done = CliRunner().invoke(commands, ["notify", *options])
    assert done.exit_code != 0
    assert "a running sink with --url http://127.0.0.1:PORT and a file with --state" in f"{done.output}{done.exception}"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_small_teams_are_told_of_together_where_the_company_shows_them_so(
    store: Path, inbox: Inbox, tmp_path: Path, options: tuple[str, ...]
) -> None:
    alone = '[[alert]]\nname = "Sales leaks"\nkind = "share"\nraise_at = 0.2\nteam = ["Sales"]\nto_env = ["CHAT"]\n'
    together = f"{CONFIGURATION}\n{alone}\n[privacy]\nmerge_small_teams = true\n"
    (tmp_path / "bypassflow.toml").write_text(together, encoding="utf-8")
    done = notify(store, *options)
    said = done.output + "".join(each["message"] for each in inbox.messages)
    assert "alert 'Sales leaks': the team 'Sales' has fewer than 8 representatives" in said
    assert "1. (small groups together)" in said
    assert "Service" not in said


def test_two_at_once_do_not_tell_everything_twice(store: Path, inbox: Inbox) -> None:
    with alerting.alone(alerting.beside(store)):
        done = notify(store)
    assert done.exit_code != 0
    assert "another notify is at work" in f"{done.output}{done.exception}"
    assert inbox.messages == []


def test_a_store_that_is_away_for_a_moment_ends_nothing(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    away = store.rename(tmp_path / "away.duckdb")
    environment = {**os.environ, "CHAT": inbox.address}
    arguments = ["notify", "--db", str(store), "--every", "1s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "nothing sent this time" in process.stderr.readline()
    away.rename(store)
    while "sent: 2" not in (said := process.stderr.readline()):
        assert said
    process.terminate()
    assert process.wait(30) == 0
    assert len(inbox.messages) == 2


def test_alerts_that_were_changed_are_taken_without_a_restart(store: Path, inbox: Inbox, tmp_path: Path) -> None:
    environment = {**os.environ, "CHAT": inbox.address}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "notify", "--db", str(store), "--every", "1s"],
        env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "sent: 2" not in (said := process.stderr.readline()):
        assert said
    config = tmp_path / "bypassflow.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('name = "Leaks"', 'name = "All leaks"'), encoding="utf-8")
    process.send_signal(signal.SIGHUP)
    while "read again and taken: [alert]" not in (said := process.stderr.readline()):
        assert said
    process.terminate()
    assert process.wait(30) == 0


class _Endless(BaseHTTPRequestHandler):
    """Takes a message, and answers on and on: `pause` between two pieces."""

    pause = 0.0
    piece = bytes(1 << 20)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(self.piece)
                time.sleep(self.pause)
        except OSError:
            pass  # given up

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class _Dripping(_Endless):
    pause = 0.1
    piece = b" "


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Give the address of one who takes messages so."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_whoever_answers_drop_by_drop_is_given_up() -> None:
    with answering(_Dripping) as address, pytest.raises(TransientError, match="it was not taken within 3 s"):
        by_apprise({"CHAT": address}, patience=3)("CHAT", "Alert: Leaks", "3 of 4")


def test_one_who_answers_without_end_holds_back_its_own_messages_alone(
    store: Path, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = CONFIGURATION.replace('to_env = ["CHAT"]', 'to_env = ["ENDLESS"]', 1)
    (tmp_path / "bypassflow.toml").write_text(changed, encoding="utf-8")
    with answering(_Endless) as address:
        monkeypatch.setenv("ENDLESS", address)
        done = notify(store)
    assert done.exit_code == 1
    assert "could not be delivered to the address in ENDLESS" in done.output
    assert address not in done.output
    assert [each["title"] for each in inbox.messages] == ["The week"]
    assert [each.variable for each in alerting.load(alerting.beside(store)).outbox] == ["ENDLESS"]
