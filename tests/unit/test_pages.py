"""The pages over a small store: that each says what the store knows, and what it says when something is wrong."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from dashboard.pages.overview import heat
from dashboard.vendored import MANIFEST, SCRIPTS, checksum, kept_names
from dashboard.web import make_app
from schemas.annotations import Label
from sinks.annotations import Annotations, beside
from sinks.asking import Asking
from sinks.measures import PERSONAL
from sinks.metrics import split
from sinks.store import Store
from tests.served import replayed_acme, served
from tests.stores import NOON, batch, letter, published

PAGES = (
    "/", "/explore", "/explore?by=team,channel", "/explore?by=day", "/interactions", "/days", "/days/2024-03-04",
    "/service", "/service/calls", "/service/lost", "/service/continuity", "/hygiene", "/hygiene/missing",
    "/hygiene/shared", "/hygiene/unexplained", "/hygiene/redundant", "/measures", "/data", "/data/accounts",
)  # fmt: skip


@pytest.fixture(scope="module")
def asked(acme: Path) -> Iterator[TestClient]:
    with served(acme) as client:
        yield client


@pytest.fixture
def client(asked: TestClient) -> TestClient:
    """Return a browser that nobody has used before."""
    asked.cookies.clear()
    return asked


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    path = tmp_path / "empty.duckdb"
    with Store.create(path) as store:
        store.publish()
    with served(path) as asked:
        yield asked


def text_of(page: str) -> str:
    """Return what a reader sees of a page, words apart by single blanks."""
    without = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def links_of(page: str) -> set[str]:
    return {html.unescape(each) for each in re.findall(r'(?:href|hx-get)="(/[^"]*)"', page)}


# -- every page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "fi"])
def test_a_page_comes_in_each_language_and_loads_nothing_from_elsewhere(
    client: TestClient, path: str, language: str
) -> None:
    told = client.get(path, headers={"Accept-Language": language})
    assert told.status_code == 200
    assert f'<html lang="{language}"' in told.text
    assert "default-src 'none'" in told.headers["content-security-policy"]
    assert not re.search(r'(?:src|href|action)="(?!/|#)', told.text)
    # Neither scripts nor styles stand in the page: the policy would refuse them.
    assert not re.search(r"<script(?![^>]*(src=|application/json))|<style|\son\w+=|\sstyle=", told.text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_over_an_empty_store_says_what_to_do(empty: TestClient, path: str) -> None:
    told = empty.get(path)
    assert told.status_code == 200
    if path in ("/", "/explore", "/interactions", "/days", "/data"):
        assert "bypassflow replay PATH --db FILE" in text_of(told.text)


def test_a_page_tells_how_long_the_store_took(client: TestClient) -> None:
    told = client.get("/explore").headers["server-timing"]

    assert float(told.removeprefix("store;dur=")) > 0


def test_every_link_leads_to_something(client: TestClient) -> None:
    # One address of each form: with the same names of parameters, and values of the path left out.
    seen: dict[str, str] = {}
    waiting = deque(["/"])
    while waiting:
        path = waiting.popleft()
        names = ",".join(sorted({name for name, _ in parse_qsl(urlsplit(path).query)}))
        form = re.sub(r"^(/customers|/identifiers|/interactions|/days)/.*", r"\1/", urlsplit(path).path) + names
        if form in seen or "language=" in path:
            continue
        seen[form] = path
        told = client.get(path)
        assert told.status_code == 200, path
        if "text/html" in told.headers["content-type"]:
            waiting += sorted(links_of(told.text))
    found = {urlsplit(path).path for path in seen.values()}
    assert {"/explore", "/interactions", "/explore.csv", "/hygiene/missing", "/measures", "/data"} <= found
    assert {"/customers/", "/interactions/", "/days/"} <= set(seen)


# -- what they say -----------------------------------------------------------------------------------------------------


def test_the_overview_says_the_share_that_the_store_has(client: TestClient, acme: Path) -> None:
    # Of four conversations one was logged.
    page = client.get("/").text
    assert '<p class="figure"><a href="/interactions?since=2024-02-06&amp;through=2024-03-04' in page
    said = text_of(page)
    assert "75.0 %" in said
    assert "Of 4 interactions that are decided, 3 left no trace on a customer in the CRM." in said
    assert "There is nothing before this period to compare with." in said
    with Store.open(acme) as store:
        (row,) = split.share(store)
    assert (row["traced_count"], row["siloed_count"] + row["bypassed_count"]) == (1, 3)


def test_a_number_leads_to_exactly_its_interactions(client: TestClient) -> None:
    page = client.get("/").text
    found = re.findall(r'<td class="right"><a href="(/interactions[^"]*)">(\d+)</a>', page)
    assert found
    for address, count in found:
        listed = client.get(html.unescape(address)).text
        assert f"{count} interaction" in text_of(listed)
        assert len(set(re.findall(r'href="/interactions/(\w+)"', listed))) == int(count)


def test_the_accounts_of_a_source_lead_to_its_interactions(client: TestClient) -> None:
    links = links_of(client.get("/data/accounts").text)
    (to_interactions,) = (each for each in links if each.startswith("/interactions?"))

    assert parse_qsl(urlsplit(to_interactions).query) == [("source", "asterisk")]
    assert "/interactions/" in client.get(to_interactions).text


def test_raw_events_that_were_rejected_lead_to_why(tmp_path: Path) -> None:
    damaged = {("pbx", "calls.csv"): batch([], [letter("pbx:calls.csv:7", reason="no time of the call")])}
    with served(published(tmp_path / "damaged.duckdb", damaged)) as asked:
        assert "/data#letters" in links_of(asked.get("/data/accounts").text)
        assert re.search(r'id="letters".*no time of the call', asked.get("/data").text, re.DOTALL)


def test_a_share_can_be_followed_down_to_the_reason_of_one_interaction(client: TestClient) -> None:
    explored = client.get("/explore?by=team").text
    (sales,) = re.findall(r'<th scope="row"><a href="([^"]*team=Sales[^"]*)"', explored)
    listed = client.get(html.unescape(sales) + "&outcome=bypassed").text
    one = re.findall(r'href="(/interactions/\w+)"', listed)[0]
    page = client.get(one)
    assert "Why is this one bypassed?" in text_of(page.text)
    assert "raw event" in page.text
    assert "Master.csv:" in page.text


def test_filters_choose_what_a_page_is_about(client: TestClient) -> None:
    assert "Of 3 interactions that are decided" in text_of(client.get("/?team=Sales").text)
    assert "Of 1 interactions that are decided" in text_of(client.get("/?team=Service").text)
    none = text_of(client.get("/?team=Nobody").text)
    assert "No interaction fits The last interaction is of Mon 4 Mar 2024." in none


def test_a_filter_that_no_form_offers_can_be_taken_away_again(client: TestClient) -> None:
    page = client.get("/interactions?ticket=T2").text
    assert re.search(r'<a href="/interactions[^"]*" title="take this filter away">[^<]*T2', page)
    assert '<input type="hidden" name="ticket" value="T2">' in page


@pytest.mark.parametrize("name", PERSONAL)
def test_nobody_is_named_in_the_question_of_an_address(client: TestClient, name: str) -> None:
    for path in ("/interactions", "/explore", "/", "/interactions.csv"):
        refused = client.get(f"{path}?{name}=A2")
        assert refused.status_code == 400
        assert "A2" not in refused.text.replace(f"{name}=A2", "")
    assert client.get(f"/v1/interactions?{name}=A2").status_code == 422
    assert client.get(f"/v1/bypass-share?{name}=A2").status_code == 422


def test_no_page_links_to_an_address_that_names_somebody_in_its_question(client: TestClient) -> None:
    pages = [client.get(path).text for path in (*PAGES, "/customers/A2")]
    links = {html.unescape(each) for page in pages for each in re.findall(r'href="([^"]*)"', page)}
    asked = {name for each in links for name, _ in parse_qsl(urlsplit(each).query)}
    assert {"team", "outcome"} <= asked
    assert asked.isdisjoint(PERSONAL)


def test_the_interactions_with_a_customer_are_downloaded_below_their_page(client: TestClient) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get("/customers/A2/interactions.csv").text)))
    assert rows
    assert all("A2" in row["customer_ids"] for row in rows)
    assert client.get("/customers/nobody/interactions.csv").status_code == 404


def test_a_day_shows_each_customer_with_all_its_interactions(client: TestClient) -> None:
    said = text_of(client.get("/days/2024-03-04").text)
    assert "What we did with our customers on Mon 4 Mar 2024" in said
    assert "A1" in said
    assert "09:02" in said
    assert "No interaction on this day" in text_of(client.get("/days/2024-03-05").text)


def test_the_picture_of_the_trend_has_the_figures_of_its_table(client: TestClient, acme: Path) -> None:
    page = client.get("/explore?by=day&period=all").text
    (found,) = re.findall(r'<script type="application/json" id="trend-data">(.*?)</script>', page)
    points = json.loads(found)["points"]
    with Store.open(acme) as store:
        rows = split.share(store, (), "day")
    assert [each["share"] for each in points] == [round(100 * row["bypass_share"], 2) for row in rows]
    assert all(each["low"] <= each["share"] <= each["high"] for each in points)


def test_cells_are_as_dark_as_their_share_is_high() -> None:
    rows: list[dict[str, Any]] = [
        {"team": None, "channel": "call", "bypass_share": 1.0}, {"team": "A", "channel": "call", "bypass_share": 0.04},
        {"team": "A", "channel": "email", "bypass_share": None},
    ]  # fmt: skip
    table = heat(rows)
    assert [line["team"] for line in table["teams"]] == ["A", None]
    assert table["teams"][0]["cells"]["call"]["step"] == 0
    assert table["teams"][0]["cells"]["email"]["step"] is None
    assert table["teams"][1]["cells"]["call"]["step"] == 10


def test_names_of_people_are_text_and_never_markup(tmp_path: Path) -> None:
    path = replayed_acme(tmp_path)
    evil = "<img src=x onerror=alert(1)>"
    with duckdb.connect(str(path)) as store:
        store.execute("UPDATE interaction_base SET team = ?", [evil])
    Annotations(beside(path)).add_measure(f"</script>{evil}", NOON, added_at=NOON)
    with served(path) as client:
        for page in ("/", "/explore?by=team", "/interactions", "/days/2024-03-04", "/measures", "/measures/1"):
            told = client.get(page)
            assert told.status_code == 200
            assert "<img" not in told.text
            assert "</script>&lt;img" not in told.text.split("<main")[0]
        assert "&lt;img" in client.get("/explore?by=team").text


def test_a_running_sink_tells_on_the_page_of_data_how_far_it_is(acme: Path) -> None:
    told = {
        "state": "running",
        "topics": {"facts": {"position": 5, "end": 1_239, "waiting": 1_234}},
        "watermark": "2024-03-04T10:00:00Z",
    }
    with Store.open(acme) as store:
        asking = Asking(store)
        client = TestClient(make_app(asking, status=lambda: told, now=lambda: NOON), base_url="http://localhost")
        said = text_of(client.get("/data").text)
        asking.close()
    assert "The sink is running. Events have been seen up to Mon 4 Mar 2024 12:00." in said
    assert "facts 1,234" in said


# -- downloads ---------------------------------------------------------------------------------------------------------


def test_tables_are_downloaded_with_the_figures_of_the_page(client: TestClient) -> None:
    told = client.get("/explore.csv?by=team")
    assert told.headers["content-disposition"] == 'attachment; filename="bypass-share.csv"'
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert [(row["team"], row["decided_count"]) for row in rows] == [("Sales", "3"), ("Service", "1")]
    table = pq.read_table(io.BytesIO(client.get("/interactions.parquet?team=Sales").content))
    assert table.num_rows == 3


@pytest.mark.parametrize("part", ["missing", "shared", "unexplained", "redundant"])
def test_lists_for_the_crm_are_downloaded_with_their_columns(client: TestClient, part: str) -> None:
    rows = list(csv.reader(io.StringIO(client.get(f"/hygiene/{part}.csv?period=all").text)))
    assert {"token", "interaction_count"} <= set(rows[0]) or {"activity_id", "kind"} <= set(rows[0])


# -- what people write -------------------------------------------------------------------------------------------------


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[tuple[TestClient, Annotations]]:
    path = replayed_acme(tmp_path)
    with served(path) as asked:
        yield asked, Annotations(beside(path))


def test_a_measure_is_added_shown_and_removed(writable: tuple[TestClient, Annotations]) -> None:
    client, notes = writable
    form = {
        "name": "Click to dial",
        "begins": "2024-03-04",
        "team": ["Sales", ""],
        "channel": ["call"],
        "author": "Aino",
    }
    told = client.post("/measures", data=form, follow_redirects=False)
    assert (told.status_code, told.headers["location"]) == (303, "/measures/1")
    (kept,) = notes.measures()
    assert (kept.name, kept.teams, kept.channels) == ("Click to dial", ("Sales",), ("call",))
    assert kept.begins_at == datetime(2024, 3, 3, 22)  # midnight in Helsinki
    assert "Nothing can be said yet" in text_of(client.get("/measures/1").text)
    assert "Click to dial" in client.get("/").text
    assert client.post("/measures/1/remove", follow_redirects=False).headers["location"] == "/measures"
    assert notes.measures() == []
    assert client.get("/measures/1").status_code == 404


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "", "begins": "2024-03-04"}, "the measure has no name"),
        ({"name": "A"}, "the day on which the measure begins is missing"),
        ({"name": "A", "begins": "soon"}, "is no date"),
        ({"name": "A", "begins": "2024-03-04", "team": "Nobody"}, "Nobody"),
    ],
)
def test_a_measure_that_cannot_be_kept_is_told_above_the_form(
    writable: tuple[TestClient, Annotations], form: dict[str, str], said: str
) -> None:
    client, notes = writable
    told = client.post("/measures", data=form)
    assert told.status_code == 400
    assert said in text_of(told.text)
    assert 'role="alert"' in told.text
    assert notes.measures() == []


def test_a_judgement_is_kept_with_its_interaction(writable: tuple[TestClient, Annotations]) -> None:
    client, notes = writable
    one = re.findall(r'href="/interactions/(\w+)"', client.get("/interactions").text)[0]
    form = {"verdict": "logged_elsewhere", "note": "stands in the old CRM", "author": "Eero"}
    told = client.post(f"/interactions/{one}/labels", data=form, follow_redirects=False)
    assert (told.status_code, told.headers["location"]) == (303, f"/interactions/{one}#judgement")
    assert notes.labels_of(one) == [Label(one, "logged_elsewhere", "stands in the old CRM", "Eero", NOON)]
    assert "stands in the old CRM" in client.get(f"/interactions/{one}").text
    refused = client.post(f"/interactions/{one}/labels", data={"verdict": "perhaps"})
    assert refused.status_code == 400
    assert client.post("/interactions/nope/labels", data=form).status_code in (400, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_form_of_another_site_writes_nothing(
    writable: tuple[TestClient, Annotations], headers: dict[str, str]
) -> None:
    client, notes = writable
    told = client.post("/measures", data={"name": "A", "begins": "2024-03-04"}, headers=headers)
    assert told.status_code == 403
    assert notes.measures() == []
    kept = client.post("/measures", data={"name": "A", "begins": "2024-03-04"}, headers={"Origin": "http://localhost"})
    assert kept.status_code == 200
    assert len(notes.measures()) == 1


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/?since=soon", 400, "since is no day; expected one such as 2024-05-31"),
        ("/explore?by=colour", 400, "unknown dimension 'colour'"),
        ("/interactions/nope", 404, "there is no interaction with this id"),
        ("/customers/nobody", 404, "there is no interaction with this customer"),
        ("/days/soon", 404, "there is no such day"),
        ("/hygiene/everything", 404, "there is no such list"),
        ("/measures/7", 404, "there is no measure of this number"),
    ],
)
def test_what_is_wrong_is_told_on_a_page(client: TestClient, path: str, status: int, said: str) -> None:
    told = client.get(path)
    assert told.status_code == status
    assert "text/html" in told.headers["content-type"]
    assert said in text_of(told.text)


def test_a_cursor_that_is_none_shows_the_first_page(client: TestClient) -> None:
    assert client.get("/interactions?cursor=zz").status_code == 200


def test_a_long_list_is_read_page_by_page(tmp_path: Path) -> None:
    path = replayed_acme(tmp_path)
    with duckdb.connect(str(path)) as store:
        store.execute(
            "INSERT INTO interaction_base SELECT i.* REPLACE (interaction_id || n AS interaction_id, "
            "started_at + to_minutes(n) AS started_at) FROM interaction_base AS i, range(1, 41) AS counted(n)"
        )
        (count,) = store.execute("SELECT count(*) FROM interaction_base").fetchall()[0]
    seen: list[str] = []
    with served(path) as client:
        address = "/interactions?period=all"
        while address:
            page = client.get(address).text
            seen += re.findall(r'<td class="when"><a href="/interactions/(\w+)">\w+ \d', page)
            following = re.findall(r'rel="next" href="([^"]*)"', page)
            address = html.unescape(following[0]) if following else ""
    assert len(seen) == len(set(seen)) == count


def test_unsettled_days_are_marked(tmp_path: Path) -> None:
    path = replayed_acme(tmp_path)
    with duckdb.connect(str(path)) as store:
        store.execute("UPDATE feed_progress SET complete_through = TIMESTAMP '2024-03-04 12:00:00'")
        store.execute("UPDATE interaction_base SET outcome = 'pending', reason = NULL WHERE outcome = 'bypassed'")
    with served(path) as client:
        page = client.get("/").text
    (found,) = re.findall(r'<script type="application/json" id="trend-data">(.*?)</script>', page)
    assert any(point["isUnsettled"] for point in json.loads(found)["points"])


# -- choices of the reader ---------------------------------------------------------------------------------------------


def test_a_language_that_was_chosen_is_kept(client: TestClient) -> None:
    told = client.get("/?language=fi", headers={"Accept-Language": "en"})
    assert '<html lang="fi"' in told.text
    assert "language=fi" in told.headers["set-cookie"]
    assert '<html lang="fi"' in client.get("/data", headers={"Accept-Language": "en"}).text
    client.cookies.clear()
    assert '<html lang="en"' in client.get("/?language=xx").text


def test_a_theme_that_was_chosen_comes_with_the_page(client: TestClient) -> None:
    assert 'data-theme="auto"' in client.get("/").text
    assert 'data-theme="dark"' in client.get("/", headers={"Cookie": "theme=dark"}).text
    assert 'data-theme="auto"' in client.get("/", headers={"Cookie": 'theme="><script>'}).text


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_scripts_of_others_are_those_of_the_manifest(client: TestClient) -> None:
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    assert [entry["package"] for entry in manifest] == [script.package for script in SCRIPTS]
    for entry, script in zip(manifest, SCRIPTS, strict=True):
        assert entry["version"] == script.version
        assert set(entry["sha256"]) == set(kept_names(script).values())
        for name, digest in entry["sha256"].items():
            assert checksum(MANIFEST.parent / name) == digest
            assert client.get(f"/static/vendor/{name}").status_code == 200


def test_files_beside_the_static_ones_are_not_given(client: TestClient) -> None:
    assert client.get("/static/../web.py").status_code == 404
    assert client.get("/static/%2e%2e/web.py").status_code == 404
