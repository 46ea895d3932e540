"""A changed configuration is taken as far as that is safe, and what is not taken is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from commands.company import Company, company_of
from commands.reloading import Reloading, Take, reloading
from tests.served import replayed_acme

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bypassflow.toml"
    path.write_text('[company]\nid = "acme"\n', encoding="utf-8")
    return path


def made(config: Path, **takes: Take) -> Reloading:
    return Reloading(company_of([], config), lambda: company_of([], config), takes)


def sentences(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_can_be_taken_is_taken_once_and_the_rest_is_named(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bypassflow")
    taken: list[Company] = []
    both = taken.append
    running = made(config, privacy=both, access=both)
    config.write_text(
        '[company]\nid = "globex"\n\n[privacy]\nminimum_group = 9\n\n[access]\nsign_in = "token"\n', encoding="utf-8"
    )

    running.reload()

    assert [each.configuration.privacy.minimum_group for each in taken] == [9]
    assert sentences(caplog) == [
        "read again and taken: [privacy], [access]",
        "changed, and not taken before this process starts again: [company]",
    ]


def test_what_was_taken_is_not_taken_again_and_what_waits_is_named_again(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bypassflow")
    taken: list[Company] = []
    running = made(config, privacy=taken.append)
    config.write_text('[company]\nid = "globex"\n\n[privacy]\nminimum_group = 9\n', encoding="utf-8")

    running.reload()
    running.reload()

    assert len(taken) == 1
    assert sentences(caplog)[-1] == "changed, and not taken before this process starts again: [company]"


@pytest.mark.parametrize("text", ["[privacy", "[privacy]\nminimum_group = 2\n", "[nothing]\n"])
def test_what_cannot_be_read_changes_nothing(config: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    caplog.set_level("INFO", "bypassflow")
    taken: list[Company] = []
    running = made(config, privacy=taken.append)
    config.write_text(text, encoding="utf-8")

    running.reload()

    assert taken == []
    (said,) = sentences(caplog)
    assert said.startswith("the configuration is not taken, and what was read before goes on: ")


def test_nothing_that_has_changed_is_told_too(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bypassflow")

    made(config).reload()

    assert sentences(caplog) == ["the configuration was read again; nothing in it has changed"]


def test_serve_asks_who_comes_from_the_moment_it_is_told_to_and_never_stops_asking(tmp_path: Path) -> None:
    acme, config = replayed_acme(tmp_path), tmp_path / "who.toml"
    config.write_text("", encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--db", str(acme), "--listen", "127.0.0.1:0", "--config", str(config)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            assert running.stdout is not None
            assert running.stderr is not None
            address = f"{running.stdout.readline().strip()}/v1/bypass-share"
            with urllib.request.urlopen(address) as answer:
                assert answer.status == 200
            config.write_text('[access]\nsign_in = "token"\n', encoding="utf-8")
            running.send_signal(signal.SIGHUP)
            while "read again and taken: [access]" not in (said := running.stderr.readline()):
                assert said
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(address)
            config.write_text("", encoding="utf-8")
            running.send_signal(signal.SIGHUP)
            while "nobody would have to sign in any more" not in (said := running.stderr.readline()):
                assert said
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(address)
        finally:
            running.terminate()
        assert running.wait(20) == 0


def test_the_signal_reloads_and_afterwards_means_what_it_meant(config: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    taken: list[Company] = []
    with reloading(company_of([], config), lambda: company_of([], config), {"privacy": taken.append}):
        config.write_text("[privacy]\nminimum_group = 9\n", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not taken and time.monotonic() < deadline:
            time.sleep(0.01)

    assert len(taken) == 1
    assert signal.getsignal(signal.SIGHUP) is before
