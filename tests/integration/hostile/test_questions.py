"""Programs in questions: every parameter of the API, the pages and the sink's answers holds text, and text it stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sinks.store import Store
from tests.integration.companies import assert_same_rows, rows_of
from tests.served import replayed_acme, served

SQL = (
    "'; DROP TABLE interaction; --",
    "' OR '1'='1",
    '" OR ""="',
    "1 UNION SELECT content FROM read_text('/etc/passwd')",
    "x'); COPY interaction TO '/tmp/stolen.csv'; --",
    "$id",
    "\\",
)
HOSTILE = (
    *SQL,
    "<script>alert(1)</script>",
    "{{7*7}}",
    "\x00",
    "\u202e\ud7ff",
    "../../../../etc/passwd",
    "9" * 5_000,
    "1e999",
    "9999-12-31",
    "a" * 20_000,
)
PAGES = (
    "/", "/explore", "/explore.csv", "/interactions", "/interactions.csv", "/interactions.parquet", "/days", "/service",
    "/service/calls", "/service/lost", "/service/continuity", "/hygiene", "/hygiene/missing", "/measures", "/data",
    "/data/accounts",
)  # fmt: skip
PAGE_PARAMETERS = (
    "since", "until", "by", "team", "channel", "line", "direction", "outcome", "reason", "source", "representative",
    "segment", "language", "theme", "interval", "order", "after", "page", "limit", "status", "kind", "day", "minimum",
)  # fmt: skip
PAGE_PATHS = ("/interactions/{}", "/days/{}", "/customers/{}", "/identifiers/{}", "/hygiene/{}", "/measures/{}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("questions"))


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[TestClient]:
    before = rows_of(store)
    with served(store) as client:
        yield client
    assert_same_rows(rows_of(store), before)
    assert not Path("/tmp/stolen.csv").exists()


def operations(client: TestClient) -> list[tuple[str, list[dict[str, Any]]]]:
    described = client.get("/openapi.json").json()
    return [(path, verbs["get"].get("parameters", [])) for path, verbs in described["paths"].items() if "get" in verbs]


def assert_harmless(client: TestClient, path: str, asked: dict[str, str] | None, value: str) -> None:
    """The answer is one of those that any question may have, and neither a file's content nor a program of ours."""
    answer = client.get(path, params=asked)
    assert answer.status_code in (200, 303, 304, 400, 404, 405, 406, 422), (path, asked, answer.status_code)
    assert "root:" not in answer.text
    assert "<script>alert" not in answer.text
    assert "Traceback" not in answer.text
    if answer.status_code >= 400:
        assert "Parser Error" not in answer.text
        assert "Binder Error" not in answer.text


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:30]))
def test_every_parameter_of_the_api_takes_a_program_as_text_or_refuses_it(client: TestClient, value: str) -> None:
    asked = 0
    for path, parameters in operations(client):
        filled = re.sub(r"{[^}]*}", "1", path)
        for parameter in parameters:
            if parameter["in"] == "query":
                assert_harmless(client, filled, {parameter["name"]: value}, value)
                asked += 1
            elif parameter["in"] == "path":
                assert_harmless(client, re.sub(r"{[^}]*}", _quoted(value), path), None, value)
                asked += 1
    assert asked > 60


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:30]))
def test_every_parameter_of_the_pages_takes_a_program_as_text_or_refuses_it(client: TestClient, value: str) -> None:
    for page in PAGES:
        assert_harmless(client, page, dict.fromkeys(PAGE_PARAMETERS, value[:2_000]), value)
    for path in PAGE_PATHS:
        assert_harmless(client, path.format(_quoted(value)), None, value)


@pytest.mark.parametrize("name", PAGE_PARAMETERS)
def test_a_parameter_of_a_page_alone_takes_a_program_as_text_or_refuses_it(client: TestClient, name: str) -> None:
    for page in ("/explore", "/interactions", "/hygiene/missing"):
        assert_harmless(client, page, {name: SQL[0]}, SQL[0])


@pytest.mark.parametrize("value", SQL)
def test_every_field_of_a_form_takes_a_program_as_text(store: Path, client: TestClient, value: str) -> None:
    for field in ("name", "begins", "team", "channel", "note", "author"):
        form = {"name": "A", "begins": "2024-03-04", field: value}
        assert client.post("/measures", data=form).status_code in (200, 303, 400)
    for field in ("verdict", "note", "author"):
        form = {"verdict": "logged_elsewhere", "note": "a", "author": "b", field: value}
        assert client.post("/interactions/nobody/labels", data=form).status_code in (303, 400, 404)
    with Store.open(store) as opened:
        assert opened.rows("SELECT count(*) AS n FROM current_interaction")[0]["n"] == 4


def test_a_header_that_is_a_program_is_text(client: TestClient) -> None:
    for name in ("Accept", "Accept-Language", "If-None-Match", "Cookie", "Range", "User-Agent", "Referer"):
        for value in ("'; DROP TABLE interaction; --", "a" * 5_000, "\xff\xfe", "q=;;,,*/*;q=nan"):
            status = client.get("/v1/bypass-share", headers={name.encode(): value.encode("latin-1")}).status_code
            assert status in (200, 304, 406), (name, value)
            assert client.get("/", headers={name.encode(): value.encode("latin-1")}).status_code in (200, 304)


def _quoted(value: str) -> str:
    from urllib.parse import quote

    return quote(value[:3_000], safe="")
