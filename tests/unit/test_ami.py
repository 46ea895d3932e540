"""An Asterisk's manager interface: its events are the lines of its logs, whatever comes between them."""

from __future__ import annotations

import asyncio
import csv
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.receivers import ami_session, backing_off, running
from agents.receivers.assembly import Assembly
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from pipeline import ami
from pipeline.ami import AmiReader, line_of
from pipeline.configuration import load
from pipeline.errors import ConfigurationError, TransientError
from pipeline.identifiers import Identifiers
from pipeline.received import Translator
from pipeline.sources.registry import by_name
from tests import parsing
from tests.ami_server import SECRET, AmiServer, record
from tests.integration.live import free_port
from tests.receiving_broker import READ_AT, Broker, use_receiver

CORPUS = Path(__file__).parents[1] / "corpus"
CDR, CEL = CORPUS / "asterisk_cdr" / "Master.csv", CORPUS / "asterisk_cel" / "Master.csv"
RECORD = (
    "AccountCode", "Source", "Destination", "DestinationContext", "CallerID", "Channel", "DestinationChannel",
    "LastApplication", "LastData", "StartTime", "AnswerTime", "EndTime", "Duration", "BillableSeconds",
    "Disposition", "AMAFlags", "UniqueID", "UserField", "PeerAccount", "LinkedID", "Sequence",
)  # fmt: skip
CHANNEL_EVENT = (
    "EventName", "EventTime", "CallerIDname", "CallerIDnum", "CallerIDani", "CallerIDrdnis", "CallerIDdnid",
    "Exten", "Context", "Channel", "Application", "AppData", "AMAFlags", "AccountCode", "UniqueID",
    "LinkedID", "Peer", "Userfield", "UserDefType", "Extra",
)  # fmt: skip
COMPARED = (
    "talk_seconds", "direction", "attempt", "event_id", "session_id", "from_endpoint", "to_endpoint", "other_keys",
    "record_digest",
)  # fmt: skip
FLAGS = {"1": "OMIT", "2": "BILLING", "3": "DOCUMENTATION"}


def events(path: Path) -> list[dict[str, str]]:
    """Return the events of which a log's lines tell."""
    name, fields = ("Cdr", RECORD) if path == CDR else ("CEL", CHANNEL_EVENT)
    with path.open(encoding="utf-8", newline="") as stream:
        found = [{"Event": name, **dict(zip(fields, cells, strict=True))} for cells in csv.reader(stream)]
    return [{**event, "AMAFlags": FLAGS.get(event["AMAFlags"], event["AMAFlags"])} for event in found]


def written(*found: dict[str, str]) -> bytes:
    return b"".join(
        ("".join(f"{name}: {value}\r\n" for name, value in event.items()) + "\r\n").encode() for event in found
    )


def read(content: bytes, size: int = 10**9) -> list[str]:
    reader = AmiReader()
    lines = [
        line_of(event) for start in range(0, len(content), size) for event in reader.feed(content[start : start + size])
    ]
    return [line.text for line in lines if line is not None]


@pytest.mark.parametrize("path", [CDR, CEL])
def test_an_event_is_the_line_that_the_log_has_of_it(path: Path) -> None:
    assert read(written(*events(path))) == path.read_text("utf-8").splitlines()


@given(st.integers(1, 200))
def test_pieces_of_any_size_make_the_same_events(size: int) -> None:
    content = written(*events(CDR)[:3])
    assert read(content, size) == read(content)


@pytest.mark.parametrize("size", [1_000, 10**9])
def test_what_is_no_event_is_passed_over_and_the_next_one_is_read(size: int) -> None:
    good = written(record(1, "2024-03-04 10:00:00"))
    for garbage in (
        b"Asterisk Call Manager/5.0.2\r\n",
        b"\r\n\r\n\r\n",
        b"Response: Follows\r\n some output without a colon\r\n\r\n",
        b"\0\xff\xfe: \x80\r\n\r\n",
        written(record(2, "x", Source="9" * 100_000)),
        written({"Event": "Cdr", **{f"Field{number}": "" for number in range(1_000)}}),
    ):
        assert read(garbage + good, size) == read(good)


def test_a_line_that_never_ends_takes_no_memory_and_ends_the_session() -> None:
    reader = AmiReader()
    for _ in range(100):
        assert reader.feed(b"Event: Cdr" * 1_000) == []
        assert len(reader._rest) <= ami.LONGEST_LINE
    with pytest.raises(TransientError, match="no end of an event"):
        reader.feed(b"Event: Cdr" * 10_000)


def test_an_event_of_many_lines_is_passed_over_and_counted() -> None:
    reader = AmiReader()
    long = b"Event: Cdr\r\n" + b"".join(b"Field%d: x\r\n" % number for number in range(10_000)) + b"\r\n"
    good = written(record(1, "2024-03-04 10:00:00"))
    assert len(reader.feed(long + good)) == 1
    assert reader.spoilt_count == 1


# Sessions


