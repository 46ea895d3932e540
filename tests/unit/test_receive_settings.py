"""Receivers as an administrator writes them, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.receivers.assembly import Assembly
from agents.receivers.positions import Positions
from pipeline.configuration import load
from pipeline.errors import ConfigurationError

FILE = '[[receiver]]\nkind = "file"\nsource = "pbx"\npath = "Master.csv"\nformat = "asterisk_cdr"\n'

HOOK = (
    '[[receiver]]\nkind = "webhook"\nsource = "crm"\npath = "/crm"\nformat = "canonical_jsonl"\n'
    'secret_env = "HOOK_SECRET"\n'
)
TWILIO = (
    '[[receiver]]\nkind = "twilio"\nsource = "twilio"\npath = "/twilio"\nsecret_env = "HOOK_SECRET"\n'
    'public_url = "https://hooks.acme.example/twilio"\n'
)
META = (
    '[[receiver]]\nkind = "meta"\nsource = "meta"\npath = "/meta"\nsecret_env = "HOOK_SECRET"\n'
    'verify_token_env = "HOOK_SECRET"\n'
)
SMTP = '[[receiver]]\nkind = "smtp"\nsource = "mail"\n'
AMI = '[[receiver]]\nkind = "ami"\nsource = "pbx"\nformat = "asterisk_cdr"\nusername = "bypassflow"\n'
IMAP = '[[receiver]]\nkind = "imap"\nsource = "mail"\nhost = "imap.acme.fi"\nusername = "sales@acme.fi"\n'

GRAPH = (
    '[[receiver]]\nkind = "graph"\nsource = "teams"\npath = "/graph"\nsecret_env = "HOOK_SECRET"\n'
    'client_state_env = "HOOK_SECRET"\nformat = "teams"\ntenant = "acme.example"\nclient_id = "b2f7a3c0"\n'
    'public_url = "https://hooks.acme.example/graph"\n'
)


def problem(text: str, base: Path, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Assembly(load(text, "bypassflow.toml"), base, environment, lambda sentence: None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the configuration has no [[receiver]]"),
        (FILE.replace("asterisk_cdr", "asterisk_cdrs"), "did you mean 'asterisk_cdr'?"),
        (FILE.replace("asterisk_cdr", "maildir"), "not written line by line"),
        (FILE + FILE, "[[receiver]] number 2 follows Master.csv, as [[receiver]] number 1 does"),
        (FILE.replace('"file"', '"fax"'), "[[receiver]] number 1: kind is 'fax'; expected one of 'file'"),
        (FILE.replace('kind = "file"\n', ""), "[[receiver]] number 1: has no kind; expected one of 'file'"),
        (FILE + "lookbac = 1\n", "unknown key 'lookbac' in [[receiver]]; did you mean 'lookback'?"),
        (FILE + "lookback = -1\n", "lookback of [[receiver]] number 1 is the number -1"),
        (SMTP + 'username = "journal"\n', "set both, or neither"),
        (SMTP + 'host = "0.0.0.0"\nusername = "a"\nsecret_env = "A"\n', "would cross the network in clear"),
        (SMTP + 'key_file = "a"\n', "key_file needs certificate_file"),
        (SMTP + 'certificate_file = "Master.pem"\n', "cannot be used: no such file or directory"),
        (SMTP + 'username = "journal"\nsecret_env = "NONE"\n', "the environment has no NONE"),
        (SMTP + 'allowed_networks = ["acme.fi"]\n', "an address or a network such as '192.0.2.0/24'"),
        (SMTP + SMTP, "[[receiver]] number 2 listens at 127.0.0.1:2525, as [[receiver]] number 1 does"),
        (IMAP, "expected one of secret_env, secret_file and secret_command"),
        (IMAP + 'secret_env = "NONE"\n', "the environment has no NONE"),
        (IMAP + 'secret_env = "A"\ntls = "none"\n', "would cross the network in clear"),
        (IMAP + 'secret_env = "A"\nmailbox = "sales"\n', "mailbox is an address"),
        (IMAP + 'secret_file = "none"\nca_file = "none"\n', "ca_file"),
        ((IMAP + 'secret_command = ["true"]\n') * 2, "the same mailbox as [[receiver]] number 1"),
        (AMI, "expected one of secret_env and secret_file, found neither"),
        (AMI + 'secret_env = "NONE"\n', "the environment has no NONE"),
        (AMI + 'secret_file = "none"\n', "secret_file"),
        (AMI + 'secret_env = "HOME"\nauthentication = "plain"\n', "sends the secret in clear; set tls = true"),
        (AMI.replace("asterisk_cdr", "queue_log") + 'secret_env = "A"\n', "'asterisk_cdr'"),
        (AMI.replace('"bypassflow"', '"a\\nAction: Logoff"') + 'secret_env = "A"\n', "username"),
        ("[receive]\nwaiting_records = 1\n", "1000"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    assert words in problem(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOOK + HOOK, "[[receiver]] number 2 has the path /crm, as [[receiver]] number 1 does"),
        (HOOK.replace("canonical_jsonl", "canonical_json"), "did you mean"),
        (HOOK.replace('"/crm"', '"/readyz"'), "a path other than /healthz and /readyz"),
        (HOOK.replace('"/crm"', '"crm"'), "path of [[receiver]] number 1 is 'crm'"),
        (HOOK.replace('"/crm"', '"/c rm?x=1"'), "path of [[receiver]] number 1 is"),
        (HOOK.replace("HOOK_SECRET", "pass-word!"), "secret_env of [[receiver]] number 1 is a value that is not shown"),
        (HOOK.replace("HOOK_SECRET", "OTHER"), "number 1: secret_env: the environment has no OTHER; set it"),
        (HOOK.replace("HOOK_SECRET", "EMPTY"), "number 1: secret_env: the environment has no EMPTY; set it"),
        (HOOK.replace("HOOK_SECRET", "ODD"), "begins with whsec_ and is no base64"),
        (HOOK + 'secret_file = "secret"\n', "expected one of secret_env and secret_file, found both"),
        (HOOK.replace('secret_env = "HOOK_SECRET"', ""), "expected one of secret_env and secret_file, found neither"),
        (HOOK.replace('secret_env = "HOOK_SECRET"', 'secret_file = "none"'), "none cannot be read: no such file"),
        (HOOK.replace('secret_env = "HOOK_SECRET"', 'secret_file = "empty"'), "empty is empty"),
        (HOOK.replace('secret_env = "HOOK_SECRET"', 'secret_file = "binary"'), "binary is no UTF-8 text"),
        (HOOK + 'authentication = "basic"\n', 'authentication = "basic" needs username'),
        (HOOK + 'username = "cdr"\n', 'authentication = "basic" needs username, and no other does'),
        (HOOK + 'secret = "in clear"\n', "unknown key 'secret' in [[receiver]]; did you mean"),
        (TWILIO.replace("https://", ""), "public_url of [[receiver]] number 1 is"),
        (TWILIO.replace("example/twilio", "example/twilio?a=1"), "without a query or password"),
        (META.replace("verify_token_env", "#"), "one of verify_token_env and verify_token_file, found neither"),
        (META + 'mapping = { a = "b" }\n', "webhooks of Meta have nothing to map"),
        (GRAPH.replace('"teams"\ntenant', '"graph_mail"\ntenant'), 'of format = "graph_mail" begin with /users/'),
        (GRAPH + 'resources = ["/users/a@acme.example/messages"]\n', 'of format = "teams" begin with /communications/'),
        (GRAPH.replace("https:", "http:"), "public_url of [[receiver]] number 1 is"),
        (GRAPH.replace('format = "teams"', 'format = "twilio"'), "format of [[receiver]] number 1 is 'twilio'"),
        (GRAPH.replace('client_state_env = "HOOK_SECRET"', 'client_state_env = "LONG"'), "more than 128 letters"),
        ('[receive]\nheader_timeout = "1h"\n', "a length of time up to five minutes"),
        ("[receive]\nport = 99999\n", "65535"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_said_and_no_secret_is_shown(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff")
    found = problem(text, tmp_path, HOOK_SECRET="hidden", EMPTY=" ", ODD="whsec_!", LONG="x" * 129)
    assert words in found
    assert "hidden" not in found
    assert "\n" not in found


def test_all_webhooks_are_one_receiver_and_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\n")
    text = FILE + HOOK.replace('secret_env = "HOOK_SECRET"', 'secret_file = "secret"') + TWILIO + META + GRAPH
    configuration = load(text, "bypassflow.toml")
    assembly = Assembly(configuration, tmp_path, {"HOOK_SECRET": "hidden"}, lambda sentence: None)
    assert len(assembly._makers) == 2


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with Positions(tmp_path / "positions"), pytest.raises(ConfigurationError, match="in use by another"):
        Positions(tmp_path / "positions")
    with Positions(tmp_path / "positions"):
        pass


def test_a_position_is_there_after_a_new_start_and_a_damaged_one_is_told_of(tmp_path: Path) -> None:
    with Positions(tmp_path / "positions") as positions:
        assert positions.load("file Master.csv") is None
        positions.save("file Master.csv", {"offset": 7})
        positions.save("file master.csv", {"offset": 8})
    with Positions(tmp_path / "positions") as positions:
        assert positions.load("file Master.csv") == {"name": "file Master.csv", "offset": 7}
        for path in (tmp_path / "positions").glob("*.json"):
            path.write_text("{")
        with pytest.raises(ConfigurationError, match=r"damaged; remove it"):
            positions.load("file Master.csv")


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="name another in"):
        Positions(tmp_path / "file" / "positions")
