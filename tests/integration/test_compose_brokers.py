"""The brokers that compose/ describes start on their settings, and our configuration beside them reaches them."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from agents.access import read_secrets
from agents.log import KafkaLog
from agents.topics import check_topics, create_topics, find_topics
from pipeline.configuration import load
from pipeline.errors import ConfigurationError
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.topics import FACTS
from tests.brokers import Kafka
from tests.compose_brokers import Node, make_secrets, running
from tests.compose_files import FOLDER, project


def settings_of(name: str, nodes: dict[str, Node], secrets: Path) -> KafkaSettings:
    """Return [kafka] of a configuration in compose/company, for brokers at this machine's ports."""
    path = FOLDER / "company" / name
    found = load(path.read_text(encoding="utf-8"), str(path)).kafka
    there = {address.partition(":")[0]: nodes[address.partition(":")[0]].port for address in found.bootstrap}
    here: dict[str, object] = {"bootstrap": tuple(f"localhost:{port}" for port in there.values())}
    if found.password_file:
        here |= {"password_file": str(secrets / "kafka.password"), "ca_file": str(secrets / "kafka-ca.pem")}
    return found.model_copy(update=here)


# `kafka`: skips these where no broker can run, and fetches its jars.
def test_the_broker_of_the_compose_file_keeps_our_topics(kafka: Kafka, tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    with running(project(), tmp_path, secrets) as nodes:
        settings = settings_of("bypassflow.toml", nodes, secrets)
        create_topics(settings)
        assert check_topics(settings) == []
        with KafkaLog(settings) as log:
            assert log.append([Draft(FACTS, 0, b"kept")]) == [0]


def test_three_brokers_take_in_who_signs_in_and_lose_one_and_go_on(kafka: Kafka, tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    with running(project("compose.cluster.yaml"), tmp_path, secrets) as nodes:
        settings = settings_of("cluster.toml", nodes, secrets)
        (tmp_path / "wrong").write_text("not it", encoding="utf-8")
        guessed = settings.model_copy(update={"password_file": str(tmp_path / "wrong")})
        with pytest.raises(ConfigurationError, match="wrong name or password"):
            create_topics(guessed, read_secrets(guessed, {}))
        signed = read_secrets(settings, {})
        create_topics(settings, signed)
        assert check_topics(settings, signed) == []
        assert {topic.replication for topic in find_topics(settings, signed).values()} == {3}
        with KafkaLog(settings, signed, patience=timedelta(seconds=60)) as log:
            log.append([Draft(FACTS, 0, b"before")])
            nodes["kafka-2"].end(signal.SIGKILL)
            log.append([Draft(FACTS, 0, b"without one")])
            assert [entry.value for entry in log.read(FACTS, 0, 0, log.end(FACTS, 0))] == [b"before", b"without one"]
