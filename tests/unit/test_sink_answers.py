"""A running sink answers as its store does, to this machine alone, and lets nobody ask for anything else."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError, TransientError
from schemas.alerting import RAISE_AT
from sinks import asking, serving
from sinks.answers import StoreAnswers, answers
from sinks.consumer import Consumer, status_of
from sinks.live import LiveStore
from sinks.remote import RemoteAnswers
from sinks.running import address, memory_limit, snapshot_plan
from sinks.serving import Server
from sinks.snapshots import KEPT, Snapshots, write_snapshot
from sinks.store import Store
from tests.live import live_store, log_of, script_of, shown_rows
from tests.stores import NOON
from tests.unit.test_live_store import FILES


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    """A live store that holds the files of the other tests. To be read only."""
    script = script_of(FILES)
    with live_store(tmp_path_factory.mktemp("live") / "bypass.duckdb") as opened:
        consumer = Consumer(opened, log_of(script.topics), 0, now=lambda: NOON, least_free_bytes=0)
        consumer.take(*consumer.poll())
        yield opened


@pytest.fixture(scope="module")
def server(live: LiveStore) -> Iterator[Server]:
    script = script_of(FILES)
    consumer = Consumer(live, log_of(script.topics), 0, now=lambda: NOON, least_free_bytes=0)
    with Server(live.store, lambda: status_of(consumer, live), "127.0.0.1", 0) as listening:
        yield listening


@pytest.fixture
def local(live: LiveStore) -> Iterator[StoreAnswers]:
    with StoreAnswers(live.store.reader()) as asked:
        yield asked


@pytest.fixture
def remote(server: Server) -> RemoteAnswers:
    return RemoteAnswers(server.url)


def test_reports_are_the_same_from_afar(local: StoreAnswers, remote: RemoteAnswers) -> None:
    for by in ([], ["channel"], ["team", "day"]):
        for span in ((None, None), ("2024-03-04", "2024-03-05"), ("2024-03-04T12:30:00", None)):
            assert remote.report(by, *span) == local.report(by, *span)
    assert local.report([], None, None).overall["interaction_count"] > 0


def test_interactions_are_the_same_from_afar(local: StoreAnswers, remote: RemoteAnswers) -> None:
    for wanted in ({}, {"channel": ["call", "email"]}, {"team": ["none"], "outcome": ["traced"]}):
        here, there = (asked.interactions(wanted, None, None, None) for asked in (local, remote))
        assert there.to_pylist() == here.to_pylist()
        assert there.column_names == here.column_names
    assert remote.interactions({}, None, None, 1).num_rows == 1


def test_explanations_are_the_same_from_afar(local: StoreAnswers, remote: RemoteAnswers) -> None:
    ids = local.interactions({}, None, None, None).column("interaction_id").to_pylist()
    for interaction_id in ids:
        assert remote.explain(interaction_id) == local.explain(interaction_id)


def test_accounts_are_the_same_from_afar(local: StoreAnswers, remote: RemoteAnswers) -> None:
    assert remote.audit() == local.audit() != []


def test_what_alerts_look_at_and_the_gist_of_days_are_the_same_from_afar(
    local: StoreAnswers, remote: RemoteAnswers
) -> None:
    assert remote.timezone() == local.timezone() == "Europe/Helsinki"
    for wanted in ({}, {"channel": ("call", "email"), "team": ("Care",)}):
        for kind in RAISE_AT:
            for days, now in ((None, NOON), (7, NOON + timedelta(days=90))):
                here, there = (asked.look(kind, days, wanted, now) for asked in (local, remote))
                assert there == here
        for days in (1, 7, 366):
            assert remote.gist(days, wanted) == local.gist(days, wanted)
    assert local.gist(366, {}).first_day is not None
    assert local.look("silence", None, {}, NOON + timedelta(days=90)).sentences


def test_a_wrong_question_gets_the_same_sentence_from_afar(local: StoreAnswers, remote: RemoteAnswers) -> None:
    for asked in (local, remote):
        with pytest.raises(ConfigurationError, match="unknown dimension 'teams'; did you mean 'team'"):
            asked.report(["teams"], None, None)
        with pytest.raises(ConfigurationError, match="no interaction's id begins with 'zzz'"):
            asked.explain("zzz")
        with pytest.raises(ConfigurationError, match="'yesterday' is no date"):
            asked.interactions({}, "yesterday", None, None)
        with pytest.raises(ConfigurationError, match="unknown team 'Sails'; expected one of "):
            asked.look("share", None, {"team": ("Sails",)}, NOON)


def test_the_status_tells_positions_counts_and_lag(remote: RemoteAnswers) -> None:
    status = remote.status()

    assert status["state"] == "running"
    assert status["topics"]["facts"]["position"] > 0
    assert status["dead_letter_count"] == 3
    assert {"pending_count", "late_count", "delta_count", "folded", "epoch", "watermark"} <= status.keys()


def test_health_tells_what_was_applied_without_asking_the_store(remote: RemoteAnswers) -> None:
    health = remote.health()

    assert health["state"] == "running"
    assert health["applied"] == remote.status()["applied"]
    assert "fact_count" in health["applied"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("healthz", 200), ("status", 200), ("", 404), ("query?sql=SELECT+1", 404), ("report?sql=SELECT+1", 400),
        ("interactions?limit=x", 400), ("interactions?limit=-1", 400), ("explain", 400), ("../etc/passwd", 404),
        ("alert?kind=share", 400), ("alert?kind=any&now=2024-03-04", 400), ("alert?kind=share&now=soon", 400),
        ("alert?kind=silence&days=999999999999&now=2024-03-04", 400), ("gist?days=0", 400), ("gist?segment=big", 400),
        ("gist?team=%27%3B+DROP+TABLE+run%3B--", 200), ("interactions?team=%27%3B+DROP+TABLE+run%3B--", 200),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(server: Server, path: str, code: int) -> None:
    assert asked(f"{server.url}/{path}") == code


def asked(url: str) -> int:
    """Ask, and return the code of the answer; one that refuses says why."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code if "error" in orjson.loads(error.read()) else 0


