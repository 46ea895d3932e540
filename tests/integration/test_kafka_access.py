"""Signing in to a broker with passwords, tokens and certificates, with both clients that we use."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as AiokafkaError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from agents.access import faust_options, read_secrets
from agents.broker import Broker, Listener, start_broker
from agents.log import KafkaLog
from agents.topics import check_topics, create_topics
from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import KafkaSettings, SaslMechanism, Secrets
from schemas.log import Draft
from schemas.topics import FACTS
from tests.certificates import Certificates, make_certificates


@dataclass(frozen=True)
class Guarded:
    """A broker that asks who is there, with the settings that it accepts; files stand in `folder`."""

    broker: Broker
    settings: KafkaSettings
    folder: Path
    certificates: Certificates

    @property
    def secrets(self) -> Secrets:
        return read_secrets(self.settings, {})


@pytest.fixture(scope="module")
def scram(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Apache Kafka behind SASL_SSL and SCRAM-SHA-512."""
    folder = tmp_path_factory.mktemp("scram")
    certificates = make_certificates(folder / "certificates")
    listener = Listener("sasl_ssl", "SCRAM-SHA-512", {"bypassflow": "pike-and-perch"}, certificates.keystore)
    (folder / "kafka.password").write_text("pike-and-perch\n", encoding="utf-8")
    with start_broker(folder / "broker", listener=listener, kind="kafka") as broker:
        settings = KafkaSettings(
            bootstrap=(broker.bootstrap,),
            security_protocol="sasl_ssl",
            sasl_mechanism="SCRAM-SHA-512",
            username="bypassflow",
            password_file="kafka.password",
            ca_file="certificates/ca.pem",
        ).beside(str(folder))
        yield Guarded(broker, settings, folder, certificates)


async def say_and_hear(settings: KafkaSettings, secrets: Secrets, value: bytes) -> bytes | None:
    """Return what aiokafka hears of what it said, with the credentials that Faust would give it."""
    options = faust_options(settings, secrets)
    auth = credentials_to_aiokafka_auth(options["broker_credentials"])
    addresses = [address.removeprefix("kafka://") for address in options["broker"]]
    producer = AIOKafkaProducer(bootstrap_servers=addresses, **auth)
    await producer.start()
    try:
        sent = await producer.send_and_wait(settings.topic(FACTS), value, partition=0)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(
        settings.topic(FACTS), bootstrap_servers=addresses, auto_offset_reset="earliest", **auth
    )
    await consumer.start()
    try:
        async for message in consumer:
            if message.offset == sent.offset:
                return bytes(message.value)
    finally:
        await consumer.stop()
    return None


def assert_both_clients_work(settings: KafkaSettings, secrets: Secrets) -> None:
    create_topics(settings, secrets, only=[FACTS])
    with KafkaLog(settings, secrets) as log:
        (offset,) = log.append([Draft(FACTS, 0, b"said")])
        assert [entry.value for entry in log.read(FACTS, 0, offset, offset + 1)] == [b"said"]
    assert asyncio.run(asyncio.wait_for(say_and_hear(settings, secrets, b"heard"), 60)) == b"heard"


def test_both_clients_sign_in_by_scram_over_tls(scram: Guarded) -> None:
    assert_both_clients_work(scram.settings, scram.secrets)


def test_a_wrong_password_is_told_soon_and_never_shown(scram: Guarded) -> None:
    wrong = Secrets(password="zander")
    started_at = time.monotonic()
    with pytest.raises(ConfigurationError, match=r"refuses bypassflow: wrong name or password") as caught:
        check_topics(scram.settings, wrong)
    assert time.monotonic() - started_at < 5
    assert "zander" not in str(caught.value)
    with KafkaLog(scram.settings, wrong) as log, pytest.raises(ConfigurationError, match="refuses bypassflow"):
        log.end(FACTS, 0)
    with pytest.raises(AiokafkaError):
        asyncio.run(asyncio.wait_for(say_and_hear(scram.settings, wrong, b""), 60))


