"""The sink's answers over HTTP, from the process that holds the store: reading only, each question a path of its own.

There is no password, so it listens on this machine alone unless told otherwise, and then a page in a browser that
reaches it under another name is refused.
"""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.alerting import MOST_DAYS, RAISE_AT
from schemas.closing import Closing
from schemas.packing import Pack, pack
from sinks import figures
from sinks.answers import StoreAnswers
from sinks.asking import Asking
from sinks.consumer import problem_of
from sinks.listening import Listener
from sinks.measures import FILTERS, instant, known
from sinks.remote import pack_explanation
from sinks.results import RESULTS
from sinks.store import Store

MOST_ROWS: Final = 200_000
# What an alert or a digest may be about, beside its days.
_SCOPE: Final = ("channel", "team")
_JSON: Final = "application/json; charset=utf-8"
_PACKED: Final = "application/octet-stream"

Values = Mapping[str, Sequence[str]]
Answer = tuple[str, bytes]


class Server(Closing):
    """Answers until it is closed. `url` is where."""

    def __init__(self, store: Store, status: Callable[[], dict[str, Any]], host: str, port: int) -> None:
        """Listen, and answer on threads of their own. Port 0: any that is free.

        Raises:
            ConfigurationError: when nobody can listen there.
        """
        self._asking = Asking(store)
        self._status = status
        asked: dict[str, Callable[[Values], Answer]] = {
            "report": self._report, "interactions": self._interactions, "explain": self._explain,
            "audit": self._audit, "timezone": self._timezone, "alert": self._alert, "gist": self._gist,
            "status": self._tell_status, "healthz": self._tell_health, "readyz": self._tell_readiness,
            "metrics": self._tell_figures,
        }  # fmt: skip
        is_local = host == "localhost" or _is_loopback(host)

        class Handler(_Handler):
            questions = asked
            only_local = is_local

        class Here(Listener):
            address_family = AF_INET6 if ":" in host else AF_INET

        try:
            self._server = Here((host, port), Handler)
        except OSError as error:
            self._asking.close()
            raise ConfigurationError(
                f"nobody can listen on {host}:{port}: {(error.strerror or str(error)).lower()}; name another --listen"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="answers")
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and break off what is being answered."""
        self._server.shutdown()
        self._thread.join()
        self._asking.interrupt()
        self._server.server_close()
        self._asking.close()

    # -- questions ----------------------------------------------------------------------------------------------------

    def _report(self, values: Values) -> Answer:
        _allow(values, ("by", "since", "until", *FILTERS))
        wanted = {name: given for name, given in values.items() if name in FILTERS}
        by = [name for text in values.get("by", ()) for name in text.split(",") if name]
        found = self._ask(lambda answers: answers.report(by, _one(values, "since"), _one(values, "until"), wanted))
        return _JSON, orjson.dumps({"rows": found.rows, "overall": found.overall, "warnings": found.warnings})

    def _interactions(self, values: Values) -> Answer:
        _allow(values, ("since", "until", "limit", *FILTERS))
        wanted = {name: given for name, given in values.items() if name in FILTERS}
        limit = _number(values, "limit")
        most = MOST_ROWS + 1 if limit is None else min(limit, MOST_ROWS + 1)
        found = self._ask(
            lambda answers: answers.interactions(wanted, _one(values, "since"), _one(values, "until"), most)
        )
        if found.num_rows > MOST_ROWS:
            raise ConfigurationError(
                f"more than {MOST_ROWS:,} interactions fit; ask for fewer with --since and --until, "
                "or read a snapshot of the store with --db"
            )
        return _PACKED, pack(Pack({}, {"interactions": found}))

    def _explain(self, values: Values) -> Answer:
        _allow(values, ("id",))
        return _PACKED, pack_explanation(self._ask(lambda answers: answers.explain(_one(values, "id") or "")))

    def _audit(self, values: Values) -> Answer:
        _allow(values, ())
        return _JSON, orjson.dumps(self._ask(lambda answers: answers.audit()))

    def _timezone(self, values: Values) -> Answer:
        _allow(values, ())
        return _JSON, orjson.dumps({"timezone": self._ask(lambda answers: answers.timezone())})

    def _alert(self, values: Values) -> Answer:
        _allow(values, ("kind", "days", "now", *_SCOPE))
        name = known(_one(values, "kind") or "", tuple(RAISE_AT), "kind of alert")
        (kind,) = (each for each in RAISE_AT if each == name)
        now = instant(_one(values, "now") or "", ZoneInfo("UTC"))
        found = self._ask(lambda answers: answers.look(kind, _days(values), _scope(values), now))
        return _JSON, orjson.dumps(found)

    def _gist(self, values: Values) -> Answer:
        _allow(values, ("days", *_SCOPE))
        found = self._ask(lambda answers: answers.gist(_days(values) or 1, _scope(values)))
        return _JSON, orjson.dumps(found)

    def _tell_status(self, values: Values) -> Answer:
        _allow(values, ())
        counts = self._ask(lambda answers: _counts(answers.store))
        return _JSON, orjson.dumps(self._status() | counts, option=orjson.OPT_INDENT_2)

    def _tell_health(self, values: Values) -> Answer:
        """Tell that the process lives; one that waits for its broker is not to be started again."""
        status = self._status()
        return _JSON, orjson.dumps({name: status[name] for name in ("state", "reason", "applied")})

    def _tell_readiness(self, values: Values) -> Answer:
        if (problem := problem_of(self._status())) is not None:
            raise TransientError(problem)
        return _JSON, orjson.dumps({"state": "running"})

    def _tell_figures(self, values: Values) -> Answer:
        _allow(values, ())
        return CONTENT_TYPE_LATEST, generate_latest(figures.sink_registry(self._asking, self._status))

    def _ask(self, question: Callable[[StoreAnswers], Any]) -> Any:
        return self._asking.ask(lambda store: question(StoreAnswers(store)))


class _Handler(BaseHTTPRequestHandler):
    questions: Mapping[str, Callable[[Values], Answer]] = {}
    only_local = True
    timeout = 10

    def do_GET(self) -> None:
        """Answer a question; what is wrong with it is said in one sentence."""
        assert isinstance(self.server, Listener)
        self.server.asked(self.connection)
        asked = urllib.parse.urlsplit(self.path)
        question = self.questions.get(asked.path.strip("/"))
        if self.only_local and not self._is_for_us():
            self._send(403, _JSON, _error("this address answers to 127.0.0.1 and localhost alone"))
        elif question is None:
            self._send(404, _JSON, _error(f"there is nothing here; ask one of /{', /'.join(self.questions)}"))
        else:
            try:
                values = urllib.parse.parse_qs(asked.query, max_num_fields=200)
                self._send(200, *question(values))
            except ConfigurationError as error:
                self._send(400, _JSON, _error(str(error)))
            except (BypassflowError, duckdb.Error) as error:
                is_ours = isinstance(error, BypassflowError)
                self._send(503, _JSON, _error(str(error) if is_ours else "the store cannot answer now"))
            except ValueError:
                self._send(400, _JSON, _error("the question cannot be read"))

    def _is_for_us(self) -> bool:
        name = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return name == "localhost" or _is_loopback(name)

    def _send(self, code: int, kind: str, content: bytes) -> None:
        with suppress(ConnectionError, TimeoutError):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: questions may name customers."""


