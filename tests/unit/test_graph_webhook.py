"""Notifications of Microsoft Graph: which are ours, what they point at, and subscriptions that do not run out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from agents.receivers import graph_hook, graph_subscriptions
from agents.receivers.graph_client import GraphClient, GraphError
from agents.receivers.graph_hook import GraphHook
from agents.receivers.graph_subscriptions import Subscriptions
from agents.receivers.positions import Positions
from pipeline.webhooks.exchange import Content, Refused, Request
from pipeline.webhooks.graph import Format, Graph, Pointer, content
from tests.fake_graph import STATE, notice

NOW = datetime(2024, 3, 5, 9, tzinfo=UTC)
URL = "https://hooks.acme.example/graph"
CALLS, INBOX = "/communications/callRecords", "/users/sales@acme.example/mailFolders('inbox')/messages"


def request(*notices: Mapping[str, Any], query: str = "", body: bytes | None = None) -> Request:
    return Request("POST", query, {}, NOW, orjson.dumps({"value": notices}) if body is None else body)


def refusal(ask: Callable[[], object]) -> int:
    try:
        ask()
    except Refused as refused:
        return refused.answer.status
    return 200


# What a notification says


def test_the_handshake_is_answered_with_its_token_and_nothing_else_is() -> None:
    graph = Graph("teams", STATE)
    answer = graph.greet(request(query="validationToken=Validation%3a+Testing+%26%3Cb%3E"))
    assert answer is not None
    assert (answer.status, answer.text, answer.content_type) == (200, "Validation: Testing &<b>", "text/plain")
    assert graph.greet(request(query="a=1")) is None
    for token in ("", "x" * 1_001, "%0d%0aSet-Cookie:%20a", "%C3%A4", "%00"):
        assert refusal(lambda: graph.greet(request(query=f"validationToken={token}"))) == 400  # noqa: B023


def test_every_notification_of_a_request_has_to_bring_back_the_text() -> None:
    graph = Graph("teams", STATE)
    ours = notice("communications/callRecords/1")
    assert refusal(lambda: graph.notices(request(ours))) == 200
    for state in ("guessed", "", None, 1, [STATE]):
        assert refusal(lambda: graph.notices(request(ours, {**ours, "clientState": state}))) == 403  # noqa: B023
    assert refusal(lambda: graph.notices(request(body=b'{"value": [1]}'))) == 403
    for body in (b"", b"{", b"[]", b'{"value": []}', b'{"value": {}}', orjson.dumps({"value": [ours] * 1_001})):
        assert refusal(lambda: graph.notices(request(body=body))) == 400  # noqa: B023


@pytest.mark.parametrize(
    ("format", "resource", "address"),
    [
        ("teams", "communications/callRecords/9e8b-1", "communications/callRecords/9e8b-1?$expand=sessions"),
        ("teams", "/Communications/CallRecords/9e8b-1", "communications/callRecords/9e8b-1?$expand=sessions"),
        ("graph_mail", "Users/9a1c/Messages/AAMk_1-=", "users/9a1c/messages/AAMk_1-=?$select="),
        ("graph_mail", "users/a@b.fi/mailFolders('inbox')/messages/1", "users/a@b.fi/messages/1?$select="),
        ("graph_mail", "users/a@b.fi/mailFolders/AAA=/messages/1", "users/a@b.fi/messages/1?$select="),
        ("teams", "Users/9a1c/Messages/1", None),
        ("teams", "communications/callRecords/../users", None),
        ("teams", "communications/callRecords/..", None),
        ("teams", "communications/callRecords/1?$expand=x", None),
        ("teams", "communications/callRecords/%2e%2e", None),
        ("teams", "https://elsewhere.example/communications/callRecords/1", None),
        ("graph_mail", "communications/callRecords/1", None),
        ("graph_mail", "users/9a1c/messages/1/attachments", None),
        ("graph_mail", "users/../messages/1", None),
        ("graph_mail", "me/messages/1", None),
    ],
)
def test_nothing_but_ids_comes_into_the_address_that_is_asked(
    format: Format, resource: str, address: str | None
) -> None:
    graph = Graph(format, STATE)
    if address is None:
        assert refusal(lambda: graph.notices(request(notice(resource)))) == 400
    else:
        (pointer,) = graph.notices(request(notice(resource), notice(resource))).pointers
        assert pointer.address.startswith(address)


def test_news_of_the_subscription_itself_points_at_nothing() -> None:
    told = Graph("teams", STATE).notices(request(notice("", lifecycleEvent="missed")))
    assert (list(told.pointers), set(told.events)) == ([], {"missed"})


def test_what_was_fetched_is_known_by_its_id_however_it_changed_and_whatever_comes_with_it() -> None:
    first, second = Pointer("x", "call-1"), Pointer("y", "call-2")
    call = {"id": "call-1", "sessions": [{"id": "s", "segments": ["secret words"]}], "version": 1, "joinWebUrl": "x"}
    alone = content("teams", [(first, call)])
    both = content("teams", [(second, {"id": "call-2"}), (first, {**call, "version": 2, "sessions": []})])
    assert alone is not None
    assert both is not None
    assert (both.place("2"), both.place("2#2")) == (alone.place("1"), alone.place("1#2"))
    assert both.place("1") != both.place("2")
    assert b"secret" not in alone.data
    message = {"id": "a", "internetMessageId": "<1@x>", "isDraft": False}
    moved = content("graph_mail", [(Pointer("z", "9a1c"), {**message, "id": "b"})])
    found = content("graph_mail", [(Pointer("x", "9a1c"), message)])
    other = content("graph_mail", [(Pointer("x", "77"), message)])
    assert moved is not None
    assert found is not None
    assert other is not None
    assert moved.place("1") == found.place("1") != other.place("1")
    assert content("teams", []) is None


# Fetching


@dataclass
class Client:
    """Gives what it holds, after as long as it is told, or fails."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def resource(self, address: str) -> dict[str, Any] | None:
        self.asked.append(address)
        if address in self.slow:
            await asyncio.sleep(60)
        if address in self.failing:
            raise GraphError("Graph answered 503 unavailable", 503)
        return self.held.get(address)


