"""The [kafka] table: topics with their keeping, ways to reach a broker, and secrets that are never in the file."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.kafka import (
    LARGEST_REQUEST_BYTES,
    KafkaSettings,
    Secrets,
    broker_options,
    client_options,
)
from schemas.settings import SettingsError, parse_configuration
from schemas.topics import CHECKPOINTS, FACTS, MAX_MESSAGE_BYTES, RAW_TOPICS

SCRAM = """\
[kafka]
bootstrap = ["kafka1.acme.example:9093", "kafka2.acme.example:9093"]
security_protocol = "sasl_ssl"
sasl_mechanism = "SCRAM-SHA-512"
username = "bypassflow"
password_file = "kafka.password"
ca_file = "ca.pem"
"""


def kafka(text: str) -> KafkaSettings:
    return parse_configuration(text, "bypassflow.toml").kafka


def problem(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        kafka(f"[kafka]\n{text}")
    (sentence,) = caught.value.problems
    return sentence


def test_without_a_table_the_broker_of_this_machine_is_meant() -> None:
    assert client_options(kafka("")) == {"bootstrap_servers": ["127.0.0.1:9092"], "security_protocol": "PLAINTEXT"}
    assert kafka("").topic("raw.calls") == "bypassflow.raw.calls"


def test_addresses_may_be_one_text_with_commas() -> None:
    assert kafka('[kafka]\nbootstrap = "a:1, [::1]:9092"').bootstrap == ("a:1", "[::1]:9092")


def test_every_topic_has_its_partitions_and_its_keeping() -> None:
    topics = {topic.name: topic for topic in kafka('[kafka]\npartitions = 6\nraw_retention = "2d"').topics()}
    assert set(RAW_TOPICS) < set(topics)
    assert len(topics) == len(RAW_TOPICS) + 4
    assert {topics[name].partitions for name in RAW_TOPICS} == {6}
    assert {topics[name].retention for name in RAW_TOPICS} == {timedelta(days=2)}
    assert (topics[FACTS].partitions, topics[FACTS].retention) == (1, timedelta(days=90))
    assert [name for name, topic in topics.items() if topic.is_compacted] == [CHECKPOINTS]
    assert all(topic.reason for topic in topics.values())


def test_a_topic_is_kept_by_the_brokers_clock_and_leaves_within_a_day_of_its_retention() -> None:
    options = {topic.name: broker_options(topic) for topic in KafkaSettings().topics()}
    assert options["raw.calls"] == {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(7 * 86_400_000),
        "segment.ms": str(86_400_000),
    }
    assert options[CHECKPOINTS]["cleanup.policy"] == "compact"
    assert "retention.ms" not in options[CHECKPOINTS]


def test_the_largest_message_of_ours_passes_with_its_envelope() -> None:
    options = [broker_options(topic) for topic in KafkaSettings().topics() if topic.name not in RAW_TOPICS]
    assert {option["max.message.bytes"] for option in options} == {str(LARGEST_REQUEST_BYTES)}
    assert LARGEST_REQUEST_BYTES > MAX_MESSAGE_BYTES


def test_clients_sign_in_with_what_the_settings_name() -> None:
    settings = kafka(SCRAM).beside("/etc/acme")
    assert settings.password_file == "/etc/acme/kafka.password"
    assert client_options(settings, Secrets(password="pike")) == {
        "bootstrap_servers": ["kafka1.acme.example:9093", "kafka2.acme.example:9093"],
        "security_protocol": "SASL_SSL",
        "ssl_check_hostname": True,
        "ssl_cafile": "/etc/acme/ca.pem",
        "ssl_certfile": None,
        "ssl_keyfile": None,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "bypassflow",
        "sasl_plain_password": "pike",
    }


def test_a_bearer_token_is_asked_for_and_not_kept() -> None:
    settings = kafka('[kafka]\nsecurity_protocol = "sasl_plaintext"\nsasl_mechanism = "OAUTHBEARER"\ntoken_file = "t"')
    provider = object()
    options = client_options(settings, Secrets(token_provider=provider))
    assert options["sasl_oauth_token_provider"] is provider
    assert "sasl_plain_password" not in options


def test_secrets_are_not_shown() -> None:
    assert "pike" not in repr(Secrets(password="pike", token_provider="pike"))


def test_a_password_in_the_file_is_refused_and_not_shown() -> None:
    sentence = problem('password = "pike and perch"')
    assert "unknown key 'password' in [kafka]; did you mean 'password_" in sentence
    assert "pike" not in sentence
    sentence = problem('password_env = "pike and perch"')
    assert "a value that is not shown" in sentence
    assert "pike" not in sentence


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("bootstrap = []", 2, "kafka.bootstrap"),
        ("bootstrap = ['kafka']", 2, "expected host:port each, such as '127.0.0.1:9092'"),
        ("bootstrap = ['kafka:99999']", 2, "expected host:port each"),
        ("prefix = 'a b'", 2, "kafka.prefix is 'a b'"),
        ("partitions = 0", 2, "greater than or equal to 1"),
        ("partitions = true", 2, "a whole number"),
        ("raw_retention = '5min'", 2, "at least an hour"),
        ("security_protocol = 'SASL'", 2, "'sasl_ssl'"),
        ("ca_file = 'ca.pem'", 1, '[kafka]: ca_file needs security_protocol = "ssl"'),
        ("username = 'a'", 1, '[kafka]: username needs security_protocol = "sasl_plaintext"'),
        ("security_protocol = 'ssl'\nkey_file = 'k'", 1, "certificate_file and key_file are needed together"),
        ("security_protocol = 'ssl'\nsasl_mechanism = 'PLAIN'", 1, 'security_protocol = "sasl_ssl"'),
        ("security_protocol = 'sasl_ssl'", 1, "needs sasl_mechanism"),
        (
            "security_protocol = 'sasl_ssl'\nsasl_mechanism = 'PLAIN'\nusername = 'a'",
            1,
            "needs username and one of password_file and password_env",
        ),
        (
            "security_protocol = 'sasl_ssl'\nsasl_mechanism = 'PLAIN'\nusername = 'a'\npassword_file = 'a'\n"
            "password_env = 'A'",
            1,
            "one of password_file and password_env",
        ),
        ("security_protocol = 'sasl_ssl'\nsasl_mechanism = 'OAUTHBEARER'\nusername = 'a'", 1, "needs token_file"),
        ("security_protocol = 'sasl_ssl'\nsasl_mechanism = 'PLAIN'\ntoken_file = 'a'", 1, "token_file needs"),
    ],
)
def test_a_wrong_setting_fails_with_its_line_and_what_was_expected(text: str, line: int, words: str) -> None:
    sentence = problem(text)
    assert sentence.startswith(f"bypassflow.toml, line {line}: ")
    assert words in sentence