def settings(server: AmiServer, more: str = "", format: str = "asterisk_cdr") -> str:
    return (
        f'[company]\ntimezone = "Europe/Helsinki"\n[[receiver]]\nkind = "ami"\nsource = "pbx"\nport = {server.port}\n'
        f'format = "{format}"\nusername = "bypassflow"\nsecret_env = "AMI_SECRET"\n{more}'
    )


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def listen(
    folder: Path,
    test: Callable[[AmiServer, Broker], Awaitable[None]],
    more: str = "",
    format: str = "asterisk_cdr",
    server: AmiServer | None = None,
) -> Broker:
    """Run a test beside a listener that has signed in."""
    server = server or AmiServer()

    async def run(broker: Broker, receiver: Receiver) -> None:
        await until(lambda: server.login_count == 1)
        await test(server, broker)

    try:
        return use_receiver(folder, settings(server, more, format), run, AMI_SECRET=SECRET)
    finally:
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backing_off.Backoff.__init__, "__defaults__", (0.2, 1.0))


@pytest.mark.parametrize(("path", "format"), [(CDR, "asterisk_cdr"), (CEL, "asterisk_cel")])
def test_live_equals_replay(path: Path, format: str, tmp_path: Path) -> None:
    told = events(path)

    async def test(server: AmiServer, broker: Broker) -> None:
        for event in told:
            await asyncio.to_thread(server.tell, {"Event": "Newchannel", "Channel": "PJSIP/1"}, event)
            await asyncio.sleep(0.01)
        # Nobody but whoever asked is told.
        assert server.asked_for == [{"asterisk_cdr": "cdr", "asterisk_cel": "call"}[format]]

    # What was on its way at the end is sent again, and is the same.
    live = list({row["raw_id"]: row for row in listen(tmp_path, test, format=format).rows()}.values())
    replayed = parsing.rows(by_name(format).read(path, parsing.context(path, source="pbx", read_at=READ_AT)))

    def told_by(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row.get(name)) for name in COMPARED)

    assert sorted(map(told_by, live)) == sorted(map(told_by, replayed))
    assert len(live) == len(told)


