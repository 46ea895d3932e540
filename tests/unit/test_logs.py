"""The log: for people and for programs, with nothing in it that a record held, and no line that anybody else wrote."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from commands import logs
from commands.logs import LogFormat, LogHandler, LogLevel
from pipeline.errors import ConfigurationError
from schemas.announcements import Announcement
from tests.integration.companies import bypassflow

ROOT = Path(__file__).resolve().parents[2]
SECRET = "zorvika@quillmark-oy.fi"
FORGED = "a\nbypassflow: all is well\r\x1b[2J\x1b[31m\u2028\u202e\x9b\x00"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Undo what a test changes, and what commands did that ran in this process before: they quiet a library."""
    kafka = logging.getLogger("kafka")
    level = kafka.level
    kafka.setLevel(logging.NOTSET)
    yield
    kafka.setLevel(level)
    logs.begin()


def written(record: logging.LogRecord, shape: LogFormat = LogFormat.JSON) -> str:
    stream = io.StringIO()
    LogHandler(shape, "sink", stream).emit(record)
    return stream.getvalue()


def record(name: str, message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    caught = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.WARNING, "/lib/client.py", 12, message, values, caught)


def caught(words: str) -> BaseException:
    try:
        raise ValueError(words)
    except ValueError as error:
        return error


