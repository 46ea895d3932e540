"""Senders that mean ill, beyond what each receiver's own tests try: proofs, bodies without end, and SMTP's traps."""

from __future__ import annotations

import base64
import contextlib
import hmac
import resource
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.received import Feed, Translator
from pipeline.sources.registry import by_name
from pipeline.webhooks import proofs, signed
from pipeline.webhooks.exchange import Refused, Request, Sender
from pipeline.webhooks.freeswitch import Freeswitch
from pipeline.webhooks.graph import Graph
from pipeline.webhooks.meta import Meta
from pipeline.webhooks.twilio import Twilio
from tests import webhooks
from tests.certificates import Certificates, make_certificates
from tests.receiving_broker import Broker
from tests.smtp import client, message, serve
from tests.webhooks import Post

NOW = datetime(2024, 3, 5, 9, 3, tzinfo=UTC)
PATIENCE = 20.0


def request(post: Post) -> Request:
    headers = {name.lower(): value for name, value in post.headers.items()}
    return Request("POST", post.path.partition("?")[2], headers, NOW, post.body)


SENDERS: dict[str, tuple[Sender, Post]] = {
    "signature": (
        signed.signing("canonical_jsonl", proofs.standard_key(webhooks.SECRET), NOW - NOW.replace(minute=0)),
        webhooks.signed(b"{}", NOW.timestamp()),
    ),
    "bearer": (signed.bearer("canonical_jsonl", webhooks.TOKEN), webhooks.bearer(b"{}")),
    "basic": (
        signed.basic("canonical_jsonl", webhooks.USER, webhooks.PASSWORD),
        Post("/hook", b"{}", {"Authorization": webhooks.switch({}).headers["Authorization"]}),
    ),
    "switch": (
        Freeswitch(webhooks.USER, webhooks.PASSWORD),
        webhooks.switch(webhooks.channel(1, int(NOW.timestamp()))),
    ),
    "twilio": (
        Twilio(webhooks.PUBLIC_URL, webhooks.AUTH_TOKEN),
        webhooks.twilio(webhooks.call_status("CA1", "completed")),
    ),
    "meta": (Meta(webhooks.APP_SECRET, webhooks.VERIFY_TOKEN), webhooks.meta({})),
}


def status(sender: Sender, post: Post) -> int:
    """Return what a request is refused with; 200 when it is not."""
    try:
        if sender.greet(request(post)) is None:
            sender.take(request(post))
    except Refused as refused:
        return refused.answer.status
    return 200


def meta_post(body: bytes) -> Post:
    digest = hmac.new(webhooks.APP_SECRET.encode(), body, "sha256").hexdigest()
    return Post("/hook", body, {"X-Hub-Signature-256": f"sha256={digest}"})


@pytest.mark.parametrize("kind", SENDERS)
def test_every_proof_is_compared_in_constant_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that the constant comparison does not call right is refused: no other comparison decides."""
    sender, post = SENDERS[kind]
    assert status(sender, post) == 200
    compared = []

    def never(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return False

    monkeypatch.setattr(hmac, "compare_digest", never)
    assert status(sender, post) in (401, 403)
    assert compared


def test_the_text_of_a_subscription_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda given, wanted: False)
    body = b'{"value":[{"clientState":"state","resource":"communications/callRecords/a"}]}'
    with pytest.raises(Refused) as refused:
        Graph("teams", "state").notices(Request("POST", "", {}, NOW, body))
    assert refused.value.answer.status == 403


@pytest.mark.parametrize("levels", [120, 300, 990, 100_000])
@pytest.mark.parametrize("kind", ["signature", "bearer", "switch", "meta"])
def test_a_body_that_is_nested_without_end_is_refused_or_a_dead_letter(tmp_path: Path, kind: str, levels: int) -> None:
    sender = SENDERS[kind][0]
    body = b'{"variables":' + b"[" * levels + b"]" * levels + b"}"
    post = {
        "signature": lambda: webhooks.signed(body, NOW.timestamp()),
        "bearer": lambda: webhooks.bearer(body),
        "switch": lambda: Post("/hook", body, SENDERS["switch"][1].headers),
        "meta": lambda: meta_post(body),
    }[kind]()
    found_status = status(sender, post)
    assert found_status in (200, 400, 415)
    content = sender.take(request(post)) if found_status == 200 else None
    if content is None:
        assert found_status != 200
        return
    path = tmp_path / "content"
    path.write_bytes(content.data)
    format = "freeswitch_json" if kind == "switch" else "canonical_jsonl"
    feed = Feed("tried", "webhook/hook", by_name(format), ZoneInfo("Europe/Helsinki"))
    try:
        found = Translator(lambda: Identifiers(b"any", clear=True)).translate(feed, path, content.place, NOW)
    except ConfigurationError:  # answered 422: it is of another format
        return
    assert b'"kind":"rejected"' in found.publications[0].value.replace(b" ", b"")


# SMTP


def say(port: int, *lines: bytes) -> list[bytes]:
    """Write lines to a server as they are; return its replies until it closes, or is silent."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        stream = connection.makefile("rb")
        replies = [stream.readline()]
        for line in lines:
            try:
                connection.sendall(line)
                if not (reply := stream.readline()):
                    break
            except ConnectionError:
                break
            replies.append(reply)
        return replies


