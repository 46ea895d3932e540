"""Microsoft Graph on this machine tells a receiving process of calls and messages, which it fetches and publishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.kafka import KafkaSettings
from tests import fake_graph, webhooks
from tests.fake_graph import SECRET, STATE, FakeGraph, notice
from tests.integration.live import free_port
from tests.integration.receiving import receiving, wait_for
from tests.webhooks import Post

CALL, MESSAGE = "communications/callRecords/call-1", "Users/9a1c/Messages/AAMk1="
FIELDS = (
    "internetMessageId,subject,from,sender,toRecipients,ccRecipients,bccRecipients,sentDateTime,receivedDateTime,"
    "isDraft,parentFolderId,internetMessageHeaders"
)


def configuration(graph: FakeGraph, port: int) -> str:
    inbox = "/users/sales@acme.example/mailFolders('inbox')/messages"
    return (
        f"[receive]\nport = {port}\n{fake_graph.receiver(graph, '/teams', 'teams', 'teams')}"
        f'{fake_graph.receiver(graph, "/mail", "mail", "graph_mail")}resources = ["{inbox}"]\n'
    )


def fill(graph: FakeGraph) -> None:
    """Put a call of three sessions, on two pages, and a message there."""
    graph.resources[f"{CALL}?$expand=sessions"] = {
        "id": "call-1", "version": 1, "type": "groupCall", "modalities": ["audio"],
        "startDateTime": "2024-03-05T09:00:00Z", "endDateTime": "2024-03-05T09:03:00Z",
        "sessions": [fake_graph.session(0), fake_graph.session(1)],
        "sessions@odata.nextLink": f"{graph.url}/v1.0/{CALL}/sessions?$skip=2",
    }  # fmt: skip
    graph.resources[f"{CALL}/sessions?$skip=2"] = {"value": [fake_graph.session(2)]}
    graph.resources[f"users/9a1c/messages/AAMk1=?$select={FIELDS}"] = {
        "id": "AAMk1=", "internetMessageId": "<1@mail.customer.example>", "subject": "Tarjous",
        "sentDateTime": "2024-03-05T09:00:00Z", "receivedDateTime": "2024-03-05T09:00:02Z", "isDraft": False,
        "from": {"emailAddress": {"address": "maija@customer.example"}},
        "toRecipients": [{"emailAddress": {"address": "sales@acme.example"}}],
        "internetMessageHeaders": [{"name": "From", "value": "maija@customer.example"}],
    }  # fmt: skip


def post(path: str, *notices: dict[str, Any]) -> Post:
    return Post(path, json.dumps({"value": notices}).encode(), {"Content-Type": "application/json"})


def test_what_graph_tells_of_is_fetched_and_counts_once_over_failures_and_kills(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    port = free_port()
    with fake_graph.fake_graph(tmp_path / "graph", port) as graph:
        fill(graph)
        with receiving(tmp_path, kafka_settings, configuration(graph, port), **graph.variables) as process:

            def status(path: str, *notices: dict[str, Any]) -> int:
                return webhooks.send(post(path, *notices), port)[0]

            # It subscribed by itself, through the handshake.
            wait_for(lambda: len(graph.subscriptions) == 2)
            assert {each["clientState"] for each in graph.subscriptions.values()} == {STATE}
            assert status("/teams", notice(CALL, state="guessed")) == 403
            assert status("/teams", notice("communications/callRecords/../../users")) == 400
            assert status("/teams", notice(CALL)) == 202
            assert status("/mail", notice(MESSAGE)) == 202

            # The application's token is taken back; Graph fails; the process is killed in between.
            graph.token = "token-2"
            assert status("/mail", notice("Users/9a1c/Messages/deleted")) == 202
            address = "/v1.0/communications/callRecords/call-2"
            second = {
                **graph.resources[f"{CALL}?$expand=sessions"],
                "id": "call-2",
                "sessions": [fake_graph.session(7)],
            }
            del second["sessions@odata.nextLink"]
            graph.resources["communications/callRecords/call-2?$expand=sessions"] = second
            graph.failing[address] = [503]
            # What Graph gives is kept although the request has to come again for the rest.
            both = (notice(CALL), notice("communications/callRecords/call-2"))
            assert status("/teams", *both) == 503
            process.kill()
            process.start()
            assert status("/teams", *both) == 202

            # After a new start the same subscriptions serve on.
            wait_for(lambda: graph.asked.count("GET /v1.0/subscriptions") >= 4)
            assert (graph.made_count, len(graph.subscriptions)) == (2, 2)
            rows = process.taken().facts["observation"].to_pylist()
            letters = process.taken().letters
            # Graph dropped one: it is made anew.
            del graph.subscriptions[next(iter(graph.subscriptions))]
            for path in ("/teams", "/mail"):
                assert status(path, notice("", lifecycleEvent="subscriptionRemoved")) == 202
            wait_for(lambda: len(graph.subscriptions) == 2)
            code, _ = process.end()
    assert (code, letters) == (0, [])
    by_identity = {row["raw_id"]: row for row in rows}
    print(f"{len(rows)} records on the topics, {len(by_identity)} identities")
    told = sorted((row["source"], str(row["started_at"])[11:19]) for row in by_identity.values())
    assert told == [("mail", "09:00:00"), *(("teams", f"09:0{minute}:00") for minute in (0, 1, 2, 7))]
    assert len(rows) > len(by_identity)
    assert not any(secret in process.said for secret in (SECRET, STATE, "token-", "secret words", webhooks.AALTO))
