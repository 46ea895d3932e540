"""Who may see what: sign-in, scopes, teams, limits and the trail, over a small store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboard.access.opening import open_access
from dashboard.access.routes import NEEDS
from dashboard.access.trail import Trail
from dashboard.web import make_app
from pipeline.errors import ConfigurationError
from schemas.access import SCOPES, AccessSettings
from sinks.asking import Asking
from sinks.store import Store
from tests.integration.companies import bypassflow
from tests.served import Guarded
from tests.stores import NOON

ALL = ("read", "customer", "representative", "export", "admin")


@pytest.fixture
def guarded(acme: Path, tmp_path: Path) -> Guarded:
    server = Guarded(acme, tmp_path)
    server.token("first", "read")
    return server


@pytest.fixture
def client(guarded: Guarded) -> Iterator[TestClient]:
    with guarded.served() as asked:
        yield asked


def rows_of_trail(guarded: Guarded) -> list[dict[str, Any]]:
    if not guarded.trail.exists():
        return []
    return [json.loads(line) for line in guarded.trail.read_text(encoding="utf-8").splitlines()]


def sign_in(client: TestClient, headers: dict[str, str]) -> None:
    secret = headers["Authorization"].partition(" ")[2]
    done = client.post("/sign-in", data={"secret": secret})
    assert done.status_code == 303, done.text


# Binding


def test_an_address_that_others_reach_needs_a_sign_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nobody has to sign in.*127\.0\.0\.1.*sign_in"):
        open_access(
            AccessSettings(), tmp_path, tmp_path / "trail", is_local=False, environment={}, random_bytes=bytes,
            now=lambda: NOON, tell=print,
        )  # fmt: skip


def test_serve_refuses_to_show_everything_to_other_machines(acme: Path) -> None:
    ran = bypassflow("serve", "--db", acme, "--listen", "0.0.0.0:0")
    assert ran.exit_code == 78
    assert "nobody has to sign in" in ran.error


def test_without_any_token_nobody_is_let_in_and_the_remedy_is_told(acme: Path, tmp_path: Path) -> None:
    guarded = Guarded(acme, tmp_path)
    with guarded.served() as client:
        assert client.get("/v1/measures").status_code == 401
        assert client.get("/v1/measures", headers=guarded.token("first", "read")).status_code == 200
    (said,) = guarded.told
    assert "nobody can sign in yet" in said
    assert "bypassflow access create" in said


# Signing in


def test_without_a_token_there_is_nothing_but_whether_the_server_lives(client: TestClient) -> None:
    refused = client.get("/v1/bypass-share")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="bypassflow"')
    assert refused.headers["content-type"] == "application/problem+json"
    assert client.get("/metrics").status_code == 401
    assert client.get("/v1/nothing").status_code == 401
    page = client.get("/explore?by=team")
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in")
    for path in ("/healthz", "/readyz", "/openapi.json", "/sign-in", "/static/pages.css"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer bypassflow_00", "Basic Zmlyc3Q6eA==", "Bearer é", "bypassflow_00"]
)
def test_what_is_no_token_opens_nothing(client: TestClient, value: str) -> None:
    assert client.get("/v1/bypass-share", headers=[(b"Authorization", value.encode())]).status_code == 401


def test_an_expired_and_a_revoked_token_open_nothing(guarded: Guarded, client: TestClient) -> None:
    guest, other = guarded.token("guest", "read", days=1), guarded.token("other", "read")
    assert client.get("/v1/bypass-share", headers=guest).status_code == 200
    guarded.now = NOON + timedelta(days=1)
    assert client.get("/v1/bypass-share", headers=guest).status_code == 401
    assert client.get("/v1/bypass-share", headers=other).status_code == 200
    guarded.tokens.revoke("other")
    assert client.get("/v1/bypass-share", headers=other).status_code == 401


def test_tokens_that_others_may_read_let_nobody_in(guarded: Guarded, client: TestClient, tmp_path: Path) -> None:
    headers = guarded.token("reader", "read")
    (tmp_path / guarded.settings.tokens_file).chmod(0o644)
    refused = client.get("/v1/bypass-share", headers=headers)
    assert refused.status_code == 503
    assert str(tmp_path) not in refused.text


def test_a_person_signs_in_with_a_token_and_comes_to_where_they_wanted(guarded: Guarded, client: TestClient) -> None:
    headers = guarded.token("anna", "read", "customer")
    away = client.get("/customers/A2")
    assert away.headers["location"] == "/sign-in"
    sign_in_page = client.get("/sign-in")
    assert 'type="password"' in sign_in_page.text
    done = client.post("/sign-in", data={"secret": headers["Authorization"].partition(" ")[2]})
    assert (done.status_code, done.headers["location"]) == (303, "/customers/A2")
    cookie = next(each for each in done.headers.get_list("set-cookie") if each.startswith("bypassflow_session="))
    assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert client.get("/customers/A2").status_code == 200
    assert "Sign out" in client.get("/").text


def test_over_https_the_cookie_is_never_sent_in_clear(acme: Path, tmp_path: Path) -> None:
    guarded = Guarded(acme, tmp_path, public_url="https://bypassflow.acme.example")
    headers = guarded.token("anna", "read")
    with guarded.served("bypassflow.acme.example") as client:
        done = client.post("/sign-in", data={"secret": headers["Authorization"].partition(" ")[2]})
        assert done.status_code == 303, done.text
        assert all("Secure" in each for each in done.headers.get_list("set-cookie") if "session=" in each)
        assert client.get("/sign-in", headers={"Host": "evil.example"}).status_code == 403


def test_a_session_ends_after_its_time_and_when_the_token_is_revoked(guarded: Guarded, client: TestClient) -> None:
    sign_in(client, guarded.token("anna", "read"))
    guarded.now = NOON + timedelta(hours=7, minutes=59)
    assert client.get("/explore").status_code == 200
    guarded.now = NOON + timedelta(hours=8)
    assert client.get("/explore").status_code == 303
    sign_in(client, guarded.token("bertil", "read"))
    assert client.get("/explore").status_code == 200
    guarded.tokens.revoke("bertil")
    assert client.get("/explore").status_code == 303


def test_whoever_signs_out_is_out_even_with_a_copy_of_the_cookie(guarded: Guarded, client: TestClient) -> None:
    sign_in(client, guarded.token("anna", "read"))
    copy = client.cookies["bypassflow_session"]
    assert client.post("/sign-out").headers["location"] == "/sign-in"
    assert client.get("/explore").status_code == 303
    assert client.get("/explore", headers={"Cookie": f"bypassflow_session={copy}"}).status_code == 303


def test_a_changed_cookie_opens_nothing(guarded: Guarded, client: TestClient) -> None:
    sign_in(client, guarded.token("anna", "read"))
    told = client.cookies["bypassflow_session"]
    for changed in (told[:-2], told[2:], "x", told.replace(".", "", 1), client.cookies["bypassflow_session"] + "A"):
        client.cookies.clear()
        assert client.get("/explore", headers={"Cookie": f"bypassflow_session={changed}"}).status_code == 303


def test_a_cookie_of_the_way_to_sign_in_is_no_session(guarded: Guarded, client: TestClient) -> None:
    journey = client.get("/explore").cookies["bypassflow_sign_in"]
    client.cookies.clear()
    assert client.get("/explore", headers={"Cookie": f"bypassflow_session={journey}"}).status_code == 303


@pytest.mark.parametrize("path", ["//evil.example/x", "/%5Cevil.example"])
def test_a_sign_in_leads_to_no_other_server(guarded: Guarded, client: TestClient, path: str) -> None:
    headers = guarded.token("anna", "read")
    client.get(f"http://localhost{path}")
    done = client.post("/sign-in", data={"secret": headers["Authorization"].partition(" ")[2]})
    assert not done.headers["location"].startswith(("//", "/\\", "http"))


def test_a_form_of_another_site_signs_nobody_in_or_out_and_writes_nothing(guarded: Guarded, client: TestClient) -> None:
    headers = guarded.token("anna", *ALL)
    foreign = {"Origin": "https://evil.example"}
    assert client.post("/sign-in", data={"secret": headers["Authorization"][7:]}, headers=foreign).status_code == 403
    sign_in(client, headers)
    assert client.post("/sign-out", headers=foreign).status_code == 403
    assert client.post("/measures", data={"name": "x", "begins": "2024-03-05"}, headers=foreign).status_code == 403
    assert client.get("/explore").status_code == 200


# Scopes


def test_every_route_has_its_scopes_and_the_table_names_no_other(guarded: Guarded, acme: Path) -> None:
    access = open_access(
        guarded.settings, guarded.trail.parent, guarded.trail, is_local=True, environment={},
        random_bytes=guarded.random_bytes, now=lambda: NOON, tell=print,
    )  # fmt: skip
    with Store.open(acme) as store:
        asking = Asking(store)
        app = make_app(asking, access=access, now=lambda: NOON)
        asking.close()
    routes = {
        f"{method} {getattr(route, 'path', '')}"
        for route in app.routes
        for method in (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    }
    assert routes == set(NEEDS)


# A path that each route answers, and the scopes that it asks.
PATHS = {
    "/v1/bypass-share": {"read"}, "/v1/interactions": {"customer"}, "/v1/customers": {"customer"},
    "/v1/customers/A2/timeline": {"customer"},
    "/customers/A2/interactions.csv": {"customer", "export"}, "/v1/days/2024-03-04": {"customer"},
    "/v1/identifiers": {"customer"},
    "/v1/activities": {"customer"}, "/v1/audit": {"read"}, "/metrics": {"read"}, "/": {"read"}, "/explore": {"read"},
    "/explore.csv": {"read", "export"}, "/interactions": {"customer"}, "/interactions.csv": {"customer", "export"},
    "/interactions.parquet": {"customer", "export"}, "/customers/A2": {"customer"}, "/days": {"customer"},
    "/hygiene": {"read"}, "/hygiene/missing": {"customer"}, "/hygiene/missing.csv": {"customer", "export"},
    "/service/lost": {"customer"}, "/data": {"read"}, "/measures": {"read"},
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_route_opens_with_its_scopes_and_with_none_of_them_missing(
    guarded: Guarded, client: TestClient, path: str
) -> None:
    needed = PATHS[path]
    assert client.get(path, headers=guarded.token("enough", *needed)).status_code == 200
    for missing in needed:
        others = [each for each in SCOPES if each != missing]
        refused = client.get(path, headers=guarded.token(f"without-{missing}", *others))
        assert refused.status_code == 403
        assert missing in refused.text


@pytest.mark.parametrize(
    "accept", ["text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"]
)
def test_tables_of_the_api_are_taken_away_with_export_alone(guarded: Guarded, client: TestClient, accept: str) -> None:
    reader, taker = guarded.token("reader", "read"), guarded.token("taker", "read", "export")
    told = {"Accept": accept}
    assert client.get("/v1/bypass-share", headers=reader | told).status_code == 403
    assert client.get("/v1/bypass-share", headers=taker | told).status_code == 200


def test_figures_by_representative_need_their_scope(guarded: Guarded, client: TestClient) -> None:
    reader, every = guarded.token("reader", "read"), guarded.token("every", *ALL)
    path = "/v1/bypass-share?by=team,representative"
    assert "scope" in client.get(path, headers=reader).json()["detail"]
    # Who has it is told that the company shows none.
    assert "privacy.representatives" in client.get(path, headers=every).json()["detail"]


def test_measures_and_labels_are_added_with_admin_alone(guarded: Guarded, client: TestClient) -> None:
    sign_in(client, guarded.token("reader", "read", "customer"))
    assert client.post("/measures", data={"name": "x", "begins": "2024-03-05"}).status_code == 403
    assert 'name="begins"' not in client.get("/measures").text
    sign_in(client, guarded.token("chief", "read", "admin"))
    assert 'name="begins"' in client.get("/measures").text
    assert client.post("/measures", data={"name": "x", "begins": "2024-03-05"}).status_code == 303


def test_the_overview_names_customers_to_those_who_may_know_them_alone(guarded: Guarded, client: TestClient) -> None:
    path = "/?period=all"
    sign_in(client, guarded.token("reader", "read"))
    page = client.get(path)
    assert page.status_code == 200
    assert "/customers/" not in page.text
    sign_in(client, guarded.token("knower", "read", "customer"))
    assert "/customers/" in client.get(path).text


# Teams


def test_a_restricted_token_sees_its_teams_alone(guarded: Guarded, client: TestClient) -> None:
    sales, every = guarded.token("sales", *ALL, teams=["Sales"]), guarded.token("every", *ALL)
    told = client.get("/v1/bypass-share?by=team", headers=sales).json()
    assert [(row["team"], row["decided_count"]) for row in told["rows"]] == [("Sales", 3)]
    assert told["overall"]["decided_count"] == 3
    assert client.get("/v1/bypass-share", headers=every).json()["overall"]["decided_count"] == 4
    assert {row["team"] for row in client.get("/v1/interactions", headers=sales).json()["rows"]} == {"Sales"}
    assert "Service" not in client.get("/interactions.csv?period=all", headers=sales).text
    (teams,) = [
        row["values"]
        for row in client.get("/v1/dimensions", headers=sales).json()["rows"]
        if row["dimension"] == "team"
    ]
    assert teams == ["Sales"]


def test_what_is_kept_between_requests_crosses_no_teams(guarded: Guarded, client: TestClient) -> None:
    sales, every = guarded.token("sales", *ALL, teams=["Sales"]), guarded.token("every", *ALL)
    page = "/explore?by=team&period=all"
    assert "Service" in client.get(page, headers=every).text
    assert "Service" not in client.get(page, headers=sales).text.replace("/service", "").replace(">Service<", "")
    tag = client.get("/v1/bypass-share", headers=every).headers["etag"]
    again = client.get("/v1/bypass-share", headers=sales | {"If-None-Match": tag})
    assert (again.status_code, again.json()["overall"]["decided_count"]) == (200, 3)
    assert "Authorization" in again.headers["vary"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/bypass-share?team=Service", "/v1/bypass-share?team=Sales&team=Service", "/v1/bypass-share?team=none",
        "/v1/interactions?team=Service", "/v1/service/calls", "/v1/activities", "/v1/audit", "/metrics",
        "/v1/identifiers/shared", "/explore?team=Service", "/explore.csv?team=Service", "/interactions.csv?team=none",
        "/hygiene", "/hygiene/unexplained", "/data", "/service/calls",
    ],
)  # fmt: skip
def test_asking_for_another_team_or_the_whole_company_is_refused(
    guarded: Guarded, client: TestClient, path: str
) -> None:
    sales, every = guarded.token("sales", *ALL, teams=["Sales"]), guarded.token("every", *ALL)
    assert client.get(path, headers=sales).status_code == 403
    assert client.get(path, headers=every).status_code == 200


def test_an_interaction_and_a_customer_of_another_team_are_refused_as_if_there_were_none(
    guarded: Guarded, client: TestClient
) -> None:
    sales, every = guarded.token("sales", *ALL, teams=["Sales"]), guarded.token("every", *ALL)
    rows = client.get("/v1/interactions", headers=every).json()["rows"]
    (other,) = [row for row in rows if row["team"] == "Service"]
    mine = next(row for row in rows if row["team"] == "Sales" and row["customer_ids"])
    for place in ("/v1/interactions", "/interactions"):
        assert client.get(f"{place}/{mine['interaction_id']}", headers=sales).status_code == 200
        assert client.get(f"{place}/{other['interaction_id']}", headers=every).status_code == 200
        there, nowhere = (client.get(f"{place}/{each}", headers=sales) for each in (other["interaction_id"], "0" * 32))
        assert there.status_code == nowhere.status_code == 403
        assert there.text.replace(other["interaction_id"], "") == nowhere.text.replace("0" * 32, "")
    mine_alone = f"/v1/customers/{mine['customer_ids'][0]}/timeline"
    assert client.get(mine_alone, headers=sales).status_code == 200
    assert client.get(f"/customers/{mine['customer_ids'][0]}", headers=sales).status_code == 200
    foreign = guarded.token("nobody", *ALL, teams=["Accounts"])
    assert client.get(mine_alone, headers=foreign).status_code == 403
    assert client.get(f"/customers/{mine['customer_ids'][0]}", headers=foreign).status_code == 403


@pytest.mark.parametrize("team", ["Sales' OR 1=1 --", '"; DROP TABLE run; --', "'", "\\"])
def test_the_name_of_a_team_is_never_taken_for_sql(guarded: Guarded, client: TestClient, team: str) -> None:
    odd = guarded.token("odd", *ALL, teams=[team])
    assert client.get("/v1/bypass-share", headers=odd).json()["overall"]["interaction_count"] == 0


# Limits


def test_too_many_requests_wait_and_are_told_how_long(acme: Path, tmp_path: Path) -> None:
    guarded = Guarded(acme, tmp_path, requests_per_minute=3)
    first, second = guarded.token("first", "read"), guarded.token("second", "read")
    with guarded.served() as client:
        statuses = [client.get("/v1/measures", headers=first).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = client.get("/v1/measures", headers=first)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/v1/measures", headers=second).status_code == 200


def test_an_address_that_guesses_tokens_has_to_wait_on_every_way_in(acme: Path, tmp_path: Path) -> None:
    guarded = Guarded(acme, tmp_path, tries_per_minute=3)
    right = guarded.token("first", "read")
    with guarded.served() as client:
        wrong = {"Authorization": "Bearer bypassflow_00"}
        assert [client.get("/v1/measures", headers=wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
        form = client.post("/sign-in", data={"secret": right["Authorization"][7:]})
        assert (form.status_code, int(form.headers["retry-after"]) > 0) == (429, True)


# The trail


def test_what_is_taken_away_and_whom_somebody_looked_at_stands_in_the_trail(
    guarded: Guarded, client: TestClient
) -> None:
    anna = guarded.token("anna", *ALL)
    client.get("/v1/bypass-share", headers=anna)
    assert rows_of_trail(guarded) == []
    client.get("/v1/customers/A2/timeline?since=2024-01-01T00:00:00Z", headers=anna)
    client.get("/explore.csv?by=team&period=all&team=Sales", headers=anna)
    client.get("/interactions.csv?period=all&team=%2B358401234567", headers=anna)
    client.get("/v1/customers/nobody/timeline", headers=anna)
    view, table, odd = rows_of_trail(guarded)
    assert (view["who"], view["route"]) == ("anna", "GET /v1/customers/{customer_id:path}/timeline")
    assert (view["at"], view["status"], view["row_count"]) == (f"{NOON.isoformat()}Z", 200, 1)
    assert view["filter"] == {"since": ["2024-01-01T00:00:00Z"]}
    assert (table["format"], table["row_count"], table["about"]) == ("text/csv", 1, None)
    assert table["filter"] == {"by": ["team"], "period": ["all"], "team": ["Sales"]}
    assert odd["filter"]["team"] == ["hidden"]


def test_nobody_is_named_in_the_trail_and_yet_it_tells_who_looked_at_somebody(
    guarded: Guarded, client: TestClient
) -> None:
    anna = guarded.token("anna", *ALL)
    client.get("/customers/A2", headers=anna)
    client.get("/v1/customers/A2/timeline", headers=anna)
    page, answer = rows_of_trail(guarded)
    assert page["about"] == answer["about"]
    assert len(page["about"]) == 16
    assert "A2" not in guarded.trail.read_text(encoding="utf-8")


def test_the_log_of_access_is_shown_by_a_command(guarded: Guarded, client: TestClient, tmp_path: Path) -> None:
    client.get("/customers/A2", headers=guarded.token("anna", *ALL))
    client.get("/explore.csv?period=all", headers=guarded.token("bertil", *ALL))
    db = guarded.trail.with_name("acme.duckdb")
    told = json.loads(bypassflow("access", "log", "--db", db, "--format", "json").out)
    assert [row["who"] for row in told] == ["anna", "bertil"]
    of_one = bypassflow("access", "log", "--db", db, "--customer", "A2", "--format", "json")
    assert [row["who"] for row in json.loads(of_one.out)] == ["anna"]
    assert "/explore.csv" in bypassflow("access", "log", "--db", db, "--who", "bertil").out


def test_what_cannot_be_noted_is_not_shown(guarded: Guarded, client: TestClient) -> None:
    anna = guarded.token("anna", *ALL)
    guarded.trail.mkdir()
    refused = client.get("/v1/customers/A2/timeline", headers=anna)
    assert refused.status_code == 503
    assert "rows" not in refused.json()
    assert client.get("/v1/bypass-share", headers=anna).status_code == 200


def test_a_trail_that_was_cut_off_is_told_with_its_line(tmp_path: Path) -> None:
    db = tmp_path / "x.duckdb"
    Trail(tmp_path / "x.access.jsonl", b"key").note(
        NOON, "anna", "GET /", 200, format="text/csv", asked=[], path={}, row_count=None
    )
    with (tmp_path / "x.access.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"who": "an')
    assert "line 2 is no line of a trail" in bypassflow("access", "log", "--db", db).error