def test_only_questions_are_taken(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/report", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="501"):
        urllib.request.urlopen(request, timeout=5)


def test_a_page_that_comes_under_another_name_is_refused(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/report", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=5)


def test_more_rows_than_are_good_for_the_sink_are_refused(
    remote: RemoteAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MOST_ROWS", 2)

    with pytest.raises(ConfigurationError, match="more than 2 interactions fit"):
        remote.interactions({}, None, None, None)
    assert remote.interactions({}, None, None, 2).num_rows == 2


def test_an_answer_that_takes_too_long_is_broken_off(remote: RemoteAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(answers: StoreAnswers) -> list[dict[str, object]]:
        return answers.store.rows("SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b")

    monkeypatch.setattr(asking, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(StoreAnswers, "audit", endless)

    begun = time.monotonic()
    with pytest.raises(TransientError, match="the answer took more than"):
        remote.audit()
    assert time.monotonic() - begun < 5


def test_an_answer_that_the_end_of_the_process_breaks_off_says_so(live: LiveStore) -> None:
    asked = asking.Asking(live.store)
    begun = threading.Event()

    def endless(store: Store) -> object:
        begun.set()
        return store.rows("SELECT sum(a.range * b.range) FROM range(1000000) AS a, range(1000000) AS b")

    def end() -> None:
        begun.wait(10)
        time.sleep(0.2)
        asked.interrupt()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(TransientError, match="the process is ending"):
        asked.ask(endless)
    ending.join()
    asked.close()


def test_where_no_sink_runs_the_remedy_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(TransientError, match=f"no sink answers at http://127.0.0.1:{port} .*bypassflow sink"):
            RemoteAnswers(f"http://127.0.0.1:{port}").audit()


@pytest.mark.parametrize("url", ["127.0.0.1:8766", "file:///etc/passwd", "http://", "x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address of a sink"):
        RemoteAnswers(url)


@pytest.mark.parametrize("url", ["http://bot:hidden@127.0.0.1:8766", "http://127.0.0.1:8766/?token=hidden", "hidden@x"])
def test_an_address_with_something_secret_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="has no user, no password and no question") as refused:
        RemoteAnswers(url)
    assert "hidden" not in str(refused.value)


def test_without_a_store_or_a_sink_there_is_no_answer() -> None:
    with pytest.raises(ConfigurationError, match="name a store with --db FILE, or a running sink with --url"):
        answers(None, None)


def test_a_place_that_is_taken_is_said(live: LiveStore, server: Server) -> None:
    with pytest.raises(ConfigurationError, match=r"nobody can listen on 127\.0\.0\.1"):
        Server(live.store, dict, *address(server.url.removeprefix("http://")))


@pytest.mark.parametrize("listen", ["8766", "localhost:", ":80", "host:99999"])
def test_an_address_to_listen_on_has_a_host_and_a_port(listen: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address to listen on"):
        address(listen)


# Snapshots


def test_a_snapshot_shows_what_the_store_shows(live: LiveStore, tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    reader = live.store.reader()
    write_snapshot(reader, folder, NOON)
    reader.close()

    with Store.open(folder / "current" / "bypass.duckdb") as store:
        assert shown_rows(store) == shown_rows(live.store)
        assert store.positions() == live.store.positions()
        for name in ("interactions", "evidence", "accounts"):
            (parquet,) = store.rows(f"SELECT count(*) AS n FROM '{folder / 'current' / name}.parquet'")
            assert parquet == store.rows(f"SELECT count(*) AS n FROM {name}")[0]


def test_a_sink_can_go_on_from_a_snapshot(live: LiveStore, tmp_path: Path) -> None:
    reader = live.store.reader()
    path = write_snapshot(reader, tmp_path, NOON) / "bypass.duckdb"
    reader.close()

    with live_store(path) as restored:
        assert restored.progress == live.progress


def test_the_newest_snapshots_are_kept_and_what_a_crash_left_is_removed(live: LiveStore, tmp_path: Path) -> None:
    (tmp_path / ".snapshot-half").mkdir()
    moments = iter(NOON + timedelta(minutes=n) for n in range(9))
    snapshots = Snapshots(live.store, tmp_path, timedelta(minutes=1), now=lambda: next(moments))
    taken = [snapshots.take() for _ in range(4)]

    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", *(path.name for path in taken[-KEPT:])]
    assert (tmp_path / "current").resolve() == taken[-1].resolve()
    assert snapshots.taken_at == NOON + timedelta(minutes=3)


def test_a_snapshot_that_fails_leaves_the_old_one(
    live: LiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = live.store.reader()
    first = write_snapshot(reader, tmp_path, NOON)
    monkeypatch.setattr("sinks.snapshots.VIEWS", ("interactions", "no_such_view"))
    with pytest.raises(Exception, match="no_such_view"):
        write_snapshot(reader, tmp_path, NOON + timedelta(minutes=1))
    monkeypatch.undo()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", first.name]
    write_snapshot(reader, tmp_path, NOON + timedelta(minutes=2))
    reader.close()


def test_a_snapshot_that_the_disk_has_no_room_for_is_not_begun(
    live: LiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("sinks.snapshots.shutil.disk_usage", lambda folder: usage)
    reader = live.store.reader()
    with pytest.raises(TransientError, match="a snapshot may need"):
        write_snapshot(reader, tmp_path, NOON)
    reader.close()

    assert list(tmp_path.iterdir()) == []


def test_the_time_between_snapshots_is_a_length_of_time(tmp_path: Path) -> None:
    assert snapshot_plan(None, "often") is None
    with pytest.raises(ConfigurationError, match="'often' is no time between two snapshots"):
        snapshot_plan(tmp_path, "often")


def test_the_memory_of_the_sink_is_a_size_that_a_merge_fits_into() -> None:
    assert (memory_limit("128MB"), memory_limit("1 GiB")) == ("128000000B", "1073741824B")
    for wrong in ("much", "127MB", "-1GB", ""):
        with pytest.raises(ConfigurationError, match="is no memory for the sink; expected 128MB or more"):
            memory_limit(wrong)


def test_tables_from_afar_keep_their_types(local: StoreAnswers, remote: RemoteAnswers) -> None:
    here, there = (asked.interactions({}, None, None, None).schema for asked in (local, remote))
    assert there == here
    assert isinstance(there, pa.Schema)