def test_a_mechanism_that_is_not_offered_is_told(scram: Guarded) -> None:
    settings = scram.settings.model_copy(update={"sasl_mechanism": "SCRAM-SHA-256"})
    with pytest.raises(ConfigurationError, match="does not offer SCRAM-SHA-256"):
        check_topics(settings, scram.secrets)


def test_a_broker_that_nobody_vouches_for_is_not_talked_to(scram: Guarded) -> None:
    settings = scram.settings.model_copy(update={"ca_file": str(scram.certificates.other_ca)})
    with pytest.raises(ConfigurationError, match="certificate that we do not trust"):
        check_topics(settings, scram.secrets)
    with pytest.raises(AiokafkaError):
        asyncio.run(asyncio.wait_for(say_and_hear(settings, scram.secrets, b""), 60))


def test_a_client_that_speaks_no_tls_is_told_what_to_look_at(scram: Guarded) -> None:
    with pytest.raises(TransientError, match="see that it speaks plaintext"):
        check_topics(KafkaSettings(bootstrap=scram.settings.bootstrap))


def test_a_certificate_for_another_host_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates", host="DNS:kafka.acme.example")
    client = {
        "ca_file": str(certificates.ca),
        "certificate_file": str(certificates.client_certificate),
        "key_file": str(certificates.client_key),
    }
    # This broker asks clients for a certificate, too.
    options = {
        "ssl.client.auth": "required",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca),
    }
    listener = Listener("ssl", keystore=certificates.keystore, options=options)
    with start_broker(tmp_path / "broker", listener=listener, kind="kafka") as broker:
        settings = KafkaSettings.model_validate(
            {"bootstrap": broker.bootstrap, "security_protocol": "ssl", "check_hostname": False, **client}
        )
        assert_both_clients_work(settings, read_secrets(settings, {}))
        with pytest.raises(ConfigurationError, match="certificate that we do not trust"):
            check_topics(settings.model_copy(update={"check_hostname": True}))
        with pytest.raises(ConfigurationError, match="whether it asks for a certificate of ours"):
            check_topics(settings.model_copy(update={"certificate_file": None, "key_file": None}))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_both_clients_sign_in_without_tls(tmp_path: Path, mechanism: SaslMechanism) -> None:
    listener = Listener("sasl_plaintext", mechanism, {"bypassflow": "pike"})
    with start_broker(tmp_path, listener=listener, kind="kafka") as broker:
        settings = KafkaSettings(
            bootstrap=(broker.bootstrap,),
            security_protocol="sasl_plaintext",
            sasl_mechanism=mechanism,
            username="bypassflow",
            password_env="KAFKA_PASSWORD",
        )
        assert_both_clients_work(settings, read_secrets(settings, {"KAFKA_PASSWORD": "pike"}))


def test_both_clients_sign_in_by_a_token_that_is_renewed(tmp_path: Path) -> None:
    # A broker that takes tokens without a signature: what is tried is how ours gets there.
    listener = Listener("sasl_plaintext", "OAUTHBEARER")
    with start_broker(tmp_path / "broker", listener=listener, kind="kafka") as broker:
        settings = KafkaSettings(
            bootstrap=(broker.bootstrap,),
            security_protocol="sasl_plaintext",
            sasl_mechanism="OAUTHBEARER",
            token_file="kafka.token",
        ).beside(str(tmp_path))
        file = tmp_path / "kafka.token"
        file.write_text(unsigned_token(lasting=-10), encoding="utf-8")
        secrets = read_secrets(settings, {})
        with pytest.raises(ConfigurationError, match="refuses our token"):
            check_topics(settings, secrets)
        file.write_text(unsigned_token(lasting=600), encoding="utf-8")
        assert_both_clients_work(settings, secrets)


def unsigned_token(lasting: int) -> str:
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": "bypassflow", "iat": now - 60, "exp": now + lasting})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."
