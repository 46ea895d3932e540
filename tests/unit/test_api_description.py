"""The API is what its own description says, for questions that follow it and for such that do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from dashboard.web import Site, make_app
from sinks.annotations import beside
from sinks.asking import Asking
from sinks.store import Store
from tests.stores import NOON

ROOT = Path(__file__).resolve().parents[2]
# Other names than this machine's own are refused.
LOCAL = {"Host": "localhost"}
PATHS = (
    "/healthz", "/readyz", "/metrics", "/v1/bypass-share", "/v1/dimensions", "/v1/interactions",
    "/v1/interactions/{interaction_id}", "/v1/customers/{customer_id}/timeline", "/v1/days/{day}", "/v1/activities",
    "/v1/identifiers", "/v1/measures", "/v1/sources", "/v1/audit", "/v1/measures/{measure_id}/effect",
    "/v1/identifiers/shared", "/v1/delays", "/v1/delays/settling", "/v1/service/emails", "/v1/service/calls",
    "/v1/service/missed-calls", "/v1/customers", "/v1/identifiers/{token}/timeline",
)  # fmt: skip
# Of these nothing can be asked wrongly.
WITHOUT_PARAMETERS = (
    "/healthz", "/readyz", "/metrics", "/v1/dimensions", "/v1/measures", "/v1/sources", "/v1/audit",
)  # fmt: skip


@pytest.fixture(scope="module")
def description(acme: Path) -> Iterator[schemathesis.BaseSchema]:
    with Store.open(acme) as store:
        asking = Asking(store)
        app = make_app(asking, annotations=beside(acme), now=lambda: NOON)
        yield schemathesis.openapi.from_asgi("/openapi.json", app, headers=LOCAL)
        asking.close()


def test_every_path_is_described(description: schemathesis.BaseSchema) -> None:
    assert sorted(description) == sorted(PATHS)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        *((path, GenerationMode.POSITIVE) for path in PATHS),
        *((path, GenerationMode.NEGATIVE) for path in PATHS if path not in WITHOUT_PARAMETERS),
    ],
)
def test_answers_are_as_described(description: schemathesis.BaseSchema, path: str, mode: GenerationMode) -> None:
    operation = description[path]["GET"]

    @settings(
        max_examples=6, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=LOCAL)

    asked()


def test_the_example_of_the_guide_gives_the_figures(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "howto" / "use-the-api.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0]
    with Store.open(acme) as store:
        asking = Asking(store)
        with Site(make_app(asking, now=lambda: NOON), asking, "127.0.0.1", 0) as site:
            assert "http://127.0.0.1:8765" in example
            exec(example.replace("http://127.0.0.1:8765", site.url), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Sales 2 of 3", "Service 1 of 1"]
    assert lines[2] == "2 interactions of Sales were bypassed"
    assert lines[3].startswith("Bypassed")