class Watched:
    """Subscriptions that were told to look."""

    look_count = 0

    def look(self) -> None:
        self.look_count += 1


def address(number: int) -> str:
    return f"communications/callRecords/{number}?$expand=sessions"


def take(client: Client, *numbers: int, hook: GraphHook | None = None, said: list[str] | None = None) -> Content | None:
    hook = hook or hook_of(client, said if said is not None else [])
    return asyncio.run(hook.take(request(*(notice(f"communications/callRecords/{number}") for number in numbers))))


def hook_of(client: Client, said: list[str], format: Format = "teams") -> GraphHook:
    return GraphHook(
        "/graph", format, Graph(format, STATE), cast(GraphClient, client), cast(Subscriptions, Watched()), said.append
    )


def test_what_graph_gives_is_kept_and_the_rest_has_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_hook, "_PATIENCE", 0.2)
    client, said = Client({address(number): {"id": str(number)} for number in (1, 2, 3)}), list[str]()
    client.failing, client.slow = {address(2)}, {address(3)}
    hook = hook_of(client, said)
    told = take(client, 1, 2, 3, 4, hook=hook)
    assert told is not None
    assert told.data == b'{"id":"1"}\n'
    assert told.rest is not None
    assert (told.rest.answer.status, told.rest.answer.headers) == (503, {"Retry-After": "30"})
    assert len(said) == 2  # a call record that is not there, and Graph's failure
    # It comes again: what was fetched is not asked for again.
    client.failing, client.slow = set(), set()
    client.held[address(4)] = {"id": "4"}
    whole = take(client, 1, 2, 3, 4, hook=hook)
    assert whole is not None
    assert (whole.data.count(b"\n"), whole.rest) == (4, None)
    assert client.asked.count(address(1)) == 1


def test_nothing_at_all_is_answered_at_once_and_a_message_that_is_gone_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, said = Client(), list[str]()
    client.failing = {address(1)}
    with pytest.raises(Refused):
        take(client, 1, said=said)
    assert said == ["/graph: Graph answered 503 unavailable"]
    hook = hook_of(client, said, "graph_mail")
    assert asyncio.run(hook.take(request(notice("users/1/messages/2")))) is None


