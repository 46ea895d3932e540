"""The log: what a process tells on standard error, in sentences for people or in lines of JSON for programs.

All of it goes one way: our own sentences, what libraries log, warnings, and errors that nobody caught. On that way
everything is left behind that may hold what a record held. Of an error its kind and its places are told and never its
words, and of what a library says its text and numbers, and none of the values that it fills in. A value cannot begin a
line either: control characters are written as escapes, and a further line of a sentence is indented.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from pipeline.errors import BypassflowError
from schemas.announcements import Announcement

if TYPE_CHECKING:
    from structlog.types import EventDict, Processor

FORMAT_VARIABLE: Final = "BYPASSFLOW_LOG_FORMAT"
LEVEL_VARIABLE: Final = "BYPASSFLOW_LOG_LEVEL"
OURS: Final = "bypassflow"
# These speak of brokers, topics and groups; the text that they fill in is told, other values are not.
_OF_BROKERS: Final = frozenset({"agents", "aiokafka", "faust", "kafka", "mode"})
# What these say without values begins with words of their own, and a value would follow in brackets.
_BEGIN_WITH_WORDS: Final = frozenset({"asyncio", "uvicorn"})
_LEAST_OF_LIBRARIES: Final = logging.WARNING


class LogFormat(StrEnum):
    """How a process tells what happens."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least that is told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Withheld(str):
    """What stands for a value, also where its representation is asked for."""

    def __repr__(self) -> str:
        return str(self)


class LogHandler(logging.Handler):
    """Writes records to a stream, by default to what is standard error at that moment."""

    def __init__(self, shape: LogFormat, process: str, stream: TextIO | None = None) -> None:
        """`process` says which of ours this is."""
        super().__init__()
        self.shape = shape
        self.process = process
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line, or more where it is for people."""
        line = self.format(record) + "\n"
        stream = self._stream or sys.stderr
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            return  # Nobody reads it any more, and there is nobody else to tell.

    def format(self, record: logging.LogRecord) -> str:
        """Return the record without what is not told."""
        return _formatter(self.shape, self.process).format(cleaned(record))


_HANDLER: LogHandler | None = None


def begin(shape: LogFormat = LogFormat.CONSOLE, level: LogLevel = LogLevel.INFO, process: str = OURS) -> None:
    """Write the log of this process in this way from now on."""
    global _HANDLER
    root = logging.getLogger()
    if _HANDLER is not None:
        root.removeHandler(_HANDLER)
    _HANDLER = LogHandler(shape, process)
    root.addHandler(_HANDLER)
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(OURS).setLevel(least)
    # At their most talkative, libraries write what is sent: that is never told.
    root.setLevel(logging.INFO if level is LogLevel.DEBUG else max(least, _LEAST_OF_LIBRARIES))


def inherited() -> dict[str, str]:
    """Return the environment by which a child of this process writes its log as this one does."""
    shape = LogFormat.CONSOLE if _HANDLER is None else _HANDLER.shape
    least = logging.getLogger(OURS).getEffectiveLevel()
    return {FORMAT_VARIABLE: shape.value, LEVEL_VARIABLE: logging.getLevelName(least).lower()}


def rename(process: str) -> None:
    """Say from now on that this process is another: a worker is known by its role."""
    if _HANDLER is not None:
        _HANDLER.process = process


def tell(sentence: str, level: int = logging.INFO) -> None:
    """Say a sentence."""
    if _HANDLER is None:
        begin()
    if isinstance(sentence, Announcement):
        level = logging.getLevelNamesMapping()[sentence.seriousness.upper()]
    logging.getLogger(OURS).log(level, "%s", sentence)


def relay(process: str, line: str) -> None:
    """Pass on a line that a child wrote; one of JSON names the child already."""
    if _HANDLER is None:
        begin()
    assert _HANDLER is not None
    if _HANDLER.shape is LogFormat.JSON and _is_object(line):
        _HANDLER.acquire()
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        finally:
            _HANDLER.release()
    elif _HANDLER.shape is LogFormat.JSON:
        tell(Announcement(line, line, process=process))
    else:
        tell(f"{process:<10} {line}")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def catch_all() -> None:
    """Tell in the log what nobody caught, on any thread, and warnings; only a process that is ours alone does so."""
    log = logging.getLogger(OURS)

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("unexpected %s", kind.__name__, exc_info=(kind, error, trace))

    def uncaught_on_thread(caught: threading.ExceptHookArgs) -> None:
        if caught.exc_value is not None:
            name = caught.thread.name if caught.thread else "a thread"
            log.critical("unexpected %s on %s", caught.exc_type.__name__, name, exc_info=caught.exc_value)

    def unraisable(caught: Any) -> None:
        log.error("%s that could not be raised", caught.exc_type.__name__, exc_info=caught.exc_value)

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        # Its words may quote what a library was given.
        log.warning("%s at %s:%s", category.__name__, filename, lineno)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_on_thread
    sys.unraisablehook = unraisable
    warnings.showwarning = warned


def cleaned(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record with the words alone that may be told."""
    name = _family(record)
    clean = logging.makeLogRecord(record.__dict__)
    clean.args = None
    if name == OURS:
        told = record.args[0] if record.msg == "%s" and isinstance(record.args, tuple) and record.args else None
        clean.msg = told if isinstance(told, Announcement) else record.getMessage()
    else:
        clean.msg = _words(record, name in _OF_BROKERS)
    return clean