def ran(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program whose log begins as that of the command line does."""
    begun = f"from commands import logs\nlogs.catch_all()\nlogs.begin(logs.LogFormat.JSON, process='sink')\n{program}"
    return subprocess.run(
        [sys.executable, "-c", begun], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


# For people, and for programs


def test_people_read_the_sentence_alone(capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin()
    logs.tell("figures at http://127.0.0.1:9101/metrics")
    logs.tell("no such topic", logging.ERROR)

    assert capsys.readouterr().err == "figures at http://127.0.0.1:9101/metrics\nbypassflow: no such topic\n"


def test_programs_read_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin(LogFormat.JSON, process="worker")
    logs.rename("correlate")
    logs.tell("going on")
    logs.tell(Announcement("3 facts folded again in 0.5 s", "engine rebuilt", facts=3, seconds=0.5))

    going, rebuilt = map(json.loads, capsys.readouterr().err.splitlines())
    assert datetime.fromisoformat(going.pop("timestamp")).tzinfo == UTC
    assert going == {"level": "info", "process": "correlate", "logger": "bypassflow", "event": "going on"}
    assert rebuilt["event"] == "engine rebuilt"
    assert rebuilt["sentence"] == "3 facts folded again in 0.5 s"
    assert (rebuilt["facts"], rebuilt["seconds"]) == (3, 0.5)


def test_less_is_told_when_less_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin(level=LogLevel.WARNING)
    logs.tell("going on")
    logs.tell(Announcement("the disk is almost full", "paused", "warning"))

    assert capsys.readouterr().err == "the disk is almost full\n"


def test_libraries_are_told_from_warnings_on_and_never_with_what_they_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for level in LogLevel:
        logs.begin(level=level)
        logging.getLogger("kafka.conn").debug("Sending %s", SECRET)
        assert capsys.readouterr().err == ""
    logs.begin()
    logging.getLogger("kafka.conn").info("connected")
    logging.getLogger("kafka.conn").warning("Node %d at %s is away", 1, "10.0.0.1:9092")
    assert capsys.readouterr().err == "warning of kafka.conn: Node 1 at 10.0.0.1:9092 is away\n"


def test_the_environment_and_the_command_line_choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    absent = tmp_path / "absent.duckdb"
    chosen = bypassflow("--log-format", "json", "report", "--db", absent)
    monkeypatch.setenv("BYPASSFLOW_LOG_FORMAT", "json")
    inherited = bypassflow("report", "--db", absent)
    overruled = bypassflow("--log-format", "console", "report", "--db", absent)

    for done in (chosen, inherited):
        told = json.loads(done.error)
        assert (told["level"], told["process"]) == ("error", "report")
        assert told["event"].startswith("there is no store")
    assert overruled.error.startswith("bypassflow: there is no store")
    assert bypassflow("--log-format", "xml", "report").exit_code == 2


def test_a_child_writes_its_log_as_its_parent_does() -> None:
    logs.begin(LogFormat.JSON, LogLevel.DEBUG)

    assert logs.inherited() == {"BYPASSFLOW_LOG_FORMAT": "json", "BYPASSFLOW_LOG_LEVEL": "debug"}


def test_lines_of_children_stay_what_they_are_and_others_become_lines_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.begin(LogFormat.JSON, process="up")
    logs.relay("sink", '{"event": "going on", "process": "sink"}')
    logs.relay("ingest", "ended with code 75; starts again in 0.5 s")
    ours, own = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours == {"event": "going on", "process": "sink"}
    assert (own["process"], own["event"]) == ("ingest", "ended with code 75; starts again in 0.5 s")

    logs.begin()
    logs.relay("sink", "going on")
    assert capsys.readouterr().err == "sink       going on\n"


# What is withheld


@pytest.mark.parametrize("shape", LogFormat)
@pytest.mark.parametrize(
    "said",
    [
        record("aiohttp.access", "%s asked for %s", SECRET, f"/customers/{SECRET}"),
        record("aiohttp.access", f"asked for {SECRET}"),
        record("pydantic", "%(value)s is no number", {"value": SECRET}),
        record("kafka.producer", "Sending %r with %s", SECRET.encode(), [SECRET]),
        record("kafka.producer", "Failed: %r", caught(SECRET)),
        record("faust.agents", "Crashed", error=caught(SECRET)),
        record("asyncio", f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{SECRET}')>"),
        record("asyncio", f"Exception in callback functools.partial(take, '{SECRET}')"),
        record("uvicorn.error", "Exception in ASGI application\n", error=caught(SECRET)),
        record("aiohttp.server", "%d %d", SECRET),
        record("bypassflow", "unexpected ValueError", error=caught(SECRET)),
    ],
    ids=lambda said: f"{said.name} {said.msg[:20]}" if isinstance(said, logging.LogRecord) else str(said),
)
def test_nothing_is_told_of_what_a_record_held(said: logging.LogRecord, shape: LogFormat) -> None:
    told = written(said, shape)

    assert told.strip()
    assert SECRET not in told


def test_what_an_error_came_from_is_told_by_kinds_and_places() -> None:
    class Contact(BaseModel):
        number: int

    try:
        try:
            Contact.model_validate({"number": SECRET})
        except ValidationError as cause:
            raise ConfigurationError("contacts.csv has a wrong column") from cause
    except ConfigurationError as error:
        told = written(record("bypassflow", "stopped", error=error))

    first, second = json.loads(told)["causes"]
    assert (first["error"], first["says"]) == ("ConfigurationError", "contacts.csv has a wrong column")
    assert second["error"] == "ValidationError"
    assert "test_logs.py" in second["places"][0]
    assert SECRET not in told


@pytest.mark.parametrize(
    ("program", "event"),
    [
        ("raise ValueError('{}')", "unexpected ValueError"),
        (
            "import threading\ndef work(): raise ValueError('{}')\n"
            "t = threading.Thread(target=work, name='desk'); t.start(); t.join()",
            "unexpected ValueError on desk",
        ),
        (
            "class Held:\n def __del__(self): raise ValueError('{}')\nHeld()",
            "ValueError that could not be raised",
        ),
        ("import warnings\nwarnings.warn('{}', UserWarning)", "UserWarning at <string>:5"),
        (
            "import asyncio, gc\nasync def fail(): raise ValueError('{}')\n"
            "async def main():\n t = asyncio.create_task(fail()); await asyncio.sleep(0); await asyncio.sleep(0)\n"
            " del t; gc.collect()\nasyncio.run(main())",
            "Task exception was never retrieved",
        ),
    ],
    ids=["main thread", "thread", "unraisable", "warning", "task"],
)
def test_what_nobody_caught_is_told_without_its_words(program: str, event: str) -> None:
    done = ran(program.replace("{}", SECRET))

    (told,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert told["event"] == event
    assert SECRET not in done.stderr


# What cannot be forged


@pytest.mark.parametrize(
    "said",
    [
        record("bypassflow", "%s", f"receiving: {FORGED}"),
        record("bypassflow", "%s", Announcement(FORGED, FORGED, source=FORGED)),
        record("kafka.conn", "topic %s", FORGED),
        record("kafka.conn", FORGED),
        record(FORGED, "%s", FORGED),
    ],
    ids=["sentence", "event", "library", "library's own", "logger"],
)
def test_no_value_begins_a_line_or_sends_codes_to_a_terminal(said: logging.LogRecord) -> None:
    plain = written(said, LogFormat.CONSOLE)
    (line,) = written(said, LogFormat.JSON).splitlines()

    assert all(sign.isprintable() or sign == "\n" for sign in plain)
    assert not any(line.startswith("bypassflow: all") for line in plain.split("\n"))
    assert line.isprintable()
    told: dict[str, Any] = json.loads(line)
    assert set(told) >= {"timestamp", "level", "process", "logger", "event"}