def test_news_of_subscriptions_makes_us_look_and_what_was_missed_is_told() -> None:
    said: list[str] = []
    hook = hook_of(Client(), said)
    assert asyncio.run(hook.take(request(notice("", lifecycleEvent="reauthorizationRequired")))) is None
    assert asyncio.run(hook.take(request(notice("", lifecycleEvent="missed")))) is None
    assert cast(Watched, hook._subscriptions).look_count == 2
    assert said == ["/graph: Graph could not deliver some notifications; replay an export of that time"]


# Subscriptions


@dataclass
class Directory:
    """The subscriptions of an application, as Graph keeps them."""

    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    made_count: int = 0
    failing: int = 0

    async def listed(self, address: str) -> list[dict[str, Any]]:
        if self.failing:
            self.failing -= 1
            raise GraphError("Graph answered 403 Forbidden", 403, retry_after=0)
        other = {"id": "other", "notificationUrl": "https://elsewhere.example", "resource": CALLS}
        return [other, *self.found.values()]

    async def ask(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        self.asked.append(method)
        name = address.partition("/")[2]
        if method == "POST":
            self.made_count += 1
            name = f"made-{self.made_count}"
        if method == "DELETE":
            return self.found.pop(name)
        self.found[name] = {"id": name, **self.found.get(name, {}), **(body or {})}
        return self.found[name]


@dataclass
class Keeper:
    """A receiver that is started now and then."""

    folder: Path
    directory: Directory = field(default_factory=Directory)
    now: datetime = NOW
    said: list[str] = field(default_factory=list)

    def start(self, state: str = STATE, look: bool = False, until: str | None = None) -> list[str]:
        """Let it look once, or run until something is said; return what it asked."""
        self.directory.asked.clear()

        async def run() -> None:
            with Positions(self.folder / "positions") as positions:
                keeper = Subscriptions(
                    "graph /graph", cast(GraphClient, self.directory), URL, (CALLS, INBOX), state, "secret",
                    positions, lambda: self.now, self.said.append,
                )  # fmt: skip
                if look:
                    keeper.look()
                if until is None:
                    await keeper.keep()
                    return
                running = asyncio.create_task(keeper.run())
                async with asyncio.timeout(30):
                    while not any(until in sentence for sentence in self.said):
                        await asyncio.sleep(0.01)
                running.cancel()

        asyncio.run(run())
        return list(self.directory.asked)


def test_what_is_missing_is_subscribed_to_and_serves_on_after_a_new_start(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    assert keeper.start() == ["POST", "POST"]
    made = list(keeper.directory.found.values())
    assert [each["resource"] for each in made] == [CALLS, INBOX]
    assert {each["expirationDateTime"] for each in made} == {"2024-03-08T07:00:00Z"}
    assert {(each["notificationUrl"], each["lifecycleNotificationUrl"], each["clientState"]) for each in made} == {
        (URL, URL, STATE)
    }
    assert keeper.start() == []


def test_a_subscription_is_renewed_before_it_ends_and_when_graph_asks_for_it(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.start()
    keeper.now = NOW + timedelta(hours=34)
    assert keeper.start() == []
    keeper.now = NOW + timedelta(hours=36)
    assert keeper.start() == ["PATCH", "PATCH"]
    assert {each["expirationDateTime"] for each in keeper.directory.found.values()} == {"2024-03-09T19:00:00Z"}
    assert keeper.start() == []
    assert keeper.start(look=True) == ["PATCH", "PATCH"]


def test_one_that_graph_dropped_is_made_anew(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.start()
    del keeper.directory.found[next(iter(keeper.directory.found))]
    assert keeper.start() == ["POST"]
    assert len(keeper.directory.found) == 2


def test_another_text_is_subscribed_with_before_the_old_one_goes(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.start()
    assert keeper.start(state="another") == ["POST", "DELETE", "POST", "DELETE"]
    assert {each["clientState"] for each in keeper.directory.found.values()} == {"another"}
    assert keeper.start(state="another") == []


def test_a_failure_is_told_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_subscriptions, "_PAUSE", 0.01)
    keeper = Keeper(tmp_path)
    keeper.directory.failing = 5
    assert keeper.start(until=f"subscribed to {INBOX}")[:2] == ["POST", "POST"]
    assert [sentence for sentence in keeper.said if "subscribed" not in sentence] == [
        "graph /graph: Graph answered 403 Forbidden; subscriptions are tried again"
    ]