def _counts(store: Store) -> dict[str, Any]:
    """Return what the store itself counts."""
    deltas = ", ".join(f"(SELECT count(*) FROM {result.name}_delta) AS {result.name}" for result in RESULTS)
    # Which late facts still wait takes a pass over all dispositions, and mostly there is none.
    has_late = bool(store.rows("SELECT 1 AS n FROM late_fact LIMIT 1"))
    late = "(SELECT count(*) FROM waiting_event) + (SELECT count(*) FROM waiting_activity)" if has_late else "0"
    (counts,) = store.rows(
        "SELECT (SELECT count(*) FROM current_interaction WHERE outcome = 'pending') AS pending_count, "
        f"(SELECT count(*) FROM dead_letter) AS dead_letter_count, {late} AS late_count"
    )
    return {**counts, "delta_count": store.rows(f"SELECT {deltas}")[0]}


def _allow(values: Values, names: Sequence[str]) -> None:
    for name in values:
        if name not in names:
            raise ConfigurationError(f"unknown parameter {name!r}; expected one of {', '.join(names) or 'none'}")


def _scope(values: Values) -> dict[str, Sequence[str]]:
    return {name: given for name, given in values.items() if name in _SCOPE}


def _days(values: Values) -> int | None:
    days = _number(values, "days")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise ConfigurationError(f"{days} days were asked for; expected 1 to {MOST_DAYS}")
    return days


def _one(values: Values, name: str) -> str | None:
    given = values.get(name, ())
    return given[-1] if given else None


def _number(values: Values, name: str) -> int | None:
    text = _one(values, name)
    if text is None:
        return None
    if not text.removeprefix("-").isdecimal():
        raise ConfigurationError(f"{name} {text!r} is no whole number")
    return int(text)


def _error(sentence: str) -> bytes:
    return orjson.dumps({"error": sentence})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
