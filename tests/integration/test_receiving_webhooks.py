"""Webhooks taken in by the process that users start: the guide's own examples, and a broker that goes away."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import orjson

from agents.broker import start_broker
from schemas.kafka import KafkaSettings
from tests import fake_graph, webhooks
from tests.brokers import EAGER, Kafka
from tests.integration.live import ROOT, free_port
from tests.integration.receiving import receiving, wait_for
from tests.webhooks import Post

GUIDE = ROOT / "docs" / "howto" / "receive-live.md"
SECRETS = {
    "HOOK_SECRET": "secret of the guide",
    "SWITCH_PASSWORD": "password of the guide",
    "TWILIO_AUTH_TOKEN": "0f2a4c6e8",
    "META_APP_SECRET": "app secret",
    "META_VERIFY_TOKEN": "verify & token",
    "GRAPH_SECRET": fake_graph.SECRET,
    "GRAPH_CLIENT_STATE": fake_graph.STATE,
}


def test_the_examples_of_the_guide_are_taken_in_and_without_their_secrets_refused(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    port = free_port()
    text = GUIDE.read_text(encoding="utf-8").replace("8790", str(port)).partition("## Webhooks")[2]
    configuration = "".join(re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S))
    examples = re.findall(r"^```bash\n(.*?)^```$", text, re.M | re.S)
    assert len(examples) == configuration.count("[[receiver]]") == 5

    def run(example: str, **secrets: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", example], cwd=tmp_path, env={**os.environ, **secrets}, capture_output=True, text=True
        )

    with (
        fake_graph.fake_graph(tmp_path / "graph", port) as graph,
        receiving(
            tmp_path,
            kafka_settings,
            configuration.replace('"graph"', f'"graph"\nsign_in_url = "{graph.url}"\ngraph_url = "{graph.url}"'),
            **{**graph.variables, **SECRETS},
        ) as process,
    ):
        graph.resources["communications/callRecords/call-1?$expand=sessions"] = {
            "id": "call-1", "type": "groupCall", "modalities": ["audio"], "sessions": [fake_graph.session(0)],
            "startDateTime": "2024-03-05T09:00:00Z", "endDateTime": "2024-03-05T09:01:00Z",
        }  # fmt: skip
        assert webhooks.send(Post("/readyz", b""), port, method="GET")[0] == 200
        said = ""
        for example in examples:
            guessed = run(example, **dict.fromkeys(SECRETS, "guessed"))
            assert guessed.returncode == 22, example  # what curl ends with when it is refused
            for _ in range(2):
                done = run(example, **SECRETS)
                assert done.returncode == 0, done.stdout + done.stderr
            said += done.stdout
        assert "1158201444" in said
        assert "anybody there" in said
        taken = process.taken()
        code, _ = process.end()
    assert code == 0
    rows = taken.facts["observation"].to_pylist()
    assert len(rows) == 10
    assert {row["raw_id"].rpartition(":")[0] for row in rows} == {
        "switchboard:webhook/hooks/switchboard",
        "pbx:webhook/hooks/freeswitch",
        "twilio:webhook/hooks/twilio",
        "whatsapp:webhook/hooks/meta",
        "teams:webhook/hooks/graph",
    }
    assert len({row["raw_id"] for row in rows}) == 5
    assert {str(row["started_at"]) for row in rows} == {"2024-03-05 09:00:00"}
    assert taken.letters == []
    assert not any(secret in process.said for secret in (*SECRETS.values(), "358401234567"))


def test_a_broker_that_is_stopped_makes_senders_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    port, ready = free_port(), Post("/readyz", b"")
    call = {"kind": "call", "talk_seconds": 60, "from": webhooks.AALTO, "to": "201", "direction": "inbound"}

    def post(minute: int) -> Post:
        return webhooks.bearer(orjson.dumps({**call, "started_at": f"2024-03-05T09:{minute:02}:00Z"}))

    def readiness() -> int:
        return webhooks.send(ready, port, method="GET")[0]

    with start_broker(tmp_path / "broker", kind="kafka", options=EAGER) as broker:
        settings = Kafka(broker.bootstrap).settings()
        text = f"[receive]\nport = {port}\n{webhooks.CONFIGURATION}"
        with receiving(tmp_path, settings, text, **webhooks.VARIABLES) as process:
            assert webhooks.send(post(1), port)[0] == 200
            assert readiness() == 200
            broker.stop()
            wait_for(lambda: readiness() == 503)
            status, headers, _ = webhooks.send(post(2), port)
            assert (status, int(headers["retry-after"]) > 0) == (503, True)
            assert webhooks.send(Post("/healthz", b""), port, method="GET")[0] == 200
            broker.start()
            wait_for(lambda: webhooks.send(post(2), port)[0] == 200)
            wait_for(lambda: readiness() == 200)
            rows = process.taken().facts["observation"].to_pylist()
            assert {row["started_at"].minute for row in rows} == {1, 2}
            assert len({row["raw_id"] for row in rows}) == 2
            assert process.said.count("senders are told to come again") <= 2