def test_a_record_that_is_told_again_after_a_lost_connection_is_the_same(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        server.tell(record(1, "2024-03-04 10:00:00"))
        await until(lambda: len(broker.rows()) == 1)
        server.drop()
        server.tell(record(2, "2024-03-04 10:01:00"))  # to nobody
        await until(lambda: server.login_count == 2)
        server.tell(record(1, "2024-03-04 10:00:00"), record(3, "2024-03-04 10:02:00"))
        await until(lambda: len(broker.rows()) == 3)

    broker = listen(tmp_path, test)
    assert sorted({row["event_id"] for row in broker.rows()}) == ["1709539200.1", "1709539200.3"]
    assert len({row["raw_id"] for row in broker.rows()}) == 2
    assert [("lost" in said, "heard again" in said) for said in broker.said] == [(True, False), (False, True)]


def test_nothing_that_was_told_is_lost_while_the_broker_is_away(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        broker.error = TransientError("away")
        for number in range(50):
            server.tell(record(number, "2024-03-04 10:00:00"))
        await asyncio.sleep(0.5)
        assert broker.rows() == []
        broker.error = None
        await until(lambda: len(broker.rows()) == 50)

    assert len({row["raw_id"] for row in listen(tmp_path, test).rows()}) == 50


def test_what_was_told_before_an_end_is_published(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        broker.opened.clear()
        told = [record(number, "2024-03-04 10:00:00") for number in range(200)]
        await asyncio.to_thread(server.tell, *told)
        await asyncio.sleep(0.2)

    # What was on its way may be sent again, and is the same.
    assert len({row["raw_id"] for row in listen(tmp_path, test).rows()}) == 200


def test_a_damaged_record_is_a_dead_letter_and_the_others_are_read(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        server.tell({"Event": "Cdr", "Source": "0401234567"}, before=b"gar\xffbage\r\n" + b"x" * 100_000 + b"\r\n\r\n")
        server.tell(record(1, "2024-03-04 10:00:00"))
        await until(lambda: len(broker.rows()) == 1)

    broker = listen(tmp_path, test)
    # What was on its way may be sent again, and is the same.
    (letter,) = {str(found) for found in broker.messages() if found.get("kind") == "rejected"}
    assert "0401234567" not in letter
    assert any("too long" in said for said in broker.said)
    assert "0401234567" not in "".join(broker.said)


def test_a_sign_of_life_is_asked_for_and_silence_ends_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami_session, "_PING", 0.1)

    async def test(server: AmiServer, broker: Broker) -> None:
        await until(lambda: server.actions.count("Ping") > 3)
        assert server.login_count == 1
        monkeypatch.setattr(ami_session, "_SILENCE", 0.0)
        await until(lambda: any("nothing is heard" in said for said in broker.said))

    listen(tmp_path, test)


def refused(folder: Path, server: AmiServer, secret: str) -> str:
    """Return what ends a receiving process that is refused."""
    broker, configuration = Broker(), load(settings(server), "bypassflow.toml")
    assembly = Assembly(configuration, folder, {"AMI_SECRET": secret}, broker.said.append)
    with Positions(folder / "positions") as positions, pytest.raises(ConfigurationError) as error:
        running.run(
            partial(assembly.make, positions),
            broker,
            1,
            configuration.receive,
            lambda: Reader(Translator(lambda: Identifiers(b"any", clear=True)), lambda: READ_AT),
            broker.said.append,
        )
    server.close()
    return str(error.value)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("Authentication failed", "refuses the user name, the secret or our address"),
        ("Permission denied", "refuses permission to sign in"),
    ],
)
def test_who_is_refused_ends_with_one_sentence_that_shows_no_secret(refusal: str, words: str, tmp_path: Path) -> None:
    said = refused(tmp_path, AmiServer(refusal=f"{refusal}: a guess"), "a guess")
    assert words in said
    assert "ami 127.0.0.1" in said
    assert "guess" not in said


def waited(folder: Path, server: AmiServer | None, port: int, words: str, more: str = "") -> list[str]:
    """Return what is said of an Asterisk that is tried again, once there was time for some tries."""
    text = settings(server or AmiServer(), more)
    if server is None:
        text = text.replace("\nport = ", f"\nport = {port}\n# ")

    async def run(broker: Broker, receiver: Receiver) -> None:
        await until(lambda: any(words in said for said in broker.said))
        await asyncio.sleep(1)

    return use_receiver(folder, text, run, AMI_SECRET=SECRET).said


def test_an_asterisk_that_is_away_is_tried_again_and_told_of_once(tmp_path: Path) -> None:
    (said,) = waited(tmp_path, None, free_port(), "cannot be reached")
    assert "it is tried again" in said


@pytest.mark.parametrize("greeting", [b"220 mail ESMTP\r\n", b"x" * 100_000, b"\x15\x03\x01\n"])
def test_who_does_not_greet_as_an_asterisk_is_told_no_secret(greeting: bytes, tmp_path: Path) -> None:
    server = AmiServer(greeting=greeting)
    (said,) = waited(tmp_path, server, 0, "does not greet")
    assert "see host, port and tls" in said
    assert server.actions == []


def test_a_session_that_is_in_use_elsewhere_is_waited_for(tmp_path: Path) -> None:
    server = AmiServer(refusal="Login Already In Use")
    text = settings(server)

    async def run(broker: Broker, receiver: Receiver) -> None:
        await until(lambda: server.actions.count("Login") > 1)

    (said,) = use_receiver(tmp_path, text, run, AMI_SECRET="another").said
    assert "somebody else is signed in" in said


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate of this machine's address in server.pem; return what a server speaks with it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pbx",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def test_over_tls_the_secret_itself_may_be_sent(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        server.tell(record(1, "2024-03-04 10:00:00"))
        await until(lambda: len(broker.rows()) == 1)
        assert server.actions == ["Login"]

    more = 'tls = true\nca_file = "server.pem"\nauthentication = "plain"\n'
    listen(tmp_path, test, more, server=AmiServer(tls=certificate(tmp_path)))


def test_a_certificate_that_is_not_trusted_and_a_port_without_tls_are_told_apart(tmp_path: Path) -> None:
    server = AmiServer(tls=certificate(tmp_path))
    assert len(waited(tmp_path, server, 0, "certificate is not trusted", "tls = true\n")) == 1
    assert server.actions == []
    server.close()
    assert waited(tmp_path, AmiServer(), 0, "speaks no TLS", "tls = true\n")


def test_what_never_ends_is_left_and_the_asterisk_is_heard_again(tmp_path: Path) -> None:
    async def test(server: AmiServer, broker: Broker) -> None:
        await asyncio.to_thread(server.tell, before=b"x" * 3_000_000)
        await until(lambda: server.login_count == 2)
        server.tell(record(1, "2024-03-04 10:00:00"))
        await until(lambda: len(broker.rows()) == 1)

    assert any("no end of an event" in said for said in listen(tmp_path, test).said)


def test_nothing_more_is_read_while_the_broker_is_away(tmp_path: Path) -> None:
    count = 6_000  # more than sockets hold

    async def test(server: AmiServer, broker: Broker) -> None:
        broker.opened.clear()
        found = [record(number, "2024-03-04 10:00:00") for number in range(count)]
        telling = asyncio.create_task(asyncio.to_thread(server.tell, *found))
        done, _ = await asyncio.wait([telling], timeout=1.5)
        assert not done
        broker.opened.set()
        await telling
        await until(lambda: len({row["raw_id"] for row in broker.rows()}) == count)

    listen(tmp_path, test)


def test_where_there_is_no_challenge_the_remedy_is_told(tmp_path: Path) -> None:
    assert 'authentication = "plain"' in refused(tmp_path, AmiServer(challenge=""), SECRET)


def test_what_was_told_of_a_call_that_goes_on_is_published_at_an_orderly_end(tmp_path: Path) -> None:
    told = events(CEL)[:3]

    async def test(server: AmiServer, broker: Broker) -> None:
        await asyncio.to_thread(server.tell, *told)
        await asyncio.sleep(0.3)
        assert broker.rows() == []

    assert len({row["raw_id"] for row in listen(tmp_path, test, format="asterisk_cel").rows()}) == len(told)
