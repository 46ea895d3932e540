"""Mailboxes of a real Dovecot: every message once, whatever the server does, and nothing in them is changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from agents.receivers.running import Receiver
from pipeline.errors import TransientError
from tests.dovecot import PASSWORD, SENT, Dovecot, running_dovecot
from tests.receiving_broker import Broker, use_receiver

MAILBOX = "sales@acme.fi"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with running_dovecot() as found:
        yield found


@pytest.fixture
def mailbox(server: Dovecot, request: pytest.FixtureRequest) -> str:
    """A mailbox of the test's own."""
    return f"{request.node.name.lower()[5:40]}@acme.fi"


def message(number: int, sender: str = "maija@customer.fi", to: str = "list@acme.fi") -> bytes:
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Offer\r\nMessage-ID: <{number}@customer.fi>\r\n"
        "Date: Mon, 4 Mar 2024 09:00:00 +0200\r\n\r\nA secret body\r\n"
    ).encode()


def settings(server: Dovecot, mailbox: str, more: str = "") -> str:
    return (
        f'[[receiver]]\nkind = "imap"\nsource = "mail"\nhost = "localhost"\nport = {server.port}\ntls = "none"\n'
        f'username = "{mailbox}"\nsecret_env = "PASSWORD"\npoll_interval = "1s"\n{more}'
    )


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def watch(
    folder: Path, text: str, test: Callable[[Broker], Awaitable[None]], password: str = PASSWORD
) -> tuple[list[str], Broker]:
    """Run a test beside a watcher; return the ids of the messages that the broker keeps, in order."""

    async def run(broker: Broker, receiver: Receiver) -> None:
        await test(broker)

    broker = use_receiver(folder, text, run, PASSWORD=password)
    return [row["event_id"].partition("@")[0] for row in broker.rows()], broker


def ids(broker: Broker) -> set[str]:
    return {row["event_id"].partition("@")[0] for row in broker.rows()}


