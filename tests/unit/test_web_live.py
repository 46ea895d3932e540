"""Beside a running sink the application serves the store that grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from dashboard.web import make_app
from sinks.asking import Asking
from sinks.running import run
from tests.live import live_store, log_of, script_of
from tests.stores import NOON
from tests.unit.test_live_store import FILES


def test_what_the_sink_has_applied_is_served_under_another_etag(tmp_path: Path) -> None:
    script = script_of(FILES)
    stop = threading.Event()
    seen: list[tuple[int, str]] = []
    ready: list[int] = []
    pages: list[str] = []

    with live_store(tmp_path / "bypass.duckdb") as live:

        @contextmanager
        def beside(status: Callable[[], dict[str, Any]]) -> Iterator[None]:
            asking = Asking(live.store)
            client = TestClient(make_app(asking, status=status, now=lambda: NOON), base_url="http://localhost")

            def look() -> tuple[int, str]:
                told = client.get("/v1/bypass-share")
                return told.json()["overall"]["interaction_count"], told.headers["etag"]

            def watch() -> None:
                for _ in range(600):
                    if look()[0] > 0 or stop.wait(0.05):
                        break
                seen.append(look())
                ready.append(client.get("/readyz").status_code)
                pages.extend(client.get(path).text for path in ("/?period=all", "/data"))
                stop.set()

            seen.append(look())
            thread = threading.Thread(target=watch)
            thread.start()
            yield
            thread.join()
            asking.close()

        run(
            live, log_of(script.topics), 0, stop, listen="127.0.0.1:0", plan=None, now=lambda: NOON,
            tell=lambda sentence: None, beside=beside,
        )  # fmt: skip
    (before, first), (after, last) = seen
    assert before == 0
    assert after > 0
    assert first != last
    assert ready == [200]
    overview, data = pages
    assert "interactions that are decided" in overview
    assert "The sink is running." in data
    assert '<th scope="row">facts</th><td class="right">' in data