def _family(record: logging.LogRecord) -> str:
    return record.name.partition(".")[0]


def _words(record: logging.LogRecord, speaks_of_brokers: bool) -> str:
    """Return what a library says, without what it filled in."""
    text = str(record.msg)
    if not record.args:
        # It may be filled in already.
        if speaks_of_brokers:
            return text.partition("\n")[0]
        if _family(record) in _BEGIN_WITH_WORDS:
            return text.partition("\n")[0].partition("(")[0].partition("<")[0].rstrip()
        return f"{_level(record)} at {os.path.basename(record.pathname)}:{record.lineno}"
    filled: Any
    if isinstance(record.args, Mapping):
        filled = {key: _told_of(value, speaks_of_brokers) for key, value in record.args.items()}
    else:
        filled = tuple(_told_of(value, speaks_of_brokers) for value in record.args)
    try:
        return str(text % filled)
    except (KeyError, TypeError, ValueError):
        return text


def _told_of(value: object, speaks_of_brokers: bool) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if speaks_of_brokers and isinstance(value, str):
        return _Withheld(value.partition("\n")[0])
    return _Withheld(f"<{type(value).__name__}>")


def _level(record: logging.LogRecord) -> str:
    return "error" if record.levelno >= logging.ERROR else logging.getLevelName(record.levelno).lower()


def _printable(text: str) -> str:
    """Return text that moves no cursor, changes no colour and begins no line.

    >>> _printable("a\\x1b[2Jb\\nbypassflow: all is well")
    'a\\\\x1b[2Jb\\n  bypassflow: all is well'
    """
    lines = (
        "".join(sign if sign.isprintable() or sign == "\t" else repr(sign)[1:-1] for sign in line)
        for line in text.split("\n")
    )
    return "\n  ".join(lines)


def causes(error: BaseException) -> list[dict[str, Any]]:
    """Return the kinds and places of an error and of what it came from, the error itself first; no words of theirs."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        places = [f"{at.filename}:{at.lineno} in {at.name}" for at in traceback.extract_tb(now.__traceback__)]
        # The sentences of our own errors are written for those who run it; others may quote a record.
        known = {"says": str(now)} if isinstance(now, BypassflowError) else {}
        found.append({"error": type(now).__name__, **known, "places": places})
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)
    return found


@cache
def _formatter(shape: LogFormat, process: str) -> logging.Formatter:
    """Return the way from a record to text. Here alone, because it is much to load for a command that says nothing."""
    import structlog

    def named(_: Any, __: str, event: EventDict) -> EventDict:
        told = event["_record"].msg
        if isinstance(told, Announcement):
            event.update({"event": told.event, "sentence": str(told), **told.fields})
        return {"timestamp": None, "level": None, "process": process, "logger": None, **event}

    def placed(_: Any, __: str, event: EventDict) -> EventDict:
        caught = event.pop("exc_info", None)
        event.pop("stack_info", None)
        error = caught[1] if isinstance(caught, tuple) else caught
        if isinstance(error, BaseException):
            event["causes"] = causes(error)
        return event

    def for_people(_: Any, __: str, event: EventDict) -> str:
        said = str(event.get("sentence", event["event"]))
        for cause in event.get("causes", ()):
            says = f": {cause['says']}" if "says" in cause else ""
            said += "".join(f"\n{line}" for line in (f"{cause['error']}{says}", *cause["places"]))
        ours = event["logger"] == OURS
        is_bad = event["level"] in ("error", "critical")
        begins = (f"{OURS}: " if is_bad else "") if ours else f"{event['level']} of {event['logger']}: "
        return _printable(begins + said)

    chain: list[Processor] = [
        named,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        placed,
    ]
    render: Processor = structlog.processors.JSONRenderer() if shape is LogFormat.JSON else for_people
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=chain,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