def test_old_and_new_messages_of_inbox_and_sent_come_once_and_stay_unread(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    for number in range(450):  # more than are fetched at once
        server.deliver(mailbox, message(number))
    server.deliver(mailbox, message(500, sender=mailbox, to="maija@customer.fi"), SENT)
    server.deliver(mailbox, message(501), ".Drafts")

    async def first(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 451)
        server.deliver(mailbox, message(600))
        await until(lambda: len(broker.rows()) == 452)

    text = settings(server, mailbox)
    found, broker = watch(tmp_path, text, first)
    assert sorted(map(int, found)) == [*range(450), 500, 600]
    rows = {row["event_id"]: row for row in broker.rows()}
    # Whose mailbox it is, is known of what came, and not added to what was sent.
    assert [party["role"] for party in rows["1@customer.fi"]["parties"]] == ["to", "delivered"]
    assert [party["role"] for party in rows["500@customer.fi"]["parties"]] == ["to"]
    assert "secret" not in str(broker.messages())
    assert "Offer" not in str(broker.messages())
    assert mailbox not in "".join(broker.said)

    async def second(broker: Broker) -> None:
        server.deliver(mailbox, message(601))
        await until(lambda: len(broker.rows()) == 1)

    assert watch(tmp_path, text, second)[0] == ["601"]
    cur = server.folder / "mail" / mailbox / "cur"
    assert not [path.name for path in cur.iterdir() if "S" in path.name.partition(":2,")[2]]


def test_a_server_that_was_restarted_and_counts_anew_is_read_again_under_the_same_identities(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    server.deliver(mailbox, message(1))
    text = settings(server, mailbox)

    async def test(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)
        server.stop()
        server.forget_uids(mailbox)
        await asyncio.sleep(1.1)  # a validity is a second
        server.start()
        server.deliver(mailbox, message(2))
        await until(lambda: len(broker.rows()) == 3)
        await until(lambda: any("is read again" in sentence for sentence in broker.said))

    found, broker = watch(tmp_path, text, test)
    assert sorted(found) == ["1", "1", "2"]
    assert len({row["raw_id"] for row in broker.rows()}) == 2
    assert any("counted anew" in sentence for sentence in broker.said)


def test_a_message_that_is_moved_between_folders_is_the_same(server: Dovecot, mailbox: str, tmp_path: Path) -> None:
    server.deliver(mailbox, message(1))

    def move() -> None:
        with IMAPClient("localhost", server.port, ssl=False) as client:
            client.login(mailbox, PASSWORD)
            client.create_folder("Archive")
            client.select_folder("INBOX")
            client.move([1], "Archive")
            client.append("Archive", message(2))

    async def test(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)
        await asyncio.to_thread(move)
        await until(lambda: ids(broker) == {"1", "2"})

    _, broker = watch(tmp_path, settings(server, mailbox, 'folders = ["*"]\n'), test)
    assert len({row["raw_id"] for row in broker.rows()}) == 2


def test_only_folders_that_are_named_are_read_and_drafts_not_by_a_pattern(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    for number, folder in enumerate(("", SENT, ".Drafts", ".Offers", ".Offers.2024", ".Private"), 1):
        server.deliver(mailbox, message(number), folder)

    def read(folders: str, count: int) -> list[str]:
        async def test(broker: Broker) -> None:
            await until(lambda: len(broker.rows()) == count)

        folder = tmp_path / str(count)
        folder.mkdir()
        return sorted(watch(folder, settings(server, mailbox, f"folders = {folders}\n"), test)[0])

    assert read('["inbox", "Offers*"]', 3) == ["1", "4", "5"]
    assert read('["Drafts"]', 1) == ["3"]
    assert read('["*"]', 5) == ["1", "2", "4", "5", "6"]


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(server: Dovecot, mailbox: str, tmp_path: Path) -> None:
    for number, folder in enumerate((".Broken", "", ".Offers"), 1):
        server.deliver(mailbox, message(number), folder)
    (server.folder / "mail" / mailbox / ".Broken").chmod(0)

    async def test(broker: Broker) -> None:
        await until(lambda: ids(broker) == {"2", "3"})
        server.deliver(mailbox, message(4))
        await until(lambda: ids(broker) == {"2", "3", "4"})

    _, broker = watch(tmp_path, settings(server, mailbox, 'folders = ["Broken", "INBOX", "Offers"]\n'), test)
    assert len(broker.rows()) == 3
    assert [said for said in broker.said if "cannot be" in said]


def test_what_is_there_at_the_first_start_may_be_left(server: Dovecot, mailbox: str, tmp_path: Path) -> None:
    server.deliver(mailbox, message(1))
    text = settings(server, mailbox, 'begin = "end"\n')

    async def nothing(broker: Broker) -> None:
        await asyncio.sleep(1.5)

    async def new(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)

    assert watch(tmp_path, text, nothing)[0] == []
    server.deliver(mailbox, message(2))
    assert watch(tmp_path, text, new)[0] == ["2"]


def test_a_position_is_kept_only_when_the_broker_kept_the_records(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    server.deliver(mailbox, message(1))

    async def away(broker: Broker) -> None:
        broker.error = TransientError("away")
        await asyncio.sleep(1.5)

    async def back(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)

    text = settings(server, mailbox)
    assert watch(tmp_path, text, away)[0] == []
    assert watch(tmp_path, text, back)[0] == ["1"]


def test_messages_that_are_told_at_once_do_not_wait_for_the_next_look(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    took: list[float] = []
    server.deliver(mailbox, message(1))

    async def test(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        server.deliver(mailbox, message(2))
        await until(lambda: len(broker.rows()) == 2)
        took.append(time.monotonic() - begun)

    watch(tmp_path, settings(server, mailbox).replace('"1s"', '"10min"'), test)
    assert took[0] < 15


def test_a_server_without_idle_is_asked_at_intervals(
    server: Dovecot, mailbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imapclient.IMAPClient.has_capability", lambda self, name: name != "IDLE")
    server.deliver(mailbox, message(1))

    async def test(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)
        server.deliver(mailbox, message(2))
        await until(lambda: len(broker.rows()) == 2)

    assert watch(tmp_path, settings(server, mailbox), test)[0] == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "password", "words"),
    [
        ("", "a wrong one", "refuses the user name or the secret"),
        ('folders = ["None"]\n', PASSWORD, "none of the folders"),
    ],
)
def test_what_is_wrong_is_said_once_and_without_the_secret(
    server: Dovecot, tmp_path: Path, change: str, password: str, words: str
) -> None:
    async def test(broker: Broker) -> None:
        await until(lambda: bool(broker.said))
        await asyncio.sleep(2)

    (sentence,) = watch(tmp_path, settings(server, "anyone@acme.fi", change), test, password)[1].said
    assert words in sentence
    assert password not in sentence
    assert "anyone" not in sentence


def test_a_secret_may_come_from_a_command_and_is_asked_for_at_each_sign_in(
    server: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    server.deliver(mailbox, message(1))

    async def test(broker: Broker) -> None:
        await until(lambda: len(broker.rows()) == 1)

    text = settings(server, mailbox).replace('secret_env = "PASSWORD"', f'secret_command = ["echo", "{PASSWORD}"]')
    assert watch(tmp_path, text, test)[0] == ["1"]


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_certificate_is_checked_before_anybody_signs_in(is_trusted: bool, tmp_path: Path) -> None:
    async def test(broker: Broker) -> None:
        await until(lambda: bool(broker.rows() or broker.said))

    with running_dovecot(with_tls=True) as server:
        server.deliver(MAILBOX, message(1))
        text = settings(server, MAILBOX, f'ca_file = "{server.folder}/mail.pem"\n' if is_trusted else "")
        found, broker = watch(tmp_path, text.replace('tls = "none"', 'tls = "starttls"'), test)
    assert found == (["1"] if is_trusted else [])
    assert is_trusted or "is not trusted" in broker.said[0]
