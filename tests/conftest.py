"""What all tests share: a terminal that is the same everywhere, and properties that may take their time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi.testclient import TestClient

    from schemas.kafka import KafkaSettings
    from tests.brokers import Kafka
    from tests.crm_servers import Server

# A slow machine is no defect of a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_LONGEST = (
    "tests/properties/", "tests/integration/faults/", "tests/integration/test_live_equals_replay.py",
    "tests/integration/test_crm_database.py", "tests/integration/test_crm_pull_killed.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker is left with one while the others have nothing to do."""
    items.sort(key=lambda item: item.nodeid.startswith(_LONGEST), reverse=True)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours and one width, whatever runs the tests."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "BYPASSFLOW_DB", "BYPASSFLOW_ANNOTATIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the small company written by hand, one for each module: what notes lie beside it are its own."""
    from tests.served import replayed_acme

    return replayed_acme(tmp_path_factory.mktemp("acme"))


@pytest.fixture(scope="module")
def client(acme: Path) -> Iterator[TestClient]:
    """Asks the application over that store."""
    from tests.served import served

    with served(acme) as asked:
        yield asked


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Apache Kafka, one for each test process. Tests must leave it running."""
    from tests.brokers import running_kafka

    with running_kafka(tmp_path_factory.mktemp("kafka")) as found:
        yield found


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A running PostgreSQL, one for each test process."""
    from tests.crm_servers import running_postgresql

    with running_postgresql() as found:
        yield found


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A running MariaDB, one for each test process."""
    from tests.crm_servers import running_mariadb

    with running_mariadb() as found:
        yield found


@pytest.fixture
def kafka_settings(kafka: Kafka) -> Iterator[KafkaSettings]:
    """Settings of that broker with a prefix of the test's own; what it made is removed."""
    from tests.brokers import delete_topics

    settings = kafka.settings()
    yield settings
    delete_topics(settings)
