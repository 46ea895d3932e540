"""Pages offer no way that ends in a refusal, whatever a visitor may see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dashboard.web import make_app
from pipeline.groups import MERGED, OFF
from sinks.asking import Asking
from sinks.store import Store
from tests.served import Guarded
from tests.stores import NOON

_WAYS = re.compile(r'<(?:a|div|details)\b[^>]* (?:href|hx-get)="(/[^"]*)"')
# Each address has countless questions, and many name somebody or some day: so many of each are asked.
_QUESTIONS = 2
_NAMING = re.compile(r"^/(customers|identifiers|interactions|days|measures)/[^.]+")


def kind_of(address: str) -> str:
    return _NAMING.sub(r"\1", address.partition("?")[0])


def answers(guarded: Guarded, headers: dict[str, str]) -> dict[str, int]:
    """Follow every way from the first page on; return with what status each address answered."""
    found: dict[str, int] = {}
    with guarded.served() as client:
        client.post("/sign-in", data={"secret": headers["Authorization"].partition(" ")[2]})
        waiting = ["/?period=all"]
        while waiting:
            address = waiting.pop()
            kind = kind_of(address)
            if address in found or sum(kind_of(each) == kind for each in found) >= _QUESTIONS:
                continue
            answer = client.get(address)
            found[address] = answer.status_code
            waiting += [unescape(each) for each in _WAYS.findall(answer.text)]
    return found


@pytest.mark.parametrize(
    ("scopes", "teams", "opened", "closed"),
    [
        (["read"], [], "/data", "/interactions"),
        (["read", "customer"], [], "/interactions", "/interactions.csv"),
        (["read", "export"], [], "/explore.csv", "/interactions.csv"),
        (["read", "customer", "export"], ["Sales"], "/interactions.csv", "/data"),
    ],
)
def test_no_way_leads_to_what_a_visitor_may_not_open(
    acme: Path, tmp_path: Path, scopes: Sequence[str], teams: Sequence[str], opened: str, closed: str
) -> None:
    guarded = Guarded(acme, tmp_path, requests_per_minute=10_000)
    found = answers(guarded, guarded.token("somebody", *scopes, teams=teams))
    assert {address for address, status in found.items() if status in (401, 403)} == set()
    paths = {address.partition("?")[0] for address in found}
    assert opened in paths
    assert closed not in paths


def test_a_closed_way_stays_as_a_text(acme: Path, tmp_path: Path) -> None:
    guarded = Guarded(acme, tmp_path)
    with guarded.served() as client:
        page = client.get("/?period=all", headers=guarded.token("reader", "read") | {"Accept": "text/html"}).text
    assert '<a aria-disabled="true">A day</a>' in page
    assert '"link": null' in page or '"link":null' in page


def test_small_teams_that_are_shown_together_are_no_team_to_ask_for(acme: Path) -> None:
    with Store.open(acme) as store:
        store.groups = replace(OFF, merges_small_teams=True)
        asking = Asking(store)
        with TestClient(make_app(asking, now=lambda: NOON), base_url="http://localhost") as client:
            pages = [client.get(path).text for path in ("/?period=all", "/explore?by=team&by=channel&period=all")]
        asking.close()
    for page in pages:
        assert MERGED in page
        assert [way for way in _WAYS.findall(page) if "small" in way] == []