def test_commands_without_end_are_refused(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        assert say(port, b"HELO " + b"a" * 600 + b"\r\n")[1].startswith(b"500")
        assert say(port, b"a" * 200_000 + b"\r\n")[1].startswith((b"500", b"421"))
        unknown = say(port, *[b"BREW coffee\r\n"] * 100)
        assert len(unknown) < 100
        assert unknown[-1].startswith((b"500", b"502", b"421"))
        with client(port) as session:
            assert session.sendmail("a@b.example", ["sales@acme.fi"], message()) == {}

    assert len(serve(tmp_path, test).rows()) == 1


def test_a_message_cannot_be_smuggled_behind_another(tmp_path: Path) -> None:
    """Only a dot between two whole line ends is the end: servers in front read a bare line feed in another way."""

    def test(port: int, broker: Broker) -> None:
        for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"), 1):
            inner = b"MAIL FROM:<ceo@acme.fi>\r\nRCPT TO:<sales@acme.fi>\r\nDATA\r\n" + message(100 + number)
            with client(port) as session:
                session.ehlo()
                session.mail("a@b.example")
                session.rcpt("sales@acme.fi")
                session.putcmd("data")
                session.getreply()
                session.send(message(number) + end + inner + b"\r\n.\r\n")
                assert session.getreply()[0] == 250
                assert session.docmd("NOOP")[0] == 250

    assert len(serve(tmp_path, test).rows()) == 6


def test_a_header_of_mail_without_end_takes_no_memory(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.ehlo()
            session.mail("a@b.example")
            session.rcpt("sales@acme.fi")
            session.putcmd("data")
            session.getreply()
            session.send(message().partition(b"\r\n\r\n")[0] + b"\r\n")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(600):
                session.send(b"X-Long: " + b"x" * 100_000 + b"\r\n")
            session.send(b"\r\n.\r\n")
            assert session.getreply()[0] == 250
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000

    assert len(serve(tmp_path, test).messages()) == 1


def test_whoever_guesses_passwords_is_sent_away(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        guess = base64.b64encode(b"\0journal\0guess")
        replies = say(port, b"EHLO a\r\n", *[b"AUTH PLAIN " + guess + b"\r\n"] * 60)
        assert len(replies) < 20
        with client(port) as session:
            session.ehlo()
            assert session.login("journal", "right one")[0] == 235

    serve(tmp_path, test, 'username = "journal"\nsecret_env = "JOURNAL"\n', JOURNAL="right one")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def over_tls(certificates: Certificates) -> str:
    """Return the settings of a receiver that asks for TLS."""
    return f'certificate_file = "{certificates.keystore}"\nkey_file = "{certificates.keystore}"\nidle_timeout = "1s"\n'


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"EHLO again\r\n" * 1_000], ids=len)
def test_a_handshake_that_does_not_end_is_closed_and_holds_up_nobody(
    said: bytes, certificates: Certificates, tmp_path: Path
) -> None:
    def test(port: int, broker: Broker) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            stream = connection.makefile("rb")
            assert stream.readline().startswith(b"220")
            connection.sendall(b"STARTTLS\r\n")
            assert stream.readline().startswith(b"220")
            connection.sendall(said)
            with client(port) as session:
                session.starttls(context=ssl.create_default_context(cafile=str(certificates.ca)))
                assert session.ehlo()[0] == 250
            with contextlib.suppress(ConnectionResetError):
                while stream.read(1_000):
                    pass  # an alert of TLS, and then the end

    serve(tmp_path, test, over_tls(certificates))


def test_what_comes_before_the_handshake_is_not_taken_for_what_came_in_secret(
    certificates: Certificates, tmp_path: Path
) -> None:
    def test(port: int, broker: Broker) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
            stream = plain.makefile("rb", buffering=0)
            assert stream.readline().startswith(b"220")
            plain.sendall(b"EHLO mallory\r\n")
            while stream.readline()[3:4] == b"-":
                pass
            plain.sendall(b"STARTTLS\r\nMAIL FROM:<mallory@evil.example>\r\nRCPT TO:<journal@flow.acme.fi>\r\n")
            assert stream.readline().startswith(b"220")
            context = ssl.create_default_context(cafile=str(certificates.ca))
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secret:
                secret.sendall(b"EHLO sender\r\nDATA\r\n")
                said = secret.makefile("rb")
                while (line := said.readline())[3:4] == b"-":
                    assert line.startswith(b"250")
                assert line.startswith(b"250")
                assert said.readline().startswith(b"503")

    assert serve(tmp_path, test, over_tls(certificates)).messages() == []
